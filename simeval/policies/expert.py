"""A scripted expert that sees the simulator's state: it picks things up and puts them down.

It has no memory. What it does follows from where the hand, its fingers and the objects are, so it can also say what to
do in states that another policy got into.

Non-obvious behaviour:
    - It reads goals, never instructions, and takes the first atom of a goal that does not look done.
    - It knows the objects in `expert_scene` by their category; `supports` tells in advance whether it knows enough.
    - Fingers take 8 control steps to close, so that "closing" and "holding" are told apart by their opening.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from envs.base import ACTION_SIZE, Atom, Goal, Pose, Privileged
from simeval.errors import ConfigError, EpisodeError
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.policies.expert_scene import (
    BLOCKS,
    PARTS,
    PLACES,
    RIMS,
    Place,
    Solid,
    Vector,
    category,
    place_key,
    rotation,
    solid,
    solids,
)

METRES_PER_UNIT = 0.05
RADIANS_PER_UNIT = 0.5
"""What an action of 1 asks for. Source: LIBERO's OSC_POSE controller."""

POSITION_GAIN = 2.5
ROTATION_GAIN = 1.5
"""What is asked for per deviation. In one control step the controller covers about a third of what it is asked for."""

OPEN, CLOSE = -1.0, 1.0
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
HOME_AXIS = np.array([0.0, 1.0])
"""Along the fingers at the start of an episode. Other directions cost joint range."""

