"""LIBERO-plus's four suites: which tasks run, their texts, and what is left out.

A suite has those of LIBERO-plus's tasks that LIBERO's own models suffice for, in LIBERO-plus's order. So an index is
not that of LIBERO-plus; names are its own.

The instruction is the base task's, the words that policies were trained on; in the language category it is the task
file's `:language`, read as LIBERO's parser reads it: in lower case, with single spaces. (LIBERO-plus's own code makes
it from the file name and so appends "view 0 0 100 0 0 initstate 0 noise 26" or the like to 8,493 of 10,030 texts.)
"""

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from envs.libero.bddl import read_bddl
from envs.libero.catalog import libero_tasks
from envs.libero_plus.files import plus_root, task_names
from envs.libero_plus.names import RUNNABLE, Category, Variation, variation
from envs.tasks import Task

BASES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
PLUS_SUITES = tuple(f"{base}_plus" for base in BASES)

_REASONS: dict[Category, str] = {
    "objects": "models of new objects, which the package does not contain",
    "background": "textures, which the package does not contain",
    "light": "scenes with other lights, which the package does not contain",
}


@dataclass(frozen=True)
class LeftOut:
    """Tasks of LIBERO-plus that the suites leave out.

    Attributes:
        suite: name of the suite.
        category: of the tasks.
        needs: what they need.
        tasks: their number.
    """

    suite: str
    category: Category
    needs: str
    tasks: int


def base_suite(suite: str) -> str:
    """LIBERO's suite that one of LIBERO-plus's is made from."""
    return suite.removesuffix("_plus")


def base_task(task: Task) -> Task:
    """LIBERO's task that one of LIBERO-plus's is made from."""
    base = variation(task.name).base
    return next(other for other in libero_tasks(base_suite(task.suite)) if other.name == base)


@cache
def plus_tasks(suite: str) -> tuple[Task, ...]:
    """The runnable tasks of an entry of `PLUS_SUITES`.

    Raises:
        EnvError: LIBERO-plus's files are not on this machine or not the pinned ones.
    """
    bases = {task.name: task for task in libero_tasks(base_suite(suite))}
    variations = ((name, variation(name)) for name in task_names(base_suite(suite)))
    runnable = ((name, varied) for name, varied in variations if varied.category in RUNNABLE)
    return tuple(
        _plus_task(dataclasses.replace(bases[varied.base], suite=suite, index=index, name=name), varied)
        for index, (name, varied) in enumerate(runnable)
    )


def _plus_task(task: Task, varied: Variation) -> Task:
    """Complete a task that has the base task's text, goal and scene."""
    base = base_suite(task.suite)
    if varied.category == "language":
        # These task files are the base task's but for the text.
        return dataclasses.replace(task, instruction=_language(language_file(task)))
    if varied.category == "layout":
        bddl = plus_root() / "bddl_files" / base / f"{task.name}.bddl"
        states = plus_root() / "init_files" / "libero_newobj" / base / f"{task.name}.pruned_init"
        goal, scenery = read_bddl(bddl)
        return dataclasses.replace(task, goal=goal, scenery=scenery, bddl=bddl, init_states=states)
    return task


def language_file(task: Task) -> Path:
    """LIBERO-plus's task file with the text of a task of the language category."""
    return plus_root() / "bddl_files" / base_suite(task.suite) / f"{task.name.partition('_view_')[0]}.bddl"


def _language(bddl: Path) -> str:
    found = re.search(r"\(:language\s([^()]*)\)", bddl.read_text(encoding="utf-8"))
    assert found is not None, f"{bddl} has a text"
    return " ".join(found[1].lower().split())


def category(task: Task) -> str:
    """What a task changes: an entry of `envs.libero_plus.names.CATEGORIES`."""
    return variation(task.name).category


def left_out() -> tuple[LeftOut, ...]:
    """The tasks of LIBERO-plus that the suites leave out, by suite and category.

    Raises:
        EnvError: LIBERO-plus's files are not on this machine or not the pinned ones.
    """
    rows = []
    for suite in PLUS_SUITES:
        counts = Counter(variation(name).category for name in task_names(base_suite(suite)))
        rows += [LeftOut(suite, category, needs, counts[category]) for category, needs in _REASONS.items()]
    return tuple(rows)
