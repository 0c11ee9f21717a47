"""A suite in a file of your own: move the hand over the pad of a given colour.

    simeval run --suite reach --plugin examples/my_suite.py --policy random --init-states 0-9 --perturb noise:0.1
    python examples/my_suite.py

The first runs it, the second checks that its environment keeps the rules. Name the file again (--plugin) wherever
scenes are built for a finished run: video, audit.
"""

from pathlib import Path

from envs.base import Atom, EnvError, Pose  # before NumPy, for the same numbers everywhere
from envs.sim.mujoco_env import MujocoEnv
from envs.suite import Limits, Suite
from envs.suites import register_suite
from envs.tasks import SceneContents, Task

# isort: split
import numpy as np
from numpy.typing import NDArray

COLORS = {"red": "0.8 0.1 0.1", "green": "0.1 0.6 0.2", "blue": "0.1 0.3 0.8"}
SPEED, REACH, INIT_STATES = 0.4, 0.03, 20  # m/s, m

PADS = "".join(
    f'<body name="{color}_pad"><freejoint/><geom type="box" size="0.03 0.03 0.005" rgba="{rgb} 1" mass="0.5"/></body>'
    for color, rgb in COLORS.items()
)
SCENE = f"""
<mujoco>
  <option timestep="0.005"><flag autoreset="disable"/></option>
  <worldbody>
    <light pos="0.3 0.3 1" dir="-0.3 -0.3 -1"/>
    <geom type="plane" size="0.4 0.4 0.1" rgba="0.8 0.8 0.75 1"/>
    <camera name="agentview" pos="0 -0.6 0.6" xyaxes="1 0 0 0 0.7 0.7"/>
    <body name="hand" pos="0 0 0.1" gravcomp="1">
      <joint name="x" type="slide" axis="1 0 0"/> <joint name="y" type="slide" axis="0 1 0"/>
      <geom type="sphere" size="0.01" mass="0.2" rgba="0.1 0.1 0.1 1" contype="0" conaffinity="0"/>
      <camera name="wrist" pos="0 -0.08 0.12" xyaxes="1 0 0 0 0.83 0.55"/>
    </body>{PADS}
  </worldbody>
  <actuator><velocity joint="x" kv="20"/><velocity joint="y" kv="20"/></actuator>
</mujoco>
"""


class ReachEnv(MujocoEnv):
    """One scene. `MujocoEnv` does the rest of `envs.base.Env`."""

    def place(self, init_state: int, env_seed: int) -> None:
        """The pads stand on a circle, in another order and at other angles in every initial state."""
        rng = np.random.default_rng([init_state, self.task.index])
        for angle, color in zip(rng.permutation(3) * 2.1 + rng.uniform(0, 1), COLORS, strict=True):
            joint = self.model.body(f"{color}_pad").jntadr[0]
            start = self.model.jnt_qposadr[joint]
            self.data.qpos[start : start + 3] = 0.15 * np.cos(angle), 0.15 * np.sin(angle), 0.005

    def apply(self, action: NDArray[np.float32]) -> None:
        """The first two numbers move the hand."""
        self.data.ctrl[:] = SPEED * np.clip(action[:2], -1, 1)

    def holds(self, atom: Atom) -> bool:
        """`("over", PAD)`: the hand is within `REACH` of the pad's centre, seen from above."""
        if atom[0] != "over":
            raise EnvError(f"reach: cannot tell whether {atom} holds")
        away = self.data.body(atom[1]).xpos[:2] - self.data.body("hand").xpos[:2]
        return float(np.linalg.norm(away)) < REACH

    def proprioception(self) -> NDArray[np.float32]:
        """The hand's position; the rest of the eight numbers is 0."""
        return np.concatenate([self.data.body("hand").xpos, np.zeros(5)]).astype(np.float32)

    def hand(self) -> Pose:
        """The hand's pose."""
        return Pose(self.data.body("hand").xpos.copy(), self.data.body("hand").xquat.copy())


def reach_tasks() -> tuple[Task, ...]:
    """One task per colour; each is a counterfactual instruction of the others."""
    scene = SceneContents(frozenset(f"{color}_pad" for color in COLORS), {})
    return tuple(
        Task("reach", i, f"reach_{color}", f"move over the {color} pad", (("over", f"{color}_pad"),), scene)
        for i, color in enumerate(COLORS)
    )


def make_env(task: Task, resolution: int, assets: Path | None) -> ReachEnv:
    """Build the scene; it needs no assets."""
    return ReachEnv(task, SCENE, resolution, INIT_STATES)


register_suite(Suite("reach", reach_tasks, make_env, Limits(max_steps=60, settle_steps=0, resolution=128),
                     init_states=INIT_STATES, step_seconds=0.001, frame_seconds=0.003))  # fmt: skip

if __name__ == "__main__":
    from simeval.testing import check_env

    check_env("reach")
    print("keeps the rules")
