"""Finds counterfactual instructions: other tasks that are feasible in a task's scene."""

import re
from collections.abc import Iterable

from envs.goals import Goal
from envs.tasks import OtherGoal, SceneContents, Task


def _category(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _rebound(goal: Goal, source: SceneContents, target: SceneContents) -> Goal:
    """Transfer a goal to the objects at the same places of another scene (libero_spatial's goals are all equal)."""
    binding = {
        name: other
        for name, place in source.placements.items()
        for other, other_place in target.placements.items()
        if place == other_place and _category(name) == _category(other)
    }
    return tuple((atom[0], *(binding.get(name, name) for name in atom[1:])) for atom in goal)


def counterfactuals(task: Task, others: Iterable[Task]) -> tuple[OtherGoal, ...]:
    """Which of other tasks are feasible in a task's scene, with their goals bound to the objects of this scene.

    Tasks whose goal implies the task's own goal, or follows from it, are left out.
    """
    found = []
    for other in others:
        goal = other.goal
        if goal == task.goal:
            goal = _rebound(other.goal, other.scenery, task.scenery)
        if other.instruction == task.instruction:  # LIBERO-PRO has the same words for two tasks
            continue
        overlap = set(goal) <= set(task.goal) or set(task.goal) <= set(goal)
        if not overlap and task.scenery.can_judge(goal):
            found.append(OtherGoal(other.instruction, goal, f"{other.suite}/{other.index}"))
    return tuple(found)
