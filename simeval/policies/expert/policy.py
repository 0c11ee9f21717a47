"""A scripted expert with access to the simulator's state, for pick-and-place tasks.

It also opens drawers, turns on the stove and drags plates (`skills`). That covers all tasks of libero_spatial,
libero_object and libero_goal, and three of libero_10.

It has no memory: the action depends only on the poses of the hand, its fingers and the objects. So it can also act from
states that another policy has reached.

Non-obvious behaviour:
    - It reads goals, never instructions, and works on the first atom of the goal that does not look done.
    - It knows objects by their category (`scene`); `supports(goal)` says in advance whether it can reach a goal.
    - Fingers take 8 control steps to close. Their opening distinguishes "closing" from "holding".
    - Once the elbow is fully stretched, LIBERO's controller may not be able to bend it again. Grasps and places within
      `REACH` are preferred, but a state that another policy has reached can remain stuck.
"""

from collections.abc import Sequence

import numpy as np

from envs.base import Atom, Goal, Privileged
from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.policies.expert.grasps import (
    OPENED,
    PALM,
    Grasp,
    between,
    blocked,
    body_of,
    held,
    mismatch,
    opening,
    possible_grasps,
    reached,
)
from simeval.policies.expert.moves import (
    CLEARANCE,
    CLOSE,
    HAND,
    HOME_AXIS,
    HeldObject,
    Waypoints,
    action,
    approach,
    retreat,
    turn_down,
)
from simeval.policies.expert.scene import (
    BLOCKS,
    DRAGGED,
    HANDLES,
    KNOBS,
    PLACES,
    RIMS,
    SPOTS,
    CollisionBox,
    Place,
    category,
    place_key,
    rotation,
    solids,
)
from simeval.policies.expert.skills import Drawer, drag, turn_knob

SUPPORTED_PREDICATES = (
    "it picks and places, opens the wooden cabinet's upper drawers, turns on the stove and drags plates"
)
"""Text of a refusal: what the expert can do."""

# Choosing a grasp.
BLOCKED_COST = 10.0
TURN_COST = 0.01
"""Cost of a radian of rotation, in metres of stretch."""
WAY_COST = 0.01
"""Cost per metre of the path to the grasp, so that the hand does not switch between two equal grasps."""
BASE = np.array([-0.66, 0.0])
"""Position of the robot's base. Source: the kitchen table, where it is farthest from the objects."""
REACH = 0.74
"""Horizontal distance from the base beyond which the elbow is almost straight and the hand tilts."""

# Carrying (m).
OVERHANG = 0.004
"""Horizontal distance from higher obstacles that an object needs before it is lifted."""
RELEASED = 0.008
"""Height above its place at which an object is released."""
INSIDE = 0.03
"""Depth below the top of a fence at which an object is released."""
PRESS = 0.005
"""Depth below its place that an object is aimed at, so that the last millimetres are not slow."""
FAR = 0.11
"""Distance that a drawer is pulled to put something in; further out it would hang over objects in front of it."""


