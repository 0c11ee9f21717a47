"""What a language perturbation may choose from in a task of a suite, and what it cannot do there."""

import numpy as np

from envs.suites import OtherGoal, Task, mismatched_instructions, other_goals, other_goals_libero90
from perturbations.base import Goal, Infeasible, Instruction, InstructionContext, RngFactory
from perturbations.instruction import AXIS, WITH_GOAL, entries, is_declared
from perturbations.spec import Condition
from simeval.core.errors import EpisodeError


def language_context(task: Task, turn: int = 0) -> InstructionContext:
    """The texts and goals that a task's instruction may be exchanged for.

    Args:
        task: the task.
        turn: number of the episode among those of its task.
    """
    return InstructionContext(
        task.instruction,
        task.goal,
        _told(other_goals(task.suite, task.index)),
        mismatched_instructions(task.suite, task.index),
        suite=task.suite,
        task=task.index,
        names=task.scenery.names,
        starts={name: place[1] for name, place in task.scenery.placements.items()},
        apart=_told(other_goals_libero90(task.suite, task.index)),
        turn=turn,
    )


def resolve_instruction(condition: Condition, context: InstructionContext, rng: RngFactory) -> Instruction:
    """What the policy is told, after a check that it is the task's own text or one that was declared for it.

    A language axis of the user's own answers for its texts itself; their source is in the rows.

    Raises:
        Infeasible: the task offers no such instruction.
        EpisodeError: the text is not what its source says.
    """
    told = condition.instruction(context, rng)
    ours = all(term.axis == AXIS for term in condition.active_terms("language"))
    if ours and not is_declared(told, context):
        raise EpisodeError("perturb", f"the instruction {told.text[:80]!r} is not what its source {told.source!r} says")
    return told


def instructable_goals(context: InstructionContext) -> tuple[Goal, ...]:
    """Every other goal of the scene that some instruction asks for: how often is it reached without being asked for?"""
    told = (other for value in WITH_GOAL for other in entries(context, value))
    return tuple(dict.fromkeys(other.goal for other in told if other.goal))


def infeasible_reason(condition: Condition, task: Task) -> str | None:
    """Why a task has no instruction of the kind that a condition asks for; `None` if it has one."""
    try:
        # Whether there is one does not depend on what is drawn.
        condition.instruction(language_context(task), lambda *_: np.random.default_rng(0))
    except Infeasible as reason:
        return str(reason)
    return None


def _told(others: tuple[OtherGoal, ...]) -> tuple[Instruction, ...]:
    return tuple(Instruction(other.instruction, other.goal, other.source) for other in others)
