"""Anomaly flags of an episode, from the range of its states and actions.

They tell of broken physics, of numbers far from the training data, and of actions in other units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.base import Goal, Scene
from simeval.policies.base import PolicySpec

OFF_TABLE = 0.1
"""An object whose centre is this far (m) below the table's surface fell off it: an object on the table never has its
centre that low. Our choice."""

MAX_SPEED = 5.0
"""An object faster than this (m/s) was not moved by the robot but ejected from a penetration: in 140 episodes of a
learned policy in libero_spatial no object exceeded 1.1 m/s (measured). Falling does not count."""

CUT = 3.0
"""Actions are cut to -1 to 1. A number further from 0 than this is no small overshoot, but of another unit (degrees,
mm). Our choice."""

CLOSED = 0.5
"""A gripper command from this on closes, by intent. Our choice."""


@dataclass
class StateRange:
    """Running minimum and maximum of each component of an episode's states, or of its actions.

    Attributes:
        low, high: `float64[n]`; NaN where a component was NaN; `None` before the first state.
    """

    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    def add(self, states: NDArray[np.floating]) -> None:
        """Extend the range by `float[T, n]` states."""
        low, high = states.min(axis=0).astype(float), states.max(axis=0).astype(float)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)


def anomalies(states: StateRange, scene: Scene) -> tuple[str, ...]:
    """Physics flags of an episode: `object_off_table`, `unstable`.

    Args:
        states: range of its states; a state is time, positions and velocities (see `envs.base.Env.state`).
        scene: the scene at the episode's end.
    """
    low, high, model = states.low, states.high, scene.model
    if low is None or high is None:
        return ()
    joints = [int(model.body_jntadr[body]) for body in scene.bodies.values()]
    heights = np.array([3 + int(model.jnt_qposadr[joint]) for joint in joints], int)
    speeds = np.array([1 + model.nq + int(model.jnt_dofadr[joint]) for joint in joints], int)
    fastest = np.maximum(np.abs(low), np.abs(high))
    # Of vertical speeds only upward ones: an object that fell off the table keeps accelerating.
    too_fast = np.hstack((fastest[speeds], fastest[speeds + 1], high[speeds + 2])) > MAX_SPEED
    flags = ["object_off_table"] * bool((low[heights] < scene.workspace_center[2] - OFF_TABLE).any())
    flags += ["unstable"] * bool(too_fast.any() or not np.isfinite(fastest).all())
    return tuple(flags)


def unlike_training(policy: PolicySpec, states: StateRange, actions: StateRange) -> tuple[str, ...]:
    """Flags of an episode outside the policy's training range: `far_state`, `far_action`.

    Args:
        policy: holds the limits of its training data, if they are known.
        states: range of the states that the policy was given.
        actions: range of the actions that it chose.
    """
    flags = ["far_state"] * _outside(policy.state_limits, states)
    return tuple(flags + ["far_action"] * _outside(policy.action_limits, actions))


def in_other_units(policy: PolicySpec, actions: StateRange, goal: Goal) -> tuple[str, ...]:
    """Flags of an episode whose actions do not look like the environment's: `cut_action`, `gripper_never_opened`.

    Args:
        policy: where the limits of its training data are known, `far_action` looks at those instead of `cut_action`.
        actions: range of the actions that it chose.
        goal: of the task. An object that is to be placed asks for an open gripper.
    """
    low, high = actions.low, actions.high
    if low is None or high is None:
        return ()
    cut = policy.action_limits is None and max(-low.min(), high.max()) > CUT
    places = any(atom[0] in ("on", "in") for atom in goal)
    never_opened = places and low[-1] >= 0 and high[-1] >= CLOSED
    return tuple(["cut_action"] * bool(cut) + ["gripper_never_opened"] * bool(never_opened))


def _outside(limits: tuple[tuple[float, float], ...] | None, values: StateRange) -> bool:
    """Whether any component left its (lowest, highest) limits; `False` without limits or values."""
    if limits is None or values.low is None or values.high is None:
        return False
    lowest, highest = np.array(limits[: values.low.size]).T
    known = lowest.size  # a policy may be trained on the first components only
    return bool((values.low[:known] < lowest).any() or (values.high[:known] > highest).any())
