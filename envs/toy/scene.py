"""The toy suite's scene: a table, four blocks, and a small gantry with a probe, in MuJoCo's format."""

from envs.sim.mujoco_env import MAX_RENDER_SIZE
from envs.toy.tasks import TOY_COLORS

TIP_SPEED = 0.2
"""Speed of the tip along each axis for an action of 1 (m/s): 10 mm per control step."""

TIP_HOME = (0.0, 0.0, 0.15)
"""Where the tip starts (m); the table's surface is z = 0."""

TIP_RADIUS, BLOCK_SIDE, TABLE_SIDE = 0.008, 0.045, 0.56  # m


TIMESTEP = 0.005  # s

_RGB = {"red": "0.86 0.13 0.11", "green": "0.13 0.62 0.22", "blue": "0.12 0.33 0.85", "yellow": "0.96 0.78 0.08"}

_BLOCKS = "".join(
    f"""
    <body name="{color}_block" pos="0 0 {BLOCK_SIDE / 2}">
      <freejoint name="{color}_block"/>
      <geom name="{color}_block" type="box" size="{BLOCK_SIDE / 2} {BLOCK_SIDE / 2} {BLOCK_SIDE / 2}" mass="0.2"
            rgba="{_RGB[color]} 1"/>
    </body>"""
    for color in TOY_COLORS
)

# No textures, meshes or height fields: the render context would copy them, and an edit would outlive its episode.
SCENE = f"""
<mujoco model="toy">
  <option timestep="{TIMESTEP}" integrator="implicitfast">
    <flag autoreset="disable"/>
  </option>
  <visual>
    <global offwidth="{MAX_RENDER_SIZE}" offheight="{MAX_RENDER_SIZE}"/>
    <quality offsamples="0" shadowsize="1024"/>
    <headlight ambient="0.32 0.32 0.34" diffuse="0.2 0.2 0.2" specular="0.05 0.05 0.05"/>
  </visual>
  <default>
    <geom friction="0.8 0.005 0.0001"/>
    <default class="look">
      <geom type="cylinder" contype="0" conaffinity="0"/>
    </default>
    <default class="axis">
      <velocity kv="60" forcerange="-20 20" ctrlrange="-{TIP_SPEED} {TIP_SPEED}"/>
    </default>
  </default>
  <worldbody>
    <light name="lamp" pos="0.35 -0.35 0.9" dir="-0.3 0.3 -0.9" cutoff="90" exponent="1" castshadow="false"
           ambient="0.05 0.05 0.05" diffuse="0.55 0.54 0.50" specular="0.15 0.15 0.15"/>
    <geom name="floor" class="look" type="plane" pos="0 0 -0.4" size="4 4 1" rgba="0.36 0.40 0.45 1"/>
    <geom name="table" type="box" pos="0 0 -0.02" size="{TABLE_SIDE / 2} {TABLE_SIDE / 2} 0.02"
          rgba="0.82 0.79 0.74 1"/>
    <camera name="agentview" pos="0.62 0 0.62" xyaxes="0 1 0 -0.7071068 0 0.7071068" fovy="45"/>
    <body name="carriage" gravcomp="1">
      <joint name="x" type="slide" axis="1 0 0" range="-0.3 0.3"/>
      <joint name="y" type="slide" axis="0 1 0" range="-0.3 0.3"/>
      <geom class="look" type="box" pos="0 0 0.62" size="0.05 0.05 0.02" mass="0.5" rgba="0.25 0.27 0.30 1"/>
      <body name="hand" pos="0 0 {TIP_HOME[2]}" gravcomp="1">
        <joint name="z" type="slide" axis="0 0 1" range="-{TIP_HOME[2] - TIP_RADIUS} 0.1"/>
        <geom class="look" fromto="0 0 0.10 0 0 0.60" size="0.010" mass="0.1" rgba="0.62 0.64 0.67 1"/>
        <geom class="look" fromto="0 0 0.06 0 0 0.10" size="0.018" mass="0.1" rgba="0.22 0.24 0.28 1"/>
        <geom class="look" fromto="0 0 0 0 0 0.06" size="0.004" mass="0.01" rgba="0.62 0.64 0.67 1"/>
        <geom name="tip" type="sphere" size="{TIP_RADIUS}" mass="0.01" rgba="0.15 0.15 0.17 1"/>
        <camera name="wrist" pos="0.1 0 0.14" xyaxes="0 1 0 -0.96 0 0.28" fovy="60"/>
      </body>
    </body>{_BLOCKS}
  </worldbody>
  <actuator>
    <velocity class="axis" joint="x"/>
    <velocity class="axis" joint="y"/>
    <velocity class="axis" joint="z"/>
  </actuator>
</mujoco>
"""
