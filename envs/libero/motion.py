"""What moved where in an episode of LIBERO, see `envs.motion`.

Non-obvious behaviour:
- A state is loaded as a whole, with its contacts: that takes a tenth of a millisecond, a control step a hundred times
  as long.
- The position of a joint at which an atom begins to hold is found by asking LIBERO's own predicate along its range.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.goals import Atom, EnvError, Goal
from envs.libero.world import World
from envs.motion import Boxes, GoalPart, Motion, Series

ON_TOP_M = 0.03
"""Largest horizontal distance of two origins for `on`. Source: LIBERO's `ObjectState.check_ontop`."""

ABOVE_M = 0.1
"""How far above a region an object may be for `on`. Source: LIBERO's `SiteObject.under`."""
BELOW_M = 0.03
"""How far below it an object's origin may be, for objects with a high origin. Our choice."""

_JOINT_TESTS = {"open": "is_open", "close": "is_close", "turnon": "turn_on", "turnoff": "turn_off"}
"""LIBERO's predicates about joints, and the methods that judge a position. `open` and `turnon` need any joint."""
_ANY = ("open", "turnon")
_GRID = 401
"""Positions of a joint's range at which a predicate is asked: 0.4 mm of a drawer."""


class MotionReader:
    """Reads motions in one world."""

    def __init__(self, world: World) -> None:
        """Look up everything once."""
        self._world, self._model, self._data, self._env = world, world.model, world.data, world.env
        index = world.index
        self._movable = {**index.bodies, **index.distractors.bodies}
        self._joints = {
            str(joint): int(self._model.joint(joint).id)
            for fixture in self._env.fixtures_dict.values()
            for joint in fixture.joints
        }
        things = self._things()
        self._boxes = Boxes(things, self._model.geom_aabb)
        self._names = [*things]
        self._owner = np.full(self._model.ngeom, -1)
        for number, geoms in enumerate(things.values()):
            self._owner[list(geoms)] = number
        names = [self._model.geom(i).name for i in range(self._model.ngeom)]
        self._fingers = np.array([_finger(name) for name in names])
        self._tips = [i for i, name in enumerate(names) if name.endswith("_pad_collision") and _finger(name) >= 0]

    def _things(self) -> dict[str, tuple[int, ...]]:
        """Solid geoms by thing: objects, parts of fixtures by joint, and the rest of each fixture."""
        model, index = self._model, self._world.index
        things = {name: index.solid_geoms_of(name) for name in self._movable}
        for name in index.fixtures:
            rest = set(index.solid_geoms_of(name) or index.geoms_of(name))
            for joint, number in self._joints.items():
                if joint.startswith(f"{name}_"):
                    moving = [geom for geom in rest if self._is_below(geom, int(model.jnt_bodyid[number]))]
                    things[joint] = tuple(sorted(moving))
                    rest -= set(moving)
            things[name] = tuple(sorted(rest))
        return things

    def _is_below(self, geom: int, body: int) -> bool:
        at = int(self._model.geom_bodyid[geom])
        while at not in (0, body):
            at = int(self._model.body_parentid[at])
        return at == body

    def hand_path(self, states: Sequence[Series]) -> Series:
        """See `envs.motion.TellsMotion`."""
        path = np.empty((len(states), 3))
        for row, state in zip(path, states, strict=True):
            self._data.qpos[:] = state[1 : 1 + self._model.nq]
            row[:] = self._world._present().site_xpos[self._world.arm.site]
        return path

    def motion(self, states: Sequence[Series], steps: NDArray[np.int64], goal: Goal) -> Motion:
        """See `envs.motion.TellsMotion`."""
        count, data = len(states), self._data
        hand = np.empty((count, 3))
        positions = {name: np.empty((count, 3)) for name in self._movable}
        gaps = {name: np.empty(count) for name in self._names}
        touch = np.zeros((count, len(self._names), 2), bool)
        joints = {name: np.empty(count) for name in self._joints}
        places = [self._place(atom) for atom in goal]
        misses = [np.empty(count) for _ in goal]
        for row, state in enumerate(states):
            self._world.set_state(state)
            hand[row] = data.site_xpos[self._world.arm.site]
            for name, body in self._movable.items():
                positions[name][row] = data.xpos[body]
            points = np.vstack([data.geom_xpos[self._tips], hand[row]])
            for name, gap in self._boxes.distances(points, data.geom_xpos, data.geom_xmat).items():
                gaps[name][row] = gap
            for name, joint in self._joints.items():
                joints[name][row] = data.qpos[self._model.jnt_qposadr[joint]]
            self._touches(touch[row])
            for miss, place in zip(misses, places, strict=True):
                miss[row] = place.miss(data) if place else 0.0
        met = [self._world.holds((atom,)) for atom in goal]
        parts = tuple(
            self._carried(atom, held, miss) if place else self._turned(atom, held, joints)
            for atom, held, miss, place in zip(goal, met, misses, places, strict=True)
        )
        self._world.set_state(states[-1])  # asking a predicate lights or puts out the stove
        return Motion(
            steps=steps,
            hand=hand,
            positions=positions,
            gaps=gaps,
            touched={name: touch[:, i, 0] | touch[:, i, 1] for i, name in enumerate(self._names)},
            held={name: touch[:, i, 0] & touch[:, i, 1] for i, name in enumerate(self._names) if name in self._movable},
            joints={name: (path - path[0]) / self._extent(name) for name, path in joints.items()},
            parts=parts,
        )

    def _touches(self, found: NDArray[np.bool_]) -> None:
        """Note which fingers touch which things: `bool[things, 2]`."""
        pairs = self._data.contact.geom
        for one, other in (pairs.T, pairs.T[::-1]):
            finger, thing = self._fingers[one], self._owner[other]
            hits = (finger >= 0) & (thing >= 0)
            found[thing[hits], finger[hits]] = True

    def _place(self, atom: Atom) -> "_Place | None":
        """Where an atom wants an object; `None` if it is about a joint.

        Raises:
            EnvError: the atom is about something else.
        """
        predicate, name = atom[:2]
        if predicate in ("on", "in") and name in self._movable:
            return _Place(self._env, self._model, self._movable[name], self._world.index.all.get(atom[2]), atom[2])
        if predicate in _JOINT_TESTS and self._joints_of(name):
            return None
        raise EnvError(f"no stages are defined for the goal '{' '.join(atom)}'")

    def _joints_of(self, name: str) -> tuple[str, ...]:
        site = self._env.object_sites_dict.get(name)
        owner = site if site is not None else self._env.fixtures_dict.get(name)
        return tuple(joint for joint in (getattr(owner, "joints", None) or ()) if joint in self._joints)

    def _carried(self, atom: Atom, met: bool, miss: Series) -> GoalPart:  # noqa: FBT001
        site = self._env.object_sites_dict.get(atom[2])
        pushed = site is not None and site.parent_name is None
        owner = str(site.parent_name) if site is not None and not pushed else ""
        helpers = [name for name in self._joints if owner and name.startswith(f"{owner}_")]
        return GoalPart(atom, met, atom[1], gap=miss, pushed=pushed, helpers=(*helpers, owner) if helpers else ())

    def _turned(self, atom: Atom, met: bool, joints: Mapping[str, Series]) -> GoalPart:  # noqa: FBT001
        site = self._env.object_sites_dict.get(atom[1])
        fixture = self._env.get_object(site.parent_name if site is not None else atom[1])
        test = getattr(fixture, _JOINT_TESTS[atom[0]])
        shares = {name: self._share(joints[name], name, test) for name in self._joints_of(atom[1])}
        choose = max if atom[0] in _ANY else min
        mover = choose(shares, key=lambda name: float(shares[name][-1]))
        return GoalPart(atom, met, mover, share=shares[mover])

    def _share(self, path: Series, joint: str, test: Any) -> Series:
        """See `GoalPart.share`."""
        low, high = self._model.jnt_range[self._joints[joint]]
        grid = np.linspace(float(low), float(high), _GRID)
        good = grid[[bool(test(value)) for value in grid]]
        if not len(good):
            raise EnvError(f"no position of {joint} fulfils the goal")
        nearest = good[np.abs(good - path[0]).argmin()]
        way = nearest - path[0]
        if bool(test(path[0])) or not way:
            return np.array([float(bool(test(value))) for value in path])
        share: Series = (path - path[0]) / way
        return share

    def _extent(self, joint: str) -> float:
        low, high = self._model.jnt_range[self._joints[joint]]
        return float(high - low) or 1.0


