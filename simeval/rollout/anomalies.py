"""What was wrong in an episode, with the world or with the policy's place in it: seen at its end in its extremes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.base import Scene
from simeval.policies.base import PolicySpec

OFF_TABLE = 0.1
"""An object whose middle is this far (m) below the table's surface fell off it: further than any reaches down while it
stands there. Our choice."""

MAX_SPEED = 5.0
"""An object faster than this (m/s) was not moved by the robot but flung out of something it was pushed into: in 140
episodes of a learned policy in libero_spatial none exceeded 1.1 m/s (measured). Falling does not count."""


@dataclass
class StateRange:
    """The smallest and the largest of each number of an episode's states, or of other rows of numbers.

    Attributes:
        low, high: `float64[n]`; not a number where a state had one that was not; `None` before the first state.
    """

    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    def add(self, states: NDArray[np.floating]) -> None:
        """Take further states, `float[T, n]`, into account."""
        low, high = states.min(axis=0).astype(float), states.max(axis=0).astype(float)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)


def anomalies(extremes: StateRange, scene: Scene) -> tuple[str, ...]:
    """Flags of an episode: `object_off_table`, `unstable`.

    Args:
        extremes: of its states, each of which is time, positions and velocities (see `envs.base.Env.state`).
        scene: at its end.
    """
    low, high, model = extremes.low, extremes.high, scene.model
    if low is None or high is None:
        return ()
    joints = [int(model.body_jntadr[body]) for body in scene.bodies.values()]
    heights = np.array([3 + int(model.jnt_qposadr[joint]) for joint in joints], int)
    speeds = np.array([1 + model.nq + int(model.jnt_dofadr[joint]) for joint in joints], int)
    fastest = np.maximum(np.abs(low), np.abs(high))
    # Upwards only: what falls off a table in empty space gets faster and faster.
    too_fast = np.hstack((fastest[speeds], fastest[speeds + 1], high[speeds + 2])) > MAX_SPEED
    found = ["object_off_table"] * bool((low[heights] < scene.workspace_center[2] - OFF_TABLE).any())
    found += ["unstable"] * bool(too_fast.any() or not np.isfinite(fastest).all())
    return tuple(found)


def unlike_training(policy: PolicySpec, states: StateRange, actions: StateRange) -> tuple[str, ...]:
    """Flags of an episode with numbers that the policy cannot have met in training: `far_state`, `far_action`.

    Args:
        policy: says what it has met, if it knows.
        states: of the states that it was given.
        actions: of the actions that it chose.
    """
    found = ["far_state"] * _beyond(policy.state_limits, states)
    return tuple(found + ["far_action"] * _beyond(policy.action_limits, actions))


def _beyond(limits: tuple[tuple[float, float], ...] | None, extremes: StateRange) -> bool:
    if limits is None or extremes.low is None or extremes.high is None:
        return False
    lowest, highest = np.array(limits[: extremes.low.size]).T
    known = lowest.size  # a policy may be trained on a part of the numbers
    return bool((extremes.low[:known] < lowest).any() or (extremes.high[:known] > highest).any())
