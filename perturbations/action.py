"""Action axes: changes of a command between the policy and the robot.

The gripper command stays as it is unless `/gripper=perturbed` is given: with noise on its sign, even a perfectly moving
arm would drop everything.
"""

import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    FLICKER,
    FROM,
    MULTIPLIER,
    PROBABILITY,
    STEPS,
    UNTIL,
    AxisInfo,
    Key,
    Memory,
    Stage,
    Unit,
    register,
)
from perturbations.units import NUMBER

Actions = NDArray[np.float32]
"""`float32[T, 7]`: position delta (3), rotation delta (3), gripper (-1 open, +1 close), each in [-1, 1]."""

GRIPPER = Key("gripper", "clean", ("clean", "perturbed"))
"""Whether the gripper's command is perturbed as well."""

ACTION = Unit("action", NUMBER.factors)

IDLE = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""Action before the first command arrives: no motion, gripper open; the same as while the scene settles."""


def _keep_gripper(perturbed: Actions, commanded: Actions, gripper: str) -> Actions:
    if gripper == "clean":
        perturbed[:, 6] = commanded[:, 6]
    return perturbed


@register(
    AxisInfo(
        name="action.noise",
        stage=Stage.ACTION,
        unit=ACTION,
        value_means="sigma of Gaussian noise on actions in [-1, 1], clipped there",
        bounds=(0.0, 2.0),
        identity=0.0,
        presets=(0.02, 0.05, 0.1, 0.2, 0.4),
        source="our choice",
        keys=(FROM, GRIPPER, FLICKER, UNTIL),
    )
)
def noise(actions: Actions, value: float, rng: np.random.Generator, gripper: str) -> Actions:
    """Independent noise at every control step; a constant offset with `/mode=static`."""
    noisy = actions + np.float32(value) * rng.standard_normal(actions.shape, dtype=np.float32)
    return _keep_gripper(noisy, actions, gripper)


@register(
    AxisInfo(
        name="action.scale",
        stage=Stage.ACTION,
        unit=MULTIPLIER,
        value_means="multiplier on the motion of every action",
        bounds=(0.0, 3.0),
        identity=1.0,
        presets=(0.9, 0.8, 0.7, 0.6, 0.5),
        source="our choice",
        keys=(FROM, UNTIL),
    )
)
def scale(actions: Actions, value: float) -> Actions:
    """Scaled motion; the gripper's command is a switch and is not scaled."""
    return _keep_gripper(actions * np.float32(value), actions, "clean")


@register(
    AxisInfo(
        name="action.delay",
        stage=Stage.ACTION,
        unit=STEPS,
        value_means="control steps (of 50 ms) between a command and its execution",
        bounds=(0.0, 40.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 5.0, 8.0),
        source="our choice",
        keys=(FROM, GRIPPER, UNTIL),
    )
)
def delay(actions: Actions, value: float, memory: Memory, gripper: str) -> Actions:
    """Every command is delayed; until the first arrives, the arm idles."""
    pending = memory.setdefault("waiting", [np.asarray(IDLE, np.float32)] * round(value))
    delayed = []
    for action in actions:
        pending.append(action.copy())
        delayed.append(pending.pop(0))
    return _keep_gripper(np.stack(delayed), actions, gripper)


@register(
    AxisInfo(
        name="action.drop",
        stage=Stage.ACTION,
        unit=PROBABILITY,
        value_means="probability that a control step repeats the action before it",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.3, 0.5),
        source="our choice",
        keys=(FROM, GRIPPER, UNTIL),
    )
)
def drop(actions: Actions, value: float, rng: np.random.Generator, memory: Memory, gripper: str) -> Actions:
    """For a lost command the last one that arrived is executed again; before the first, the arm idles."""
    held = memory.get("action", np.asarray(IDLE, np.float32))
    executed = []
    for action, lost in zip(actions, rng.random(len(actions)) < value, strict=True):
        held = held if lost else action.copy()
        executed.append(held)
    memory["action"] = held
    return _keep_gripper(np.stack(executed), actions, gripper)
