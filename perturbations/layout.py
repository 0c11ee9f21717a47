"""Layout axes: the positions of the task's objects, at the start or suddenly changed, and distractors.

A displacement is accepted if it adds no contact deeper than `MAX_OVERLAP` and every object then settles as it would
have without it, to within `MAX_DRIFT` across and `MAX_STEP` in height. Otherwise further directions are tried.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from perturbations.base import CENTIMETRES, COUNT, AxisInfo, Infeasible, Key, Physics, Stage, register

MAX_OVERLAP = 0.002
"""Contacts deeper than this (m) are overlaps, which the simulator would push apart. Source: a bowl at rest is 1 mm
deep; moved 10 cm into its neighbours it has dozens of contacts deeper than 2 mm (measured on libero_goal)."""

MAX_DRIFT = 0.005
"""An object that slides further than this (m) while the scene settles does not stay where it was put. Our choice."""

MAX_STEP = 0.01
"""An object whose height changes by more than this (m) fell, or is on top of something else. Our choice."""

MAX_DRAWS = 50
"""Directions tried before a displacement counts as infeasible. Our choice."""

STACKED = 0.04
"""Objects whose centres are closer than this across the table (m) are stacked and move together: less than the radius
of LIBERO's smallest bowl."""

FIELD = ((-0.28, 0.2), (-0.33, 0.33))
"""Where distractors are placed, relative to the centre of the workspace (m, away from the arm and across): on every
arena's table, within the arm's reach, and in view of the fixed camera. Our choice."""

MAX_PLACES = 600
"""Places tried for a distractor before it counts as infeasible: most are ruled out quickly. Our choice."""

CLEARANCE = 0.03
"""Smallest distance of a distractor to everything else (m), so that fingers fit between. Our choice."""

LOW = 0.08
"""The Panda's hand clears distractors up to this height (m) while its fingers grasp something on the table."""

HAND_ROOM = 0.08
"""Smallest distance of taller distractors to the task's objects and to the path between them (m): the hand is 0.2 m
wide and comes down beside its target. Without it a scripted expert failed in half of its episodes. Our choice."""

MAX_HIDDEN = 0.25
"""Largest fraction of any of the task's objects that distractors may hide together: they should distract, and
`occlusion` is a separate axis. Our choice."""

_HAND = "robot0_right_hand"
"""robosuite's name of the hand's body."""

Vector = NDArray[np.float64]


def _movable(physics: Physics, what: str) -> list[str]:
    movable = [name for name in physics.targets if name in physics.objects]
    if not movable:
        raise Infeasible(f"{what}: the task names no movable object")
    return movable


def _stacks(physics: Physics, names: Sequence[str]) -> list[list[str]]:
    """The objects to move, each with the objects stacked with it; no object is in two stacks."""
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
    """Move one stack after the other, each to the first of its candidate places where the scene stays at rest.

    The angles of all stacks are sampled first, so that all strengths try the same directions in the same order.
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
        unit=CENTIMETRES,
        value_means="how far each of the task's objects is moved across the table, in a random direction",
        bounds=(0.0, 20.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 4.0, 5.0),
        source="LIBERO-plus' libero_spatial: at most K cm at level K; RL4VLA's Position",
    )
)
def layout_shift(physics: Physics, value: float, rng: np.random.Generator) -> None:
    """The objects that the goal names start elsewhere, together with what they are stacked with.

    Raises:
        Infeasible: the goal names nothing movable, or there is no room.
    """
    _displace(physics, _movable(physics, "layout.shift"), value / 100, rng, "layout.shift")


@register(
    AxisInfo(
        name="disturb",
        stage=Stage.PHYSICS,
        unit=CENTIMETRES,
        value_means="how far the first object of the goal jumps, in a random direction, at the control step of /from",
        bounds=(0.0, 20.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 5.0, 8.0),
        source="RL4VLA's PositionChangeTo: objects are re-posed at step 5",
        keys=(Key("from", "5"),),
        at_step=True,
    )
)
def disturb(physics: Physics, value: float, rng: np.random.Generator) -> None:
    """The object to be moved jumps to another place while the policy acts.

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
    """Adds distractors of kinds that resemble nothing in the scene. They should attract attention, not collide.

    So they keep clear of all objects and of the arm. They leave room for the hand around the task's objects and on the
    path between them, and do not hide these objects from the fixed camera. A larger number keeps the same distractors
    and adds others.

    Raises:
        Infeasible: the scene has too few in reserve, or there is no room.
    """
    names, count = physics.distractors, round(value)
    if count > len(names):
        raise Infeasible(f"layout.distractors:{count}: this scene has {len(names)} objects in reserve")
    order, draws = rng.permutation(len(names)), rng.uniform(0, 1, (len(names), MAX_PLACES, 3))
    physics.forward()
    overlaps, before = set(physics.contacts_deeper_than(MAX_OVERLAP)), physics.settle_check()
    for added, index in enumerate(order[:count]):
        name = names[index]
        if not any(_try_place(physics, name, draw, overlaps, before) for draw in draws[index]):
            for other in order[:added]:
                physics.remove_distractor(names[other])
            raise Infeasible(f"layout.distractors:{count}: no room for {name} within {MAX_PLACES} draws")


def _try_place(
    physics: Physics, name: str, draw: Vector, overlaps: set[tuple[str, str]], before: Mapping[str, Vector]
) -> bool:
    """Place a distractor at a sampled position and yaw; if that is not acceptable, leave the scene as it was."""
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
        expected = {name: np.zeros(3)} | dict(before)
        if all(_same_rest(settled[other], moved) for other, moved in expected.items()):
            return True
    physics.remove_distractor(name)
    return False


def _in_the_way(physics: Physics, name: str) -> bool:
    """Whether the hand would hit it beside the task's objects, or on the path from one to the next."""
    data, targets = physics.data, physics.targets
    place, *stops = (data.xpos[physics.body_ids[body]][:2] for body in (name, *targets))
    if physics.robot_qpos.size:
        stops.insert(0, data.xpos[physics.model.body(_HAND).id][:2])
    if any(_distance_to_segment(place, *segment) < HAND_ROOM for segment in pairwise(stops)):
        return True
    return bool(targets) and physics.clearance(name, HAND_ROOM, targets) < HAND_ROOM


def _distance_to_segment(place: Vector, start: Vector, end: Vector) -> float:
    """Distance of a point from the line segment between two others."""
    segment = end - start
    along = np.clip((place - start) @ segment / max(float(segment @ segment), 1e-9), 0, 1)
    return float(np.linalg.norm(place - start - along * segment))
