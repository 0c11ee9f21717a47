"""LIBERO's suites, tasks and instructions, read from the files of the installed `libero` distribution.

The package is never imported here: its import asks a question on stdin and takes seconds.
"""

import importlib.util
import re
import runpy
from functools import cache
from pathlib import Path

from envs.counterfactuals import counterfactuals
from envs.goals import EnvError
from envs.libero.bddl import read_bddl
from envs.libero.recolored import SPOKEN_OF_AS
from envs.tasks import OtherGoal, Task

LIBERO_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")


@cache
def libero_root() -> Path:
    """Folder of LIBERO's code, task files and initial states.

    Raises:
        EnvError: LIBERO is not installed.
    """
    spec = importlib.util.find_spec("libero")
    if spec is None or not spec.submodule_search_locations:
        raise EnvError("LIBERO is not installed; run: pip install hf-libero==0.1.4")
    return Path(spec.submodule_search_locations[0]) / "libero"


@cache
def libero_tasks(suite: str) -> tuple[Task, ...]:
    """All tasks of an entry of `LIBERO_SUITES`, in LIBERO's order.

    Raises:
        EnvError: LIBERO is not installed.
    """
    root = libero_root()
    names = runpy.run_path(str(root / "benchmark" / "libero_suite_task_map.py"))["libero_task_map"][suite]
    return tuple(_libero_task(root, suite, index, name) for index, name in enumerate(names))


def _libero_task(root: Path, suite: str, index: int, name: str) -> Task:
    bddl = root / "bddl_files" / suite / f"{name}.bddl"
    goal, scenery = read_bddl(bddl)
    # LIBERO-100 names start with the scene ("KITCHEN_SCENE3_..."), which is not part of the instruction.
    instruction = re.sub(r"^[A-Z_]+_SCENE\d+_", "", name).replace("_", " ")
    init_states = root / "init_files" / suite / f"{name}.pruned_init"
    return Task(suite, index, name, instruction, goal, scenery, bddl, init_states)


def other_goals_libero90(task: Task) -> tuple[OtherGoal, ...]:
    """Further counterfactual instructions of a libero_10 task: those of libero_90 for the same scene.

    Separate from those of its own suite, because a policy trained on the four suites of ten tasks has not seen their
    wording.
    """
    if task.suite != "libero_10":
        return ()
    scene = _scene(task)
    return counterfactuals(task, (other for other in libero_tasks("libero_90") if _scene(other) == scene))


def _scene(task: Task) -> str:
    """The scene prefix of a LIBERO-100 task's name: `KITCHEN_SCENE3_`."""
    return task.name.removesuffix(task.instruction.replace(" ", "_"))


def mismatched_instructions(task: Task, base: str | None = None) -> tuple[str, ...]:
    """Instructions of other suites whose objects are absent from a task's scene.

    Args:
        task: the task.
        base: LIBERO's suite that its suite is a variant of; by default its own.
    """
    own = base or task.suite
    others = [other for name in LIBERO_SUITES[:4] if name != own for other in libero_tasks(name)]
    present = {_kind(name) for name in task.scenery.names}
    return tuple(sorted({o.instruction for o in others if not any(_kind(atom[1]) in present for atom in o.goal)}))


def _kind(name: str) -> str:
    """The kind of object as an instruction names it: every cabinet, and every part of one, is a `cabinet`."""
    kind = re.sub(r"_\d+(_\D*)?$", "", name)
    kind = SPOKEN_OF_AS.get(kind, kind)
    return "cabinet" if kind.endswith("_cabinet") else kind
