"""How the scripted expert moves: actions, turns of the hand, and the way around what stands in the scene."""

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
"""What an action of 1 asks for. Source: LIBERO's OSC_POSE controller."""

POSITION_GAIN = 2.5
ROTATION_GAIN = 1.5
"""What is asked for per deviation. In one control step the controller covers about a third of what it is asked for."""

OPEN, CLOSE = -1.0, 1.0

HOME_AXIS = np.array([0.0, 1.0])
"""Along the fingers at the start of an episode. Other directions cost joint range."""

# Moving (m).
CLEARANCE = 0.015
"""Height above obstacles."""
ALIGNED = (0.005, 0.015)
"""Horizontal deviations at which the hand goes all the way down, and at which it does not go down at all."""
TURNED = (0.1, 0.3)
"""The same for the angle (rad) that it must still turn by."""
LOOK_AHEAD = 0.06
"""Part of the way that must be clear before the hand moves sideways."""
WAY_POINTS = 17
RETREAT = 0.03
"""Speed of going up after the work is done, per control step."""


@dataclass(frozen=True, slots=True)
class HeldObject:
    """A part of the moving hand, for keeping it clear of obstacles: an upright cylinder without a top.

    Attributes:
        beside: `float64[2]`, its axis, from the hand's point (m).
        radius: m.
        below: how far its underside is below the hand's point (m).
    """

    beside: Vector
    radius: float
    below: float


HAND = (HeldObject(np.zeros(2), FINGER + FINGER_RADIUS, TIP), HeldObject(np.zeros(2), PALM_REACH, -PALM))


class Waypoints:
    """From the hand to a point: up over what is in between, across, and down."""

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
        """How to move now: `float64[3]` (m).

        Args:
            turn: angle (rad) that the hand must still turn by before it goes down.
        """
        move: Vector = self._goal - self._hand
        hover = max(self._goal[2], self._heights.max())
        off = max(share(self._far, ALIGNED), share(turn, TURNED))
        if self._far > ALIGNED[1]:
            soon = self._heights[self._fractions * self._far <= LOOK_AHEAD].max()
            move[:2] *= np.clip((self._hand[2] - soon) / CLEARANCE + 1, 0, 1)
            move[2] = hover - self._hand[2]
        else:
            # What went a little off on the way down stops there until it is put right; it does not go up again.
            funnel = off * hover + (1 - off) * self._goal[2] - self._hand[2]
            move[2] = funnel if funnel < 0 else min(funnel, max(move[2], 0))
        return move


def share(value: float, limits: tuple[float, float]) -> float:
    """How far a value is from the lower limit to the upper, in [0, 1]."""
    return float(np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1))


def approach(state: Privileged, grasp: Grasp, besides: Sequence[CollisionBox] = ()) -> ActionChunk:
    """Open the fingers and bring them around what they are to hold.

    Args:
        state: the scene.
        grasp: where to.
        besides: further obstacles.
    """
    way = Waypoints(state, grasp.point, HAND, [*solids(state), *besides])
    if opening(state) < OPENED and way.crowded():
        return action(np.zeros(3), np.zeros(3), OPEN)
    turn = turn_down(state, grasp.outward)
    return action(way.step(float(np.linalg.norm(turn))), turn, OPEN)


def retreat(state: Privileged) -> ActionChunk:
    """Let go, then go up out of the way."""
    if opening(state) < OPENED:
        return action(np.zeros(3), np.zeros(3), OPEN)
    way = Waypoints(state, state.hand.pos, HAND, list(solids(state)))
    return action(np.array([0, 0, RETREAT if way.crowded() else 0]), np.zeros(3), OPEN)


def turn_down(state: Privileged, axis: Vector) -> Vector:
    """The turn that makes the hand point down with its fingers along a line: `float64[3]`, axis times angle (rad).

    Args:
        state: how the hand is turned.
        axis: `float64[2]`, the line. Of its two directions the one nearer to now and to home is taken.
    """
    x = np.array([*unit(axis), 0.0])
    # Always the nearer direction would let the last joint wind up to its limit.
    x *= 1.0 if x[:2] @ (rotation(state.hand)[:2, 0] + HOME_AXIS) >= 0 else -1.0
    return turn_to(state, x, np.array([0.0, 0.0, -1.0]))


def turn_to(state: Privileged, fingers: Vector, pointing: Vector) -> Vector:
    """The turn that gives the hand a direction: `float64[3]`, axis times angle (rad).

    Args:
        state: how the hand is turned.
        fingers: `float64[3]`, unit vector, along the fingers.
        pointing: `float64[3]`, unit vector, where the hand points.
    """
    wanted = np.stack([fingers, np.cross(pointing, fingers), pointing], axis=1)
    error = wanted @ rotation(state.hand).T
    sine = np.array([error[2, 1] - error[1, 2], error[0, 2] - error[2, 0], error[1, 0] - error[0, 1]]) / 2
    angle = np.arctan2(np.linalg.norm(sine), (np.trace(error) - 1) / 2)
    turn: Vector = unit(sine) * angle
    return turn


def action(move: Vector, turn: Vector, gripper: float) -> ActionChunk:
    """An action that moves by metres and turns by radians, as far as one control step allows."""
    chosen = np.empty(ACTION_SIZE, np.float32)
    chosen[:3] = np.clip(POSITION_GAIN * move / METRES_PER_UNIT, -1, 1)
    chosen[3:6] = np.clip(ROTATION_GAIN * turn / RADIANS_PER_UNIT, -1, 1)
    chosen[6] = gripper
    return chosen
