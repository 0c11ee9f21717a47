"""A scripted expert that sees the simulator's state: it picks things up and puts them down.

It has no memory. What it does follows from where the hand, its fingers and the objects are, so it can also say what to
do in states that another policy got into.

Non-obvious behaviour:
    - It reads goals, never instructions, and takes the first atom of a goal that does not look done.
    - It knows objects by their category (`expert_scene`); `supports(goal)` tells in advance whether it knows enough.
    - Fingers take 8 control steps to close, so that "closing" and "holding" are told apart by their opening.
    - Once the elbow is stretched to its limit, LIBERO's controller may not get it out again; grasps and places within
      `REACH` are preferred, but a state in which another policy did this can stay stuck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.base import ACTION_SIZE, Atom, Goal, Pose, Privileged
from simeval.errors import ConfigError, EpisodeError
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.policies.expert_grasps import (
    FINGER,
    FINGER_RADIUS,
    OPENED,
    PALM,
    PALM_REACH,
    TIP,
    Grasp,
    between,
    blocked,
    body_of,
    held,
    mismatch,
    opening,
    possible_grasps,
    reached,
    unit,
)
from simeval.policies.expert_scene import (
    BLOCKS,
    PLACES,
    RIMS,
    Place,
    Solid,
    Vector,
    category,
    place_key,
    rotation,
    solids,
)

METRES_PER_UNIT = 0.05
RADIANS_PER_UNIT = 0.5
"""What an action of 1 asks for. Source: LIBERO's OSC_POSE controller."""

POSITION_GAIN = 2.5
ROTATION_GAIN = 1.5
"""What is asked for per deviation. In one control step the controller covers about a third of what it is asked for."""

OPEN, CLOSE = -1.0, 1.0

# Choosing a grasp.
HOME_AXIS = np.array([0.0, 1.0])
"""Along the fingers at the start of an episode. Other directions cost joint range."""
BLOCKED_COST = 10.0
TURN_COST = 0.01
"""Metres of obstacle or stretch that the hand would rather have than turn by a radian."""
WAY_COST = 0.01
"""As much per metre of the way to the grasp, so that the hand does not dither between two equal ones."""
BASE = np.array([-0.66, 0.0])
"""Where the robot stands. Source: the kitchen table, where it is farthest from the objects."""
REACH = 0.74
"""Horizontal distance from the base beyond which the elbow is almost straight and the hand tilts."""

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
OVERHANG = 0.004
"""Horizontal distance from what is higher than a thing, before the thing is lifted."""
LET_GO = 0.008
"""Height above its place from which on a thing is let go."""
INSIDE = 0.03
"""How far below the top of a fence a thing is let go."""
PRESS = 0.005
"""How far below its place a thing is aimed, so that the last millimetres are not slow."""
RETREAT = 0.03
"""Speed of going up after the work is done, per control step."""


@dataclass(frozen=True, slots=True)
class Load:
    """A part of the moving hand, for keeping it clear of obstacles: an upright cylinder without a top.

    Attributes:
        beside: `float64[2]`, its axis, from the hand's point (m).
        radius: m.
        below: how far its underside is below the hand's point (m).
    """

    beside: Vector
    radius: float
    below: float


HAND = (Load(np.zeros(2), FINGER + FINGER_RADIUS, TIP), Load(np.zeros(2), PALM_REACH, -PALM))


class LiberoExpert:
    """Picks up what the goal names and puts it where the goal says."""

    spec = PolicySpec("expert", n_action_steps=1, cameras=(), privileged=True)

    def check(self, goal: Goal) -> None:
        """Refuse a goal that it cannot reach.

        Raises:
            ConfigError: naming the atom.
        """
        for atom in goal:
            if not _known(atom):
                raise ConfigError(
                    f"the expert cannot do '{' '.join(atom)}'; it only picks things up and puts them down"
                )

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """One action for each input.

        Raises:
            EpisodeError: an input has no privileged state, or a goal that is not supported or not for its scene.
        """
        return [self._act(request.privileged) for request in inputs]

    def _act(self, state: Privileged | None) -> ActionChunk:
        if state is None:
            raise EpisodeError("policy", "the expert needs the simulator's state")
        try:
            self.check(state.goal)
        except ConfigError as error:
            raise EpisodeError("policy", str(error)) from None
        missing = {place_key(name)[0] for atom in state.goal for name in atom[1:]} - state.objects.keys()
        if missing:
            raise EpisodeError("policy", f"the goal names what is not in the scene: {', '.join(sorted(missing))}")
        return next_action(state)[np.newaxis]


def supports(goal: Goal) -> bool:
    """Whether the expert knows how to reach a goal."""
    return all(_known(atom) for atom in goal)


def _known(atom: Atom) -> bool:
    if len(atom) != 3 or atom[0] not in ("on", "in"):
        return False
    return category(atom[1]) in BLOCKS | RIMS.keys() and place_key(atom[2])[1] in PLACES


def next_action(state: Privileged) -> ActionChunk:
    """The action, `float32[7]`, for a state whose goal is supported."""
    for _, name, where in state.goal:
        owner, key = place_key(where)
        errand = _Errand(state, name, state.objects[owner], PLACES[key])
        if not errand.done():
            return errand.action()
    return _retreat(state)


