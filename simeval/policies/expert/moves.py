"""Motions of the scripted expert: actions, rotations of the hand, and paths around obstacles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.base import ACTION_SIZE, Privileged
from simeval.policies.base import ActionChunk
from simeval.policies.expert.grasps import (
    FINGER,
    FINGER_RADIUS,
    OPENED,
    PALM,
    PALM_REACH,
    TIP,
    Grasp,
    opening,
    unit,
)
from simeval.policies.expert.scene import CollisionBox, Vector, rotation, solids

METRES_PER_UNIT = 0.05
RADIANS_PER_UNIT = 0.5
"""Commanded motion of an action of 1. Source: LIBERO's OSC_POSE controller."""

POSITION_GAIN = 2.5
ROTATION_GAIN = 1.5
"""Commanded motion per deviation. In one control step the controller covers about a third of a commanded motion."""

OPEN, CLOSE = -1.0, 1.0

HOME_AXIS = np.array([0.0, 1.0])
"""Finger axis at the start of an episode. Other directions reduce the remaining joint range."""

# Moving (m).
CLEARANCE = 0.015
"""Height above obstacles."""
ALIGNED = (0.005, 0.015)
"""Horizontal deviations at which the hand descends fully, and at which it does not descend at all."""
TURNED = (0.1, 0.3)
"""The same for the remaining rotation angle (rad)."""
LOOK_AHEAD = 0.06
"""Part of the path that must be clear before the hand moves sideways."""
WAY_POINTS = 17
RETREAT = 0.03
"""Speed of moving up after the task is done, per control step."""


@dataclass(frozen=True, slots=True)
class HeldObject:
    """A part of the moving hand or its load, for obstacle avoidance: an upright cylinder without a top.

    Attributes:
        beside: `float64[2]`, offset of its axis from the hand's point (m).
        radius: m.
        below: distance of its underside below the hand's point (m).
    """

    beside: Vector
    radius: float
    below: float


HAND = (HeldObject(np.zeros(2), FINGER + FINGER_RADIUS, TIP), HeldObject(np.zeros(2), PALM_REACH, -PALM))


class Waypoints:
    """A path from the hand to a point: up over the obstacles in between, across, and down."""

    def __init__(
        self, state: Privileged, goal: Vector, loads: Sequence[HeldObject], obstacles: Sequence[CollisionBox]
    ) -> None:
        self._hand, self._goal = state.hand.pos, goal
        self._far = float(np.linalg.norm((goal - self._hand)[:2]))
        self._fractions = np.linspace(0, 1, WAY_POINTS)
        points = self._hand[:2] + self._fractions[:, np.newaxis] * (goal - self._hand)[:2]
        self._heights = np.full(WAY_POINTS, -np.inf)
        for load in loads:
            for obstacle in obstacles:
                over = obstacle.distance(points + load.beside) < load.radius
                self._heights[over] = np.maximum(self._heights[over], obstacle.top + load.below + CLEARANCE)

    def crowded(self) -> bool:
        """Whether the hand is lower than something beside or below it."""
        return bool(self._hand[2] < self._heights[0])

    def step(self, turn: float = 0.0) -> Vector:
        """The next motion along the path: `float64[3]` (m).

        Args:
            turn: remaining rotation angle (rad) before the hand can descend.
        """
        move: Vector = self._goal - self._hand
        hover = max(self._goal[2], self._heights.max())
        off = max(share(self._far, ALIGNED), share(turn, TURNED))
        if self._far > ALIGNED[1]:
            soon = self._heights[self._fractions * self._far <= LOOK_AHEAD].max()
            move[:2] *= np.clip((self._hand[2] - soon) / CLEARANCE + 1, 0, 1)
            move[2] = hover - self._hand[2]
        else:
            # A hand that deviates slightly on its way down stops until that is corrected; it does not go up again.
            funnel = off * hover + (1 - off) * self._goal[2] - self._hand[2]
            move[2] = funnel if funnel < 0 else min(funnel, max(move[2], 0))
        return move


def share(value: float, limits: tuple[float, float]) -> float:
    """Position of a value between the lower and the upper limit, clipped to [0, 1]."""
    return float(np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1))


def approach(state: Privileged, grasp: Grasp, besides: Sequence[CollisionBox] = ()) -> ActionChunk:
    """Open the fingers and move them to a grasp.

    Args:
        state: the scene.
        grasp: the target.
        besides: further obstacles.
    """
    path = Waypoints(state, grasp.point, HAND, [*solids(state), *besides])
    if opening(state) < OPENED and path.crowded():
        return action(np.zeros(3), np.zeros(3), OPEN)
    turn = turn_down(state, grasp.outward)
    return action(path.step(float(np.linalg.norm(turn))), turn, OPEN)


def retreat(state: Privileged) -> ActionChunk:
    """Let go, then move up until the hand is clear."""
    if opening(state) < OPENED:
        return action(np.zeros(3), np.zeros(3), OPEN)
    path = Waypoints(state, state.hand.pos, HAND, list(solids(state)))
    return action(np.array([0, 0, RETREAT if path.crowded() else 0]), np.zeros(3), OPEN)


def turn_down(state: Privileged, axis: Vector) -> Vector:
    """The rotation that makes the hand point down with its fingers along a line: `float64[3]`, axis-angle (rad).

    Args:
        state: the scene, with the hand's pose.
        axis: `float64[2]`, the line. Of its two directions, the one nearer to the present and home axes is used.
    """
    x = np.array([*unit(axis), 0.0])
    # Always using the direction nearest to the present one would let the last joint wind up to its limit.
    x *= 1.0 if x[:2] @ (rotation(state.hand)[:2, 0] + HOME_AXIS) >= 0 else -1.0
    return turn_to(state, x, np.array([0.0, 0.0, -1.0]))


def turn_to(state: Privileged, fingers: Vector, pointing: Vector) -> Vector:
    """The rotation to a target orientation of the hand: `float64[3]`, axis-angle (rad).

    Args:
        state: the scene, with the hand's pose.
        fingers: `float64[3]`, unit vector, target finger axis.
        pointing: `float64[3]`, unit vector, target pointing direction.
    """
    target = np.stack([fingers, np.cross(pointing, fingers), pointing], axis=1)
    error = target @ rotation(state.hand).T
    sine = np.array([error[2, 1] - error[1, 2], error[0, 2] - error[2, 0], error[1, 0] - error[0, 1]]) / 2
    angle = np.arctan2(np.linalg.norm(sine), (np.trace(error) - 1) / 2)
    turn: Vector = unit(sine) * angle
    return turn


def action(move: Vector, turn: Vector, gripper: float) -> ActionChunk:
    """The action for a motion (m), a rotation (rad) and a gripper command, clipped to the action limits."""
    chosen = np.empty(ACTION_SIZE, np.float32)
    chosen[:3] = np.clip(POSITION_GAIN * move / METRES_PER_UNIT, -1, 1)
    chosen[3:6] = np.clip(ROTATION_GAIN * turn / RADIANS_PER_UNIT, -1, 1)
    chosen[6] = gripper
    return chosen