# Grasps (m).
GRIP_DEPTH = 0.018
"""How far below a bowl's rim the hand's point goes."""
RIM_POINTS = 24
MAX_WIDTH = 0.072
"""Widest block that the fingers fit around."""
SQUEEZE = 0.004
"""How much wider than a block the fingers may still be when they hold it."""
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
LET_GO = 0.008
"""Height above its place from which on a thing is let go."""
INSIDE = 0.03
"""How far below the top of a fence a thing is let go."""
PRESS = 0.005
"""How far below its place a thing is aimed, so that the last millimetres are not slow."""
RETREAT = 0.03
"""Speed of going up after the work is done, per control step."""


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

    def supports(self, goal: Goal) -> bool:
        """Whether it knows how to reach a goal."""
        return all(_known(atom) for atom in goal)

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
            EpisodeError: an input has no privileged state, or a goal that is not supported.
        """
        return [self._act(request.privileged) for request in inputs]

    def _act(self, state: Privileged | None) -> ActionChunk:
        if state is None:
            raise EpisodeError("policy", "the expert needs the simulator's state")
        try:
            self.check(state.goal)
        except ConfigError as error:
            raise EpisodeError("policy", str(error)) from None
        return next_action(state)[np.newaxis]


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
        self._hand, self._opening = state.hand.pos, _opening(state)
        self._pos, self._body = state.objects[name].pos, _body(state, name)
        self._middle = owner.pos + rotation(owner) @ np.array(place.center)
        self._radius, self._fence = place.radius, owner.pos[2] + place.fence if place.fence else None

    def done(self) -> bool:
        """Whether the object is in its place, or falls there when let go."""
        beside = np.linalg.norm((self._pos - self._middle)[:2])
        height = self._middle[2] + LET_GO if self._fence is None else self._fence - INSIDE
        return bool(beside < self._radius and self._body.bottom < height)

    def action(self) -> ActionChunk:
        """Approach, close or carry, whichever the hand is ready for."""
        grasps = list(_grasps(self._state, self._name))
        here = min(grasps, key=lambda grasp: _distance(grasp, self._state))
        if self._opening < here.width and _held(self._state, here):
            return self._carry()
        if _held(self._state, here) if self._opening < OPENED else _reached(self._state, here):
            return _action(here.point - self._hand, _turn(self._state, here.outward), CLOSE)
        others = list(solids(self._state, without=self._name))
        return self._approach(min(grasps, key=lambda grasp: self._cost(grasp, others)))

    def _cost(self, grasp: Grasp, others: Sequence[Solid]) -> float:
        """How much is in the way of a grasp (m), and how far it makes the arm turn and stretch."""
        there = grasp.point + self._middle - self._pos
        stretch = sum(max(0.0, float(np.linalg.norm(end[:2] - BASE)) - REACH) for end in (grasp.point, there))
        turn = abs(_between(grasp.outward, HOME_AXIS))
        way = float(np.linalg.norm(grasp.point - self._hand))
        return BLOCKED_COST * _blocked(grasp, others) + stretch + TURN_COST * turn + WAY_COST * way

    def _carry(self) -> ActionChunk:
        below = float(self._hand[2] - self._body.bottom)
        cargo = Load((self._pos - self._hand)[:2], float(self._body.half[:2].max()), below)
        goal = self._hand + self._middle - [*self._pos[:2], self._body.bottom + PRESS]
        if self._fence is not None:
            goal[2] = max(goal[2], self._fence - PALM + CLEARANCE)
        level = rotation(self._state.hand)[:2, 0]
        way = _Way(self._state, goal, [cargo, *HAND], list(solids(self._state, without=self._name)))
        return _action(way.step(), _turn(self._state, level), CLOSE)

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
    if _opening(state) < OPENED:
        return _action(np.zeros(3), np.zeros(3), OPEN)
    way = _Way(state, state.hand.pos, HAND, list(solids(state)))
    return _action(np.array([0, 0, RETREAT if way.crowded() else 0]), np.zeros(3), OPEN)


def _opening(state: Privileged) -> float:
    return float(state.gripper[0] - state.gripper[1])


def _body(state: Privileged, name: str) -> Solid:
    (box,) = PARTS[category(name)]
    return solid(state.objects[name], box)


def _grasps(state: Privileged, name: str) -> Iterator[Grasp]:
    """Every way that an object can be held from above."""
    rim, pose = RIMS.get(category(name)), state.objects[name]
    if rim is not None:
        axes = rotation(pose)
        for angle in np.arange(RIM_POINTS) * (2 * np.pi / RIM_POINTS):
            point = pose.pos + axes @ [rim.radius * np.cos(angle), rim.radius * np.sin(angle), rim.height]
            yield Grasp(point - [0, 0, GRIP_DEPTH], _unit((point - pose.pos)[:2]), rim.wall)
        return
    body = _body(state, name)
    height = max(body.top - BLOCKS[category(name)], body.bottom + TIP)
    for half, across in zip(body.half, (body.across, body.across + np.pi / 2), strict=False):
        if 2 * half < MAX_WIDTH:
            point = np.array([*body.center[:2], height])
            yield Grasp(point, np.array([np.cos(across), np.sin(across)]), 2 * float(half) + SQUEEZE)


def _blocked(grasp: Grasp, others: Sequence[Solid]) -> float:
    """How deep other things stand in the open hand at a grasp (m), summed over parts of the hand."""
    depth = 0.0
    parts = (
        (np.linspace(-FINGER, FINGER, 9), FINGER_RADIUS, TIP),
        (np.linspace(-PALM_REACH, PALM_REACH, 7), PALM_RADIUS, -PALM),
    )
    for along, radius, below in parts:
        points = grasp.point[:2] + np.outer(along, grasp.outward)
        for other in others:
            if other.top > grasp.point[2] - below:
                depth += float(np.maximum(radius - other.distance(points), 0).sum())
    return depth


def _distance(grasp: Grasp, state: Privileged) -> float:
    """How far the hand is from a grasp (m); a radian between the finger axes counts as much as 10 cm."""
    turn = abs(_between(rotation(state.hand)[:2, 0], grasp.outward))
    return float(np.linalg.norm(grasp.point - state.hand.pos)) + 0.1 * turn


def _reached(state: Privileged, grasp: Grasp) -> bool:
    """Whether open fingers are around what they are to hold."""
    return _deviates(state, grasp, np.array([0.01, 0.01, 0.01]), 0.15)


def _held(state: Privileged, grasp: Grasp) -> bool:
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
    turn = _between(rotation(state.hand)[:2, 0], grasp.outward)
    return bool((deviation < most).all() and abs(turn) < angle)


def _between(first: Vector, second: Vector) -> float:
    """Angle from one line to another, in [-pi/2, pi/2] (rad): a line has no front."""
    angle = float(np.arctan2(*second[::-1]) - np.arctan2(*first[::-1]))
    return (angle + np.pi / 2) % np.pi - np.pi / 2


def _unit(vector: Vector) -> Vector:
    unit: Vector = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return unit


def _turn(state: Privileged, axis: Vector) -> Vector:
    """The turn that makes the hand point down with its fingers along a line: `float64[3]`, axis times angle (rad).

    Args:
        state: how the hand is turned.
        axis: `float64[2]`, the line. Of its two directions the one nearer to now and to home is taken.
    """
    now = rotation(state.hand)
    x = np.array([*_unit(axis), 0.0])
    # Always the nearer direction would let the last joint wind up to its limit.
    x *= 1.0 if x[:2] @ (now[:2, 0] + HOME_AXIS) >= 0 else -1.0
    down = np.array([0.0, 0.0, -1.0])
    error = np.stack([x, np.cross(down, x), down], axis=1) @ now.T
    sine = np.array([error[2, 1] - error[1, 2], error[0, 2] - error[2, 0], error[1, 0] - error[0, 1]]) / 2
    angle = np.arctan2(np.linalg.norm(sine), (np.trace(error) - 1) / 2)
    return _unit(sine) * angle


def _action(move: Vector, turn: Vector, gripper: float) -> ActionChunk:
    """An action that moves by metres and turns by radians, as far as one control step allows."""
    action = np.empty(ACTION_SIZE, np.float32)
    action[:3] = np.clip(POSITION_GAIN * move / METRES_PER_UNIT, -1, 1)
    action[3:6] = np.clip(ROTATION_GAIN * turn / RADIANS_PER_UNIT, -1, 1)
    action[6] = gripper
    return action
