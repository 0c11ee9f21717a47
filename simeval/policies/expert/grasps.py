"""Grasps of the scripted expert: dimensions of the hand, and the possible grasps of each kind of object."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from envs.base import Privileged
from simeval.policies.expert.scene import (
    NECKS,
    PARTS,
    RIMS,
    CollisionBox,
    Vector,
    category,
    rotation,
    solid,
)

OPENED = 0.07
"""Opening (m) above which the fingers count as open; they open to 0.078."""

# The hand (m), measured on robosuite's Panda gripper. The hand's point is midway between the fingertips.
FINGER = 0.052
"""Distance from the hand's point to an open finger."""
FINGER_RADIUS = 0.012
TIP = 0.010
"""Extent of the fingertips below the hand's point."""
PALM = 0.040
"""Height of the palm above the hand's point."""
PALM_REACH = 0.10
PALM_RADIUS = 0.035
_FINGERS = np.linspace(-FINGER, FINGER, 9)
_PALM = np.linspace(-PALM_REACH, PALM_REACH, 7)
"""Sample points along the finger axis. Closing fingers sweep everything between them."""

# Grasps (m).
GRIP_DEPTH = 0.018
"""Depth of the hand's point below a bowl's rim."""
RIM_POINTS = 24
BLOCK_DEPTH = 0.030
"""Depth of the hand's point below a block's top, if the block is that high."""
MAX_WIDTH = 0.072
"""Widest block that fits between the fingers."""
SQUEEZE = 0.004
"""The fingers hold a block if their opening exceeds its width by at most this."""


@dataclass(frozen=True, slots=True)
class Grasp:
    """A grasp of an object.

    Attributes:
        point: `float64[3]`, target of the hand's point (m).
        outward: `float64[2]`, unit vector along the finger axis, away from a bowl's centre.
        width: largest opening of fingers that hold the object (m).
    """

    point: Vector
    outward: Vector
    width: float


def opening(state: Privileged) -> float:
    """Distance between the fingers (m)."""
    return float(state.gripper[0] - state.gripper[1])


def body_of(state: Privileged, name: str) -> CollisionBox:
    """The space that a graspable object occupies."""
    (box,) = PARTS[category(name)]
    return solid(state.objects[name], box)


def possible_grasps(state: Privileged, name: str) -> Iterator[Grasp]:
    """All grasps of an object from above."""
    rim, pose = RIMS.get(category(name)), state.objects[name]
    if rim is not None:
        axes = rotation(pose)
        for angle in np.arange(RIM_POINTS) * (2 * np.pi / RIM_POINTS):
            point = pose.pos + axes @ [rim.radius * np.cos(angle), rim.radius * np.sin(angle), rim.height]
            yield Grasp(point - [0, 0, GRIP_DEPTH], unit((point - pose.pos)[:2]), rim.wall)
        return
    body = body_of(state, name)
    height = max(body.top - BLOCK_DEPTH, body.bottom + TIP)
    for half, across in zip(body.half, (body.across, body.across + np.pi / 2), strict=False):
        if 2 * half < MAX_WIDTH:
            point = np.array([*body.center[:2], height])
            width = NECKS.get(category(name), 2 * float(half) + SQUEEZE)
            yield Grasp(point, np.array([np.cos(across), np.sin(across)]), width)


def blocked(options: Sequence[Grasp], others: Sequence[CollisionBox]) -> Vector:
    """Overlap of other objects with the open hand at each grasp (m), summed over parts of the hand: `float64[n]`."""
    depth = np.zeros(len(options))
    points, outward = np.stack([grasp.point for grasp in options]), np.stack([grasp.outward for grasp in options])
    for along, radius, below in ((_FINGERS, FINGER_RADIUS, TIP), (_PALM, PALM_RADIUS, -PALM)):
        parts = points[:, np.newaxis, :2] + along[:, np.newaxis] * outward[:, np.newaxis]
        for other in others:
            inside = np.maximum(radius - other.distance(parts), 0).sum(axis=1)
            depth += np.where(other.top > points[:, 2] - below, inside, 0)
    return depth


def mismatch(grasp: Grasp, state: Privileged) -> float:
    """Distance of the hand from a grasp (m); a radian between the finger axes counts as 10 cm."""
    turn = abs(between(rotation(state.hand)[:2, 0], grasp.outward))
    return float(np.linalg.norm(grasp.point - state.hand.pos)) + 0.1 * turn


def reached(state: Privileged, grasp: Grasp) -> bool:
    """Whether the open fingers are in place to close."""
    return _within(state, grasp, np.array([0.01, 0.01, 0.01]), 0.15)


def held(state: Privileged, grasp: Grasp) -> bool:
    """Whether the closed fingers hold the object; it may have slipped slightly."""
    return _within(state, grasp, np.array([0.025, 0.02, 0.02]), 0.4)


def _within(state: Privileged, grasp: Grasp, most: Vector, angle: float) -> bool:
    """Whether the hand deviates from a grasp by less than the given limits.

    Args:
        state: the scene, with the hand's pose.
        grasp: the target grasp.
        most: limits, `float64[3]`: along the finger axis, horizontally across it, and vertical (m).
        angle: limit of the angle between the finger axes (rad).
    """
    off = state.hand.pos - grasp.point
    x, y = grasp.outward
    deviation = np.abs([off[0] * x + off[1] * y, off[1] * x - off[0] * y, off[2]])
    turn = between(rotation(state.hand)[:2, 0], grasp.outward)
    return bool((deviation < most).all() and abs(turn) < angle)


def between(first: Vector, second: Vector) -> float:
    """Angle from one line to another, in [-pi/2, pi/2] (rad): a line has no direction."""
    angle = float(np.arctan2(*second[::-1]) - np.arctan2(*first[::-1]))
    return (angle + np.pi / 2) % np.pi - np.pi / 2


def unit(vector: Vector) -> Vector:
    """The same direction with length 1."""
    unit: Vector = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return unit
