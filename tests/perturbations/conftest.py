"""Shared stand-ins: random streams as the loop passes them, a picture, a small MuJoCo scene."""

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from envs.base import Scene
from perturbations.base import Instruction, InstructionContext, RngFactory
from simeval.core.seeding import PairStreams

XML = """
<mujoco>
  <visual><headlight ambient="0.1 0.1 0.1" diffuse="0.4 0.4 0.4" specular="0.5 0.5 0.5"/></visual>
  <asset>
    <texture name="grid" type="2d" builtin="checker" width="8" height="8" rgb1="0 0 0" rgb2="1 1 1"/>
    <material name="wood" texture="grid" emission="0.2"/>
  </asset>
  <worldbody>
    <light name="a" pos="0 0 2" diffuse="0.8 0.8 0.8" specular="0.3 0.3 0.3" ambient="0.1 0.1 0.1"/>
    <light name="b" pos="1 0 2" diffuse="0.6 0.7 0.8" specular="0.3 0.2 0.1" ambient="0.2 0.1 0.1"/>
    <camera name="agentview" pos="1 0 1"/>
    <body name="hand" pos="0 0 0.5">
      <freejoint/>
      <geom type="box" size="0.1 0.1 0.1" material="wood"/>
      <camera name="eye"/>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture
def scene() -> Scene:
    return Scene(mujoco.MjModel.from_xml_string(XML), {"agentview": 0, "wrist": 1})


@pytest.fixture
def streams() -> Callable[..., RngFactory]:
    """Streams of one pair, by root seed."""
    return lambda seed=0: PairStreams(seed, (1, 2, 3, 4)).generator


@pytest.fixture
def picture() -> np.ndarray:
    """A fixed picture with edges, gradients, black and white, drawn without random numbers."""
    y, x = np.mgrid[:96, :128]
    channels = [(2 * x + y) % 256, np.where((x // 16 + y // 16) % 2, 230, 25), (x * y) // 48]
    picture = np.stack(channels, axis=-1).astype(np.uint8)
    picture.setflags(write=False)
    return picture


@pytest.fixture
def context() -> InstructionContext:
    goal = (("on", "bowl_1", "plate_1"),)
    others = tuple(Instruction(f"do task {i}", (("open", f"drawer_{i}"),), f"suite/{i}") for i in range(7))
    return InstructionContext("put the bowl on the plate", goal, others, tuple(f"foreign {i}" for i in range(9)))