class _Errand:
    """One object to be brought to one place."""

    def __init__(self, state: Privileged, name: str, owner: Pose, place: Place) -> None:
        self._state, self._name = state, name
        self._hand, self._opening = state.hand.pos, opening(state)
        self._pos, self._body = state.objects[name].pos, body_of(state, name)
        self._middle = owner.pos + rotation(owner) @ np.array(place.center)
        self._radius, self._fence = place.radius, owner.pos[2] + place.fence if place.fence else None

    def done(self) -> bool:
        """Whether the object is in its place, or falls there when let go."""
        beside = np.linalg.norm((self._pos - self._middle)[:2])
        height = self._middle[2] + LET_GO if self._fence is None else self._fence - INSIDE
        return bool(beside < self._radius and self._body.bottom < height)

    def action(self) -> ActionChunk:
        """Approach, close or carry, whichever the hand is ready for."""
        grasps = list(possible_grasps(self._state, self._name))
        here = min(grasps, key=lambda grasp: mismatch(grasp, self._state))
        if self._opening < here.width and held(self._state, here):
            return self._carry()
        if held(self._state, here) if self._opening < OPENED else reached(self._state, here):
            return _action(here.point - self._hand, _turn(self._state, here.outward), CLOSE)
        return self._approach(self._best(grasps))

    def _best(self, options: Sequence[Grasp]) -> Grasp:
        """The grasp with least in its way, for which the arm turns and stretches least."""
        others = list(solids(self._state, without=self._name))
        costs = BLOCKED_COST * blocked(options, others) + [self._effort(grasp) for grasp in options]
        return options[int(np.argmin(costs))]

    def _effort(self, grasp: Grasp) -> float:
        there = grasp.point + self._middle - self._pos
        stretch = sum(max(0.0, float(np.linalg.norm(end[:2] - BASE)) - REACH) for end in (grasp.point, there))
        turn = abs(between(grasp.outward, HOME_AXIS))
        way = float(np.linalg.norm(grasp.point - self._hand))
        return stretch + TURN_COST * turn + WAY_COST * way

    def _carry(self) -> ActionChunk:
        below = float(self._hand[2] - self._body.bottom)
        cargo = Load((self._pos - self._hand)[:2], float(self._body.half[:2].max()), below)
        goal = self._hand + self._middle - [*self._pos[:2], self._body.bottom + PRESS]
        if self._fence is not None:
            goal[2] = max(goal[2], self._fence - PALM + CLEARANCE)
        turn = _turn(self._state, rotation(self._state.hand)[:2, 0])
        others = list(solids(self._state, without=self._name))
        for other in others:
            overlap = cargo.radius + OVERHANG - float(other.distance(self._pos))
            # The cabinet's top reaches over the back of an open drawer.
            if other.top > self._body.top and overlap > 0:
                return _action(np.array([*(overlap + OVERHANG) * other.away(self._pos), 0.0]), turn, CLOSE)
        return _action(_Way(self._state, goal, [cargo, *HAND], others).step(), turn, CLOSE)

    def _approach(self, grasp: Grasp) -> ActionChunk:
        way = _Way(self._state, grasp.point, HAND, list(solids(self._state)))
        if self._opening < OPENED and way.crowded():
            return _action(np.zeros(3), np.zeros(3), OPEN)
        turn = _turn(self._state, grasp.outward)
        return _action(way.step(float(np.linalg.norm(turn))), turn, OPEN)


class _Way:
    """From the hand to a point: up over what is in between, across, and down."""

    def __init__(self, state: Privileged, goal: Vector, loads: Sequence[Load], obstacles: Sequence[Solid]) -> None:
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
        off = max(_share(self._far, ALIGNED), _share(turn, TURNED))
        if self._far > ALIGNED[1]:
            soon = self._heights[self._fractions * self._far <= LOOK_AHEAD].max()
            move[:2] *= np.clip((self._hand[2] - soon) / CLEARANCE + 1, 0, 1)
            move[2] = hover - self._hand[2]
        else:
            # What went a little off on the way down stops there until it is put right; it does not go up again.
            funnel = off * hover + (1 - off) * self._goal[2] - self._hand[2]
            move[2] = funnel if funnel < 0 else min(funnel, max(move[2], 0))
        return move


def _share(value: float, limits: tuple[float, float]) -> float:
    """How far a value is from the lower limit to the upper, in [0, 1]."""
    return float(np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1))


def _retreat(state: Privileged) -> ActionChunk:
    """Let go, then go up out of the way."""
    if opening(state) < OPENED:
        return _action(np.zeros(3), np.zeros(3), OPEN)
    way = _Way(state, state.hand.pos, HAND, list(solids(state)))
    return _action(np.array([0, 0, RETREAT if way.crowded() else 0]), np.zeros(3), OPEN)


def _turn(state: Privileged, axis: Vector) -> Vector:
    """The turn that makes the hand point down with its fingers along a line: `float64[3]`, axis times angle (rad).

    Args:
        state: how the hand is turned.
        axis: `float64[2]`, the line. Of its two directions the one nearer to now and to home is taken.
    """
    now = rotation(state.hand)
    x = np.array([*unit(axis), 0.0])
    # Always the nearer direction would let the last joint wind up to its limit.
    x *= 1.0 if x[:2] @ (now[:2, 0] + HOME_AXIS) >= 0 else -1.0
    down = np.array([0.0, 0.0, -1.0])
    error = np.stack([x, np.cross(down, x), down], axis=1) @ now.T
    sine = np.array([error[2, 1] - error[1, 2], error[0, 2] - error[2, 0], error[1, 0] - error[0, 1]]) / 2
    angle = np.arctan2(np.linalg.norm(sine), (np.trace(error) - 1) / 2)
    turn: Vector = unit(sine) * angle
    return turn


def _action(move: Vector, turn: Vector, gripper: float) -> ActionChunk:
    """An action that moves by metres and turns by radians, as far as one control step allows."""
    action = np.empty(ACTION_SIZE, np.float32)
    action[:3] = np.clip(POSITION_GAIN * move / METRES_PER_UNIT, -1, 1)
    action[3:6] = np.clip(ROTATION_GAIN * turn / RADIANS_PER_UNIT, -1, 1)
    action[6] = gripper
    return action
