"""Layout axes: where the task's objects stand, at the start or all of a sudden, and what else stands there.

A displacement is accepted if it adds no contact deeper than `MAX_OVERLAP` and every object then settles as it would
have anyway, `MAX_DRIFT` across and `MAX_STEP` in height apart. Otherwise other directions are drawn.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from perturbations.base import CENTIMETRES, COUNT, AxisInfo, Infeasible, Key, Physics, Stage, register

MAX_OVERLAP = 0.002
"""Contacts deeper than this (m) are an overlap that the simulator would push apart. Source: a bowl that was set down
rests 1 mm deep; 10 cm into its neighbours it makes dozens of contacts deeper than 2 mm (measured on libero_goal)."""

MAX_DRIFT = 0.005
"""An object that slides further than this (m) while the scene settles does not stand where it was put. Our choice."""

MAX_STEP = 0.01
"""An object that comes to rest this much (m) higher or lower fell, or stands on something else. Our choice."""

MAX_DRAWS = 50
"""Draws before a displacement counts as infeasible. Our choice."""

STACKED = 0.04
"""Objects whose centres are this close across the table (m) stand on or in each other and move together: less than the
radius of LIBERO's smallest bowl."""

FIELD = ((-0.28, 0.2), (-0.33, 0.33))
"""Where added objects stand, from the middle of the workspace (m, away from the arm and across): on every arena's
table, within the arm's reach, and in view of the fixed camera. Our choice."""

MAX_PLACES = 600
"""Places tried for an added object before it counts as infeasible: most are ruled out at once. Our choice."""

CLEARANCE = 0.03
"""Added objects keep this far from all else (m), so that fingers fit between. Our choice."""

LOW = 0.08
"""The Panda's hand passes above added objects up to this tall (m), its fingers about something on the table."""

HAND_ROOM = 0.08
"""Taller ones keep this far from what the task names and from the way between (m): the hand is 0.2 m wide and comes
down beside its target. Without that room a scripted expert failed in half of its episodes. Our choice."""

MAX_HIDDEN = 0.25
"""Added objects together hide at most this share of any object that the task names: they distract, and `occlusion`
is an axis of its own. Our choice."""

_HAND = "robot0_right_hand"
"""Name of robosuite's."""

Vector = NDArray[np.float64]


def _movable(physics: Physics, what: str) -> list[str]:
    found = [name for name in physics.targets if name in physics.objects]
    if not found:
        raise Infeasible(f"{what}: the task names no movable object")
    return found


def _stacks(physics: Physics, names: Sequence[str]) -> list[list[str]]:
    """The objects to move, each with what it shares a place with; nothing is in two stacks."""
    place = {name: physics.data.qpos[at : at + 2].copy() for name, at in physics.objects.items()}
    stacks: list[list[str]] = []
    taken: set[str] = set()
    for name in names:
        if name in taken:
            continue
        stack = [
            other
            for other in physics.objects
            if other not in taken and np.linalg.norm(place[other] - place[name]) < STACKED
        ]
        taken.update(stack)
        stacks.append(stack)
    return stacks


def _same_rest(moved: Vector, before: Vector) -> bool:
    drift = np.linalg.norm(moved[:2] - before[:2])
    return bool(drift < MAX_DRIFT and abs(moved[2] - before[2]) < MAX_STEP)


def _displace(physics: Physics, names: Sequence[str], metres: float, rng: np.random.Generator, what: str) -> None:
    """Move one stack after the other, each to the first of its drawn places where the scene stays as it is.

    The angles are drawn ahead and for each stack, so that all strengths try the same directions in the same order.
    """
    stacks, start = _stacks(physics, names), physics.data.qpos.copy()
    physics.forward()
    overlaps, before = set(physics.contacts_deeper_than(MAX_OVERLAP)), physics.settle_check()
    for stack, angles in zip(stacks, rng.uniform(0, 2 * np.pi, (len(stacks), MAX_DRAWS)), strict=True):
        rows = [slice(physics.objects[name], physics.objects[name] + 2) for name in stack]
        homes = [physics.data.qpos[row].copy() for row in rows]
        for angle in angles:
            for row, home in zip(rows, homes, strict=True):
                physics.data.qpos[row] = home + metres * np.array([np.cos(angle), np.sin(angle)])
            physics.forward()
            if set(physics.contacts_deeper_than(MAX_OVERLAP)) <= overlaps:
                settled = physics.settle_check()
                if all(_same_rest(settled[name], moved) for name, moved in before.items()):
                    break
        else:
            physics.data.qpos[:] = start
            physics.forward()
            raise Infeasible(f"{what}:{100 * metres:g}: no room for {stack[0]} within {MAX_DRAWS} draws")


