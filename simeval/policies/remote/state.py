"""The robot's state in the forms that models want: components of simeval's vector of 8, and other forms of rotation."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.floating]


def _rotation(state: Vector) -> Any:
    from scipy.spatial.transform import Rotation  # not above: it takes a while, and most conventions need none

    return Rotation.from_rotvec(state[3:6].astype(np.float64))


def _quaternion(state: Vector) -> Vector:
    """The hand's quaternion, w last; the sign is that of the simulator, which the axis-angle keeps."""
    return np.asarray(_rotation(state).as_quat())


def _euler(state: Vector) -> Vector:
    """Roll, pitch and yaw (rad): rotations about the fixed axes x, y and z, in this order."""
    return np.asarray(_rotation(state).as_euler("xyz"))


COMPONENTS: Mapping[str, Callable[[Vector], Vector]] = {
    "position": lambda state: state[:3],
    "x": lambda state: state[0:1],
    "y": lambda state: state[1:2],
    "z": lambda state: state[2:3],
    "axis_angle": lambda state: state[3:6],
    "axis_angle_x": lambda state: state[3:4],
    "axis_angle_y": lambda state: state[4:5],
    "axis_angle_z": lambda state: state[5:6],
    "axis_angle_short": lambda state: np.asarray(_rotation(state).as_rotvec()),
    "quaternion_xyzw": _quaternion,
    "quaternion_wxyz": lambda state: _quaternion(state)[[3, 0, 1, 2]],
    "euler": _euler,
    "roll": lambda state: _euler(state)[0:1],
    "pitch": lambda state: _euler(state)[1:2],
    "yaw": lambda state: _euler(state)[2:3],
    "rotation_6d": lambda state: _rotation(state).as_matrix()[:, :2].T.ravel(),
    "fingers": lambda state: state[6:8],
    "finger": lambda state: state[6:7],
    "gripper_width": lambda state: state[6:7] - state[7:8],
    "zero": lambda state: np.zeros(1),
}
"""Parts of a state vector, by name: from `float32[8]` (`envs.base.STATE_SIZE`) to `[n]`.

`rotation_6d` is the first column of the rotation matrix, then the second. The axis-angle is robosuite's: its sign
is never flipped, so it is up to a whole turn; `axis_angle_short` is the same rotation by at most half a turn.
"""


def arranged(state: NDArray[np.float32], parts: tuple[str, ...], dtype: str) -> NDArray[np.floating]:
    """The named components of a state, joined.

    Args:
        state: `float32[8]`.
        parts: names in `COMPONENTS`.
        dtype: `float32` or `float64`.
    """
    joined: NDArray[np.floating] = np.concatenate([COMPONENTS[part](state) for part in parts]).astype(dtype)
    return joined
