"""LIBERO-plus's four suites as values."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from envs.goals import EnvError
from envs.libero.catalog import mismatched_instructions
from envs.libero.suite import SUITES as LIBERO
from envs.libero_plus.catalog import PLUS_SUITES, base_suite, base_task, category, plus_tasks
from envs.libero_plus.files import FILES
from envs.libero_plus.notes import notes
from envs.suite import Suite
from envs.tasks import OtherGoal, Task

if TYPE_CHECKING:
    from envs.base import Env

_BASES = {suite.name: suite for suite in LIBERO}


def make_env(task: Task, resolution: int, assets: Path | None) -> "Env":
    """Build the scene of a task (seconds).

    Raises:
        EnvError: it cannot be built.
    """
    from envs.libero_plus.env import PlusEnv

    if assets is None:
        raise EnvError(f"{task.suite} needs LIBERO's assets")
    return PlusEnv(task, resolution, assets)


def _suite(name: str) -> Suite:
    base = _BASES[base_suite(name)]

    def other_goals_apart(task: Task) -> tuple[OtherGoal, ...]:
        return base.other_goals_apart(dataclasses.replace(base_task(task), goal=task.goal, scenery=task.scenery))

    return dataclasses.replace(
        base,
        name=name,
        tasks=functools.partial(plus_tasks, name),
        make_env=make_env,
        init_states=1,  # LIBERO-plus runs every task once, from the first of its states; layouts have no other
        benchmark="LIBERO-plus",
        base=base.name,
        goals_from=base.name,
        other_goals_apart=other_goals_apart,
        mismatched_instructions=functools.partial(mismatched_instructions, base=base.name),
        notes=functools.partial(notes, name),
        category=category,
        present=FILES.present,
    )


SUITES = tuple(map(_suite, PLUS_SUITES))
"""In LIBERO's order."""
