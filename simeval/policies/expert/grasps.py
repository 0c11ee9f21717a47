"""How the scripted expert can hold an object: the hand's measures, and the grasps that each kind of object offers."""

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
"""Opening of the fingers (m) from which on they are open; they open to 0.078."""

# The hand (m), measured on robosuite's Panda gripper. Its point is the middle between the fingertips.
FINGER = 0.052
"""From the middle of the open fingers to one finger."""
FINGER_RADIUS = 0.012
TIP = 0.010
"""How far the fingertips reach below the hand's point."""
PALM = 0.040
"""How far above the hand's point the palm is."""
PALM_REACH = 0.10
PALM_RADIUS = 0.035
_FINGERS = np.linspace(-FINGER, FINGER, 9)
_PALM = np.linspace(-PALM_REACH, PALM_REACH, 7)
"""Places along the finger axis that are looked at. Closing fingers sweep all that is between them."""

# Grasps (m).
GRIP_DEPTH = 0.018
"""How far below a bowl's rim the hand's point goes."""
RIM_POINTS = 24
BLOCK_DEPTH = 0.030
"""How far below a block's top the hand's point goes, if the block is that high."""
MAX_WIDTH = 0.072
"""Widest block that the fingers fit around."""
SQUEEZE = 0.004
"""How much wider than a block the fingers may still be when they hold it."""


@dataclass(frozen=True, slots=True)
class Grasp:
    """Where the hand holds an object.

    Attributes:
        point: `float64[3]`, where the hand's point goes (m).
        outward: `float64[2]`, unit vector along the finger axis, away from a bowl's middle.
        width: opening of the fingers that hold it, at most (m).
    """

    point: Vector
    outward: Vector
    width: float


def opening(state: Privileged) -> float:
    """Distance between the fingers (m)."""
    return float(state.gripper[0] - state.gripper[1])


def body_of(state: Privileged, name: str) -> CollisionBox:
    """What an object that can be held takes up."""
    (box,) = PARTS[category(name)]
    return solid(state.objects[name], box)


def possible_grasps(state: Privileged, name: str) -> Iterator[Grasp]:
    """Every way that an object can be held from above."""
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
    """How deep other things stand in the open hand at each grasp (m), summed over parts of the hand: `float64[n]`."""
    depth = np.zeros(len(options))
    points, outward = np.stack([grasp.point for grasp in options]), np.stack([grasp.outward for grasp in options])
    for along, radius, below in ((_FINGERS, FINGER_RADIUS, TIP), (_PALM, PALM_RADIUS, -PALM)):
        parts = points[:, np.newaxis, :2] + along[:, np.newaxis] * outward[:, np.newaxis]
        for other in others:
            inside = np.maximum(radius - other.distance(parts), 0).sum(axis=1)
            depth += np.where(other.top > points[:, 2] - below, inside, 0)
    return depth


def mismatch(grasp: Grasp, state: Privileged) -> float:
    """How far the hand is from a grasp (m); a radian between the finger axes counts as much as 10 cm."""
    turn = abs(between(rotation(state.hand)[:2, 0], grasp.outward))
    return float(np.linalg.norm(grasp.point - state.hand.pos)) + 0.1 * turn


def reached(state: Privileged, grasp: Grasp) -> bool:
    """Whether open fingers are around what they are to hold."""
    return _deviates(state, grasp, np.array([0.01, 0.01, 0.01]), 0.15)


def held(state: Privileged, grasp: Grasp) -> bool:
    """Whether closed fingers hold it; it may have slipped a little."""
    return _deviates(state, grasp, np.array([0.025, 0.02, 0.02]), 0.4)


def _deviates(state: Privileged, grasp: Grasp, most: Vector, angle: float) -> bool:
    """Whether the hand is no further from a grasp than this.

    Args:
        state: where the hand is.
        grasp: where it should be.
        most: `float64[3]`, along the finger axis, level across it, and vertical (m).
        angle: between the finger axes (rad).
    """
    off = state.hand.pos - grasp.point
    x, y = grasp.outward
    deviation = np.abs([off[0] * x + off[1] * y, off[1] * x - off[0] * y, off[2]])
    turn = between(rotation(state.hand)[:2, 0], grasp.outward)
    return bool((deviation < most).all() and abs(turn) < angle)


def between(first: Vector, second: Vector) -> float:
    """Angle from one line to another, in [-pi/2, pi/2] (rad): a line has no front."""
    angle = float(np.arctan2(*second[::-1]) - np.arctan2(*first[::-1]))
    return (angle + np.pi / 2) % np.pi - np.pi / 2


def unit(vector: Vector) -> Vector:
    """The same direction with length 1."""
    unit: Vector = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return unit
