"""LIBERO-PRO's sixteen suites: tasks, texts, control arms and the distribution's defects.

A suite is one of LIBERO's four suites of ten tasks with one thing changed: the words (`lan`), the objects' looks
(`object`), their places (`swap`) or the goal (`task`). Order and file names are those of the base suite.

Which text a policy gets is decided here, because file names do not say it. PRO's own benchmark class and other runners
make the text from the file name: then `lan` is the base suite, and `task` asks for the old goal and scores the new one.
The rule: `lan` and `task` take the task file's `:language`; `swap` and `object` take the file name, the words that
policies were trained on, because in three of the base suites the task file's words differ from those in any case.
`instruction_source="file-name"` reproduces other runners.

`:language` is read as LIBERO's own parser reads it: in lower case, with single spaces. Nothing else is changed.
"""

import dataclasses
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from envs.libero.bddl import read_bddl
from envs.libero.catalog import libero_tasks
from envs.libero_pro.files import pro_root
from envs.tasks import Task

BASES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
KINDS = ("lan", "object", "swap", "task")
PRO_SUITES = tuple(f"{base}_{kind}" for base in BASES for kind in KINDS)

type InstructionSource = Literal["rule", "file-name"]


@dataclass(frozen=True)
class TaskTexts:
    """The texts of one task.

    Attributes:
        suite: name of the suite.
        index: index in the suite.
        rule: the text that the change is meant to be run with.
        file_name: the text that other runners send, which is that of the base task.
    """

    suite: str
    index: int
    rule: str
    file_name: str


@cache
def pro_tasks(suite: str, instruction_source: InstructionSource = "rule") -> tuple[Task, ...]:
    """All tasks of an entry of `PRO_SUITES`, in PRO's order, which is that of the base suite.

    Args:
        suite: name of the suite.
        instruction_source: `rule`, or `file-name` for the texts that other runners send.

    Raises:
        EnvError: PRO's files are not on this machine or not the pinned ones.
    """
    root = pro_root()
    return tuple(_pro_task(root, suite, base, instruction_source) for base in libero_tasks(base_suite(suite)))


def _pro_task(root: Path, suite: str, base: Task, source: InstructionSource) -> Task:
    bddl = root / "bddl_files" / suite / f"{base.name}.bddl"
    goal, scenery = read_bddl(bddl)
    from_file = source == "rule" and kind_of_change(suite) in ("lan", "task")
    instruction = _language(bddl) if from_file else base.instruction
    init_states = root / "init_files" / suite / f"{base.name}.pruned_init.npz"
    return Task(suite, base.index, base.name, instruction, goal, scenery, bddl, init_states)


def _language(bddl: Path) -> str:
    found = re.search(r"\(:language\s([^()]*)\)", bddl.read_text(encoding="utf-8"))
    assert found is not None, f"{bddl} has a text"
    return " ".join(found[1].lower().split())


def base_suite(suite: str) -> str:
    """LIBERO's suite that one of PRO's is made from."""
    return suite.rpartition("_")[0]


def kind_of_change(suite: str) -> str:
    """What one of PRO's suites changes: an entry of `KINDS`."""
    return suite.rpartition("_")[2]


def base_text(task: Task) -> str:
    """The instruction that the file name says: the base task's."""
    return libero_tasks(base_suite(task.suite))[task.index].instruction


def base_task(task: Task) -> Task | None:
    """The control arm of a task: the base task's text and goal on PRO's own initial states.

    PRO's states are not LIBERO's, so a difference to LIBERO's own suite mixes the change with another draw of places.
    In `lan` and `task` the scene is the base task's, and task and control arm differ in nothing but words and goal.

    There is none for `swap` and `object`. `swap` moves fixtures too, which the states do not contain, so its states do
    not fit the base scene. The states of `object` are resting places of other objects, of other sizes.

    Returns:
        The task, which keeps PRO's suite, index and initial states; `None` if PRO's states do not fit the base scene.
    """
    if kind_of_change(task.suite) not in ("lan", "task"):
        return None
    base = libero_tasks(base_suite(task.suite))[task.index]
    return dataclasses.replace(base, suite=task.suite, init_states=task.init_states)


def texts() -> tuple[TaskTexts, ...]:
    """Both texts of all 160 tasks.

    Raises:
        EnvError: PRO's files are not on this machine or not the pinned ones.
    """
    return tuple(
        TaskTexts(suite, ruled.index, ruled.instruction, named.instruction)
        for suite in PRO_SUITES
        for ruled, named in zip(pro_tasks(suite), pro_tasks(suite, "file-name"), strict=True)
    )