class _Place:
    """The zone in which an atom about a place can hold."""

    def __init__(self, env: Any, model: Any, body: int, support: int | None, name: str) -> None:
        site = env.object_sites_dict.get(name)
        self._body, self._support = body, support
        self._site = int(model.site(name).id) if site is not None else None
        half = np.zeros(3) if site is None else np.asarray(site.size, float)
        self._low = -half - np.array([0, 0, BELOW_M])
        self._high = half + np.array([0, 0, ABOVE_M])
        if self._site is None and support is None:
            raise EnvError(f"no stages are defined for the place '{name}'")

    def miss(self, data: Any) -> float:
        """See `GoalPart.gap`."""
        at = data.xpos[self._body]
        if self._site is not None:
            local = data.site_xmat[self._site].reshape(3, 3).T @ (at - data.site_xpos[self._site])
            return float(np.linalg.norm(local - np.clip(local, self._low, self._high)))
        off = at - data.xpos[self._support]
        beside = max(0.0, float(np.linalg.norm(off[:2])) - ON_TOP_M)
        return float(np.hypot(beside, off[2] - np.clip(off[2], self._low[2], self._high[2])))


def _finger(name: str) -> int:
    """Which finger a geom of robosuite's Panda gripper belongs to: 0, 1, or -1 for none."""
    return next((i for i in (0, 1) if name.startswith(f"gripper0_finger{i + 1}_")), -1)