class LiberoExpert:
    """The scripted expert as a `Policy`."""

    spec = PolicySpec("expert", n_action_steps=1, cameras=(), privileged=True)

    def check(self, goal: Goal) -> None:
        """Check that the expert can reach a goal.

        Raises:
            ConfigError: it cannot; the message names the atom.
        """
        for atom in goal:
            if not _known(atom):
                raise ConfigError(f"the expert cannot do '{' '.join(atom)}'; {SUPPORTED_PREDICATES}")

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Return one action for each input.

        Raises:
            EpisodeError: an input has no privileged state, an unsupported goal, or a goal of another scene.
        """
        return [self._act(request.privileged) for request in inputs]

    def _act(self, state: Privileged | None) -> ActionChunk:
        if state is None:
            raise EpisodeError("policy", "the expert needs the simulator's state")
        try:
            self.check(state.goal)
        except ConfigError as error:
            raise EpisodeError("policy", str(error)) from None
        required = {place_key(name)[0] for atom in state.goal for name in atom[1:] if name not in SPOTS}
        missing = required - state.objects.keys()
        if missing:
            raise EpisodeError("policy", f"the goal names what is not in the scene: {', '.join(sorted(missing))}")
        return next_action(state)[np.newaxis]


def supports(goal: Goal) -> bool:
    """Whether the expert can reach a goal."""
    return all(_known(atom) for atom in goal)


def _known(atom: Atom) -> bool:
    match atom:
        case ("on" | "in", name, where):
            if where in SPOTS:
                return category(name) in DRAGGED
            return category(name) in BLOCKS | RIMS.keys() and place_key(where)[1] in PLACES
        case ("open", drawer):
            return place_key(drawer)[1] in HANDLES
        case ("turnon", name):
            return category(name) in KNOBS
    return False


def next_action(state: Privileged) -> ActionChunk:
    """The action, `float32[7]`, for a state whose goal is supported."""
    for atom in state.goal:
        step = _towards(state, atom)
        if step is not None:
            return step
    return retreat(state)


def _towards(state: Privileged, atom: Atom) -> ActionChunk | None:
    """The action towards an atom; `None` if it looks done."""
    predicate, name, where = (*atom, atom[-1])[:3]
    owner, key = place_key(where)
    if predicate == "turnon":
        return turn_knob(state, owner, KNOBS[key])
    if predicate == "open":
        return Drawer(state, owner, HANDLES[key]).open()
    if where in SPOTS:
        return drag(state, name, np.array(SPOTS[where])[:2])
    drawer = Drawer(state, owner, HANDLES[key]) if key in HANDLES else None
    errand = _Errand(state, name, owner, PLACES[key], besides=[drawer.handle] if drawer else [])
    if errand.done():
        return None
    step = drawer.open(FAR) if drawer else None
    return errand.action() if step is None else step


class _Errand:
    """The task of bringing one object to one place."""

    def __init__(self, state: Privileged, name: str, owner: str, place: Place, besides: Sequence[CollisionBox]) -> None:
        self._state, self._name, self._besides = state, name, besides
        self._hand, self._opening = state.hand.pos, opening(state)
        self._pos, self._body = state.objects[name].pos, body_of(state, name)
        pose, slide = state.objects[owner], state.joints.get(f"{owner}_{place.drawer}", 0.0)
        self._middle = pose.pos + rotation(pose) @ np.add(place.center, (0, slide, 0))
        self._radius, self._fence = place.radius, pose.pos[2] + place.fence if place.fence else None

    def done(self) -> bool:
        """Whether the object is in its place, or will fall there when released."""
        beside = np.linalg.norm((self._pos - self._middle)[:2])
        height = self._middle[2] + RELEASED if self._fence is None else self._fence - INSIDE
        return bool(beside < self._radius and self._body.bottom < height)

    def action(self) -> ActionChunk:
        """Approach, close or carry, depending on the hand's state."""
        grasps = list(possible_grasps(self._state, self._name))
        nearest = min(grasps, key=lambda grasp: mismatch(grasp, self._state))
        if self._opening < nearest.width and held(self._state, nearest):
            return self._carry()
        if held(self._state, nearest) if self._opening < OPENED else reached(self._state, nearest):
            return action(nearest.point - self._hand, turn_down(self._state, nearest.outward), CLOSE)
        return approach(self._state, self._best(grasps), self._besides)

    def _others(self) -> list[CollisionBox]:
        return [*solids(self._state, without=self._name), *self._besides]

    def _best(self, options: Sequence[Grasp]) -> Grasp:
        """The grasp with the fewest obstacles and the least rotation and stretch of the arm."""
        others = self._others()
        costs = BLOCKED_COST * blocked(options, others) + [self._effort(grasp) for grasp in options]
        return options[int(np.argmin(costs))]

    def _effort(self, grasp: Grasp) -> float:
        release = grasp.point + self._middle - self._pos
        stretch = sum(max(0.0, float(np.linalg.norm(end[:2] - BASE)) - REACH) for end in (grasp.point, release))
        turn = abs(between(grasp.outward, HOME_AXIS))
        distance = float(np.linalg.norm(grasp.point - self._hand))
        return stretch + TURN_COST * turn + WAY_COST * distance

    def _carry(self) -> ActionChunk:
        below = float(self._hand[2] - self._body.bottom)
        cargo = HeldObject((self._pos - self._hand)[:2], float(self._body.half[:2].max()), below)
        goal = self._hand + self._middle - [*self._pos[:2], self._body.bottom + PRESS]
        if self._fence is not None:
            goal[2] = max(goal[2], self._fence - PALM + CLEARANCE)
        turn = turn_down(self._state, rotation(self._state.hand)[:2, 0])
        others = self._others()
        for other in others:
            overlap = cargo.radius + OVERHANG - float(other.distance(self._pos))
            # The cabinet's top overhangs the back of an open drawer.
            if other.top > self._body.top and overlap > 0:
                return action(np.array([*(overlap + OVERHANG) * other.away(self._pos), 0.0]), turn, CLOSE)
        return action(Waypoints(self._state, goal, [cargo, *HAND], others).step(), turn, CLOSE)
