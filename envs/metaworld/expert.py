"""The scripted experts of the package `metaworld`, one for each task.

They get the package's own state observation, which contains the goal's position. They have no memory.
"""

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.metaworld.package import require_metaworld
from envs.sim.opengl import select_backend


def expert_action(predicate: str, observation: NDArray[np.float64]) -> NDArray[np.float32]:
    """The expert's action for a state.

    Args:
        predicate: of the task's goal: its name without version.
        observation: `float64[39]`, `Privileged.native`.

    Returns:
        `float32[4]` in [-1, 1]. Source of the limits: the package's tests of its experts.

    Raises:
        EnvError: the package is not installed.
        KeyError: there is no such task.
    """
    action = np.clip(_expert(f"{predicate}-v3").get_action(observation), -1, 1)
    return np.asarray(action, np.float32)


@cache
def _expert(task: str) -> Any:
    require_metaworld()
    select_backend()  # before the package imports MuJoCo
    from metaworld.policies import ENV_POLICY_MAP

    # Its experts always ask for more than the environment does.
    warnings.filterwarnings("ignore", message=r"Constant\(s\) may be too high", module=r"metaworld\.")
    return ENV_POLICY_MAP[task]()
