"""The instructions that a language perturbation may choose from for a task, and why there may be none."""

import numpy as np

from envs.suites import (
    OtherGoal,
    Task,
    changed_task,
    find_suite,
    mismatched_instructions,
    other_goals,
    other_goals_apart,
    tasks,
)
from perturbations.base import Goal, Infeasible, Instruction, InstructionContext, RngFactory
from perturbations.instruction import AXIS, WITH_GOAL, entries, is_declared
from perturbations.spec import Condition
from simeval.core.errors import EpisodeError


def language_context(task: Task, turn: int = 0) -> InstructionContext:
    """The texts and goals that may replace a task's instruction.

    Args:
        task: the task.
        turn: index of the episode among those of its task.
    """
    suite, index = _wording(task)
    return InstructionContext(
        task.instruction,
        task.goal,
        _instructions(other_goals(task.suite, task.index)),
        mismatched_instructions(task.suite, task.index),
        suite=suite,
        task=index,
        names=task.scenery.names,
        starts={name: place[1] for name, place in task.scenery.placements.items()},
        apart=_instructions(other_goals_apart(task.suite, task.index)),
        turn=turn,
        changed=_changed(task),
    )


def _wording(task: Task) -> tuple[str, int]:
    """Suite and index of the task whose reviewed texts fit: one of the base suite, if it has the same instruction."""
    base = find_suite(task.suite).base
    for other in tasks(base) if base else ():
        if other.instruction == task.instruction:
            return base, other.index
    return task.suite, task.index


def _changed(task: Task) -> Instruction | None:
    own = changed_task(task)
    if own is None:
        return None
    goal = own.goal if own.goal != task.goal else None
    return Instruction(own.instruction, goal, f"changed/{own.suite}/{own.index}")


def resolve_instruction(condition: Condition, context: InstructionContext, rng: RngFactory) -> Instruction:
    """The instruction for the policy; checks that it is the task's text or one that is declared for it.

    The texts of user-defined language axes are not checked; their source is in the rows.

    Raises:
        Infeasible: the task offers no such instruction.
        EpisodeError: the text is not what its source says.
    """
    instruction = condition.instruction(context, rng)
    built_in = all(term.axis == AXIS for term in condition.active_terms("language"))
    if built_in and not is_declared(instruction, context):
        text, source = instruction.text[:80], instruction.source
        raise EpisodeError("perturb", f"the instruction {text!r} is not what its source {source!r} says")
    return instruction


def instructable_goals(context: InstructionContext) -> tuple[Goal, ...]:
    """All other goals of the scene that an instruction can ask for; an episode tracks which are reached unasked."""
    others = (other for value in WITH_GOAL for other in entries(context, value))
    return tuple(dict.fromkeys(other.goal for other in others if other.goal))


def infeasible_reason(condition: Condition, task: Task) -> str | None:
    """Why a task has no instruction of the kind that a condition needs; `None` if it has one."""
    try:
        # Whether there is one does not depend on the random numbers.
        condition.instruction(language_context(task), lambda *_: np.random.default_rng(0))
    except Infeasible as reason:
        return str(reason)
    return None


def _instructions(others: tuple[OtherGoal, ...]) -> tuple[Instruction, ...]:
    return tuple(Instruction(other.instruction, other.goal, other.source) for other in others)
