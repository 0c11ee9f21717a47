"""What a reader of results on LIBERO-plus's tasks must know, for manifests and tables."""

from collections.abc import Sequence

from envs.libero_plus.catalog import left_out, plus_tasks
from envs.libero_plus.files import FILES

NO_INSTRUCTION = ("libero_10_plus", 1111)
"""Suite and index of the task whose text is a remark of the language model that wrote it."""


def notes(suite: str, numbers: Sequence[int]) -> tuple[str, ...]:
    """The distribution, what is left out, and the known defect.

    Args:
        suite: an entry of `PLUS_SUITES`.
        numbers: indices of the tasks that run.
    """
    absent = [row for row in left_out() if row.suite == suite]
    run = len(plus_tasks(suite))
    total = run + sum(row.tasks for row in absent)
    listed = ", ".join(f"{row.tasks} {row.category}" for row in absent)
    found = [
        f"{suite}: from {FILES.package} {FILES.version} (sha256 {FILES.wheel_sha256})",
        f"{suite}: {run} of LIBERO-plus's {total} tasks; those that need other models, textures or lights are left out "
        f"({listed}), so a mean over all tasks is not that of its leaderboard",
    ]
    if suite == NO_INSTRUCTION[0] and NO_INSTRUCTION[1] in numbers:
        found.append(f"{suite} task {NO_INSTRUCTION[1]}: the text is no instruction")
    return tuple(found)
