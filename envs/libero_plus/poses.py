"""LIBERO-plus's five hundred initial robot poses, read from its code, which is not executed."""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from envs.libero_plus.files import plus_root


@cache
def robot_pose(number: int) -> NDArray[np.float64]:
    """The arm's joint positions in one of LIBERO-plus's initial robot states.

    Args:
        number: 1 to 500; in each hundred the distance from LIBERO's pose is 0.1 rad longer.

    Returns:
        `float64[7]`, rad.
    """
    code = (plus_root() / "envs" / "robots" / "mounted_panda.py").read_text(encoding="utf-8")
    found = re.search(rf"^class MountedPanda{number}\(MountedPanda\):.*?np\.array\(\[([^\]]*)\]\)", code, re.S | re.M)
    assert found is not None, f"robot state {number} is one of LIBERO-plus's"
    return np.array([float(part) for part in found[1].split(",")])
