"""What is wrong with the distribution that the suites are read from, for manifests and reports.

Each was found by comparing task files, texts and states with each other and with LIBERO's; the tests hold most of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from envs.libero_pro.files import FILES


@dataclass(frozen=True)
class Defect:
    """A flaw of some tasks.

    Attributes:
        what: what is wrong with them.
        tasks: which: (suite, index).
    """

    what: str
    tasks: tuple[tuple[str, int], ...]


DEFECTS = (
    Defect(
        "the stove is off from the start, and counts as off only once its knob is turned from 0 to below 0 (its stop "
        "is at -0.005 rad)",
        (("libero_goal_task", 7),),
    ),
    Defect(
        "twins: the same text and goal, so that the suite has nine tasks",
        (("libero_goal_task", 2), ("libero_goal_task", 6)),
    ),
    Defect(
        "the text names an object that was replaced by one of another kind (book: bowl) or is now another one in the "
        "scene (yellow and white mug: red mug; white mug: yellow and white mug)",
        (("libero_10_object", 5), ("libero_10_object", 6), ("libero_10_object", 9)),
    ),
    Defect("only the basket is recoloured, not the object that the text names", (("libero_object_object", 9),)),
    Defect(
        "the text says where the bowl is, relative to a plate that was moved away",
        (("libero_spatial_swap", 0), ("libero_spatial_swap", 8)),
    ),
    Defect("the text asks for the left pot, the goal scores the right one", (("libero_10_task", 8),)),
    Defect("the text has a typographic apostrophe (U+2019)", (("libero_goal_lan", 0), ("libero_goal_lan", 5))),
)

SOURCE = f"{FILES.package} {FILES.version} (sha256 {FILES.wheel_sha256})"
"""The distribution. Others of LIBERO-PRO have other task files and initial states."""


def notes(suite: str, numbers: Sequence[int]) -> tuple[str, ...]:
    """The distribution, and the known defects of a suite's tasks, for manifests and tables."""
    known = []
    for defect in DEFECTS:
        if affected := [str(index) for name, index in defect.tasks if name == suite and index in numbers]:
            known.append(f"{suite} {'tasks' if len(affected) > 1 else 'task'} {', '.join(affected)}: {defect.what}")
    return (f"{suite}: from {SOURCE}", *known)
