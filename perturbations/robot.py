"""The robot axis: the arm's initial pose."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perturbations.base import RADIANS, AxisInfo, Infeasible, Physics, Stage, register
from perturbations.rotations import drawn_direction

MAX_DRAWS = 50
"""Directions tried before an offset counts as infeasible. Our choice."""

_ROBOT_BODIES = ("robot0_", "gripper0_")
"""Name prefixes of the bodies of arm and gripper. Source: robosuite."""

LIMIT_MARGIN = 0.05
"""Joints stay this far (rad) from their limits, to leave the controller some range. Our choice."""


def _limits(model: Any, joints: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest position of each arm joint (rad). Source: robosuite's names of the arm's joints."""
    ranges = np.array([model.joint(f"robot0_joint{k + 1}").range for k in range(joints)])
    return ranges[:, 0] + LIMIT_MARGIN, ranges[:, 1] - LIMIT_MARGIN


def _touching(physics: Physics) -> set[tuple[int, int]]:
    """Pairs of geoms in contact with the robot, self-contacts included."""
    model, data = physics.model, physics.data
    pairs = {tuple(sorted(map(int, data.contact[k].geom))) for k in range(data.ncon)}
    return {
        (one, other)
        for one, other in pairs
        if any(model.body(model.geom_bodyid[geom]).name.startswith(_ROBOT_BODIES) for geom in (one, other))
    }


@register(
    AxisInfo(
        name="robot.qpos",
        stage=Stage.PHYSICS,
        unit=RADIANS,
        value_means="length of the offset of the seven joint positions, in a random direction",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.1, 0.2, 0.3, 0.4, 0.5),
        source="LIBERO-plus: 0.1 to 0.5 rad",
    )
)
def robot_qpos(physics: Physics, value: float, rng: np.random.Generator) -> None:
    """The arm starts in another pose and holds it until the policy acts.

    Raises:
        Infeasible: there is no arm, or every sampled pose is in contact or beyond the joint limits.
    """
    start = physics.robot_qpos
    if not start.size:
        raise Infeasible("robot.qpos: this scene has no arm")
    low, high = _limits(physics.model, start.size)
    physics.forward()
    touching = _touching(physics)
    for _ in range(MAX_DRAWS):
        pose = start + value * drawn_direction(rng, start.size)
        if (pose < low).any() or (pose > high).any():
            continue
        physics.set_robot(pose)
        physics.forward()
        if _touching(physics) <= touching:
            return
    physics.set_robot(start)
    raise Infeasible(
        f"robot.qpos:{value:g}: the arm touches something or its limits in each of {MAX_DRAWS} sampled poses"
    )