@register(
    AxisInfo(
        name="layout.shift",
        stage=Stage.PHYSICS,
        family="E",
        unit=CENTIMETRES,
        value_means="how far each of the task's objects is moved across the table, in a drawn direction",
        bounds=(0.0, 20.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 4.0, 5.0),
        source="LIBERO-plus' libero_spatial: at most K cm at level K; RL4VLA's Position",
    )
)
def layout_shift(physics: Physics, value: float, rng: np.random.Generator) -> None:
    """The objects that the goal names stand elsewhere, together with whatever they stand on or hold.

    Raises:
        Infeasible: the goal names nothing movable, or there is no room.
    """
    _displace(physics, _movable(physics, "layout.shift"), value / 100, rng, "layout.shift")


@register(
    AxisInfo(
        name="disturb",
        stage=Stage.PHYSICS,
        family="E",
        unit=CENTIMETRES,
        value_means="how far the first object of the goal jumps, in a drawn direction, at control step `from`",
        bounds=(0.0, 20.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 5.0, 8.0),
        source="RL4VLA's PositionChangeTo: objects are re-posed at step 5",
        keys=(Key("from", "5"),),
        at_step=True,
    )
)
def disturb(physics: Physics, value: float, rng: np.random.Generator) -> None:
    """The thing to be moved is suddenly elsewhere, while the policy acts.

    Raises:
        Infeasible: the goal names nothing movable, the hand already touches it, or there is no room.
    """
    target = _movable(physics, "disturb")[0]
    physics.forward()
    if any({"robot", target} <= set(pair) for pair in physics.contacts_deeper_than(0.0)):
        raise Infeasible(f"disturb:{value:g}: the hand already touches {target}")
    _displace(physics, [target], value / 100, rng, "disturb")


@register(
    AxisInfo(
        name="layout.distractors",
        stage=Stage.PHYSICS,
        family="S",
        unit=COUNT,
        value_means="how many objects that mean nothing to the task stand on free places of the table",
        bounds=(0.0, 5.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 4.0, 5.0),
        source="LIBERO-plus and libero-infinity: one to five",
        writes=("geom_contype", "geom_conaffinity", "geom_group", "body_gravcomp"),
    )
)
def layout_distractors(physics: Physics, value: float, rng: np.random.Generator) -> None:
    """Further things stand about, of kinds that nothing in the scene is like. They attract attention, not collisions.

    So they keep clear of all things and of the arm, leave room for the hand about the task's objects and on the way
    between them, and do not hide these from the fixed camera. More of them are the same ones, and others besides.

    Raises:
        Infeasible: the scene has not so many in reserve, or there is no room.
    """
    spares, wanted = physics.distractors, round(value)
    if wanted > len(spares):
        raise Infeasible(f"layout.distractors:{wanted}: this scene has {len(spares)} objects in reserve")
    order, draws = rng.permutation(len(spares)), rng.uniform(0, 1, (len(spares), MAX_PLACES, 3))
    physics.forward()
    overlaps, before = set(physics.contacts_deeper_than(MAX_OVERLAP)), physics.settle_check()
    for added, index in enumerate(order[:wanted]):
        name = spares[index]
        if not any(_stands(physics, name, draw, overlaps, before) for draw in draws[index]):
            for other in order[:added]:
                physics.remove_distractor(spares[other])
            raise Infeasible(f"layout.distractors:{wanted}: no room for {name} within {MAX_PLACES} draws")


def _stands(
    physics: Physics, name: str, draw: Vector, overlaps: set[tuple[str, str]], before: Mapping[str, Vector]
) -> bool:
    """Bring an object in at a drawn place and turn, or leave the scene as it was."""
    low, high = np.array(FIELD).T
    place = physics.workspace_center[:2] + low + (high - low) * draw[:2]
    height = physics.place_distractor(name, place, 2 * np.pi * draw[2])
    if height is None:
        return False
    out_of_the_way = height <= LOW or not _in_the_way(physics, name)
    if (
        out_of_the_way
        and physics.clearance(name, CLEARANCE) >= CLEARANCE
        and physics.occlusion_fraction() <= MAX_HIDDEN
        and set(physics.contacts_deeper_than(MAX_OVERLAP)) <= overlaps
    ):
        settled = physics.settle_check()
        still = {name: np.zeros(3)} | dict(before)
        if all(_same_rest(settled[thing], moved) for thing, moved in still.items()):
            return True
    physics.remove_distractor(name)
    return False


def _in_the_way(physics: Physics, name: str) -> bool:
    """Whether the hand would strike it beside the task's objects, or on its way to one and on to the next."""
    data, targets = physics.data, physics.targets
    place, *stops = (data.xpos[physics.body_ids[thing]][:2] for thing in (name, *targets))
    if physics.robot_qpos.size:
        stops.insert(0, data.xpos[physics.model.body(_HAND).id][:2])
    if any(_beside(place, *way) < HAND_ROOM for way in pairwise(stops)):
        return True
    return bool(targets) and physics.clearance(name, HAND_ROOM, targets) < HAND_ROOM


def _beside(place: Vector, start: Vector, end: Vector) -> float:
    """Distance of a point from the straight way between two others."""
    way = end - start
    along = np.clip((place - start) @ way / max(float(way @ way), 1e-9), 0, 1)
    return float(np.linalg.norm(place - start - along * way))
