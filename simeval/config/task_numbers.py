"""Which tasks of a suite `--tasks` selects: by numbers, or by category where the suite has categories."""

import re

from envs.suites import find_suite, tasks
from simeval.config.options import parse_indices
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown


def task_numbers(text: str | None, suite: str) -> tuple[int, ...]:
    """`0,3,5-7` -> (0, 3, 5, 6, 7), sorted; `None` -> all.

    For a suite with categories, the name of a category is all of its tasks, and `camera:20` is 20 of them, spread
    evenly.

    Raises:
        ConfigError: not a list of numbers, ranges and categories, or the suite has no such task.
    """
    count, category = len(tasks(suite)), find_suite(suite).category
    if category is None and text is not None and re.search("[a-z]{3}", text):
        raise ConfigError(
            f"--tasks '{shown(text, 60)}': {suite} has no categories; write numbers, for instance 0,3,5-7"
        )
    if text is None or category is None:
        return parse_indices(text, count, "tasks")
    by_category: dict[str, list[int]] = {}
    for task in tasks(suite):
        by_category.setdefault(category(task), []).append(task.index)
    selected: set[int] = set()
    for part in text.split(","):
        name, colon, wanted = part.strip().partition(":")
        if name[:1].isalpha():
            selected.update(_of_category(name, wanted if colon else None, by_category))
        else:
            selected.update(parse_indices(part, count, "tasks"))
    return tuple(sorted(selected))


def _of_category(name: str, wanted: str | None, by_category: dict[str, list[int]]) -> list[int]:
    """All tasks of a category, or the wanted number of them."""
    if name not in by_category:
        raise ConfigError(f"--tasks: no category '{shown(name, 60)}'{nearest(name, tuple(by_category))}")
    numbers = by_category[name]
    if wanted is None:
        return numbers
    if not re.fullmatch("[0-9]{1,6}", wanted) or not 1 <= int(wanted) <= len(numbers):
        raise ConfigError(
            f"--tasks {name}:{shown(wanted, 60)}: must be a number within 1..{len(numbers)}, that of its tasks"
        )
    return [numbers[i * len(numbers) // int(wanted)] for i in range(int(wanted))]
