"""Success by category of tasks, for suites that have categories (LIBERO-plus: camera, robot, noise, ...)."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from envs.goals import EnvError
from envs.suites import find_suite, is_suite, tasks
from simeval.analysis.grouping import LEVEL, groups
from simeval.stats.intervals import Interval, wilson

ALL_SUITES = "all suites"
"""Stands for the suite in the rows that pool the tasks of several suites."""


@dataclass(frozen=True, slots=True)
class CategoryRate:
    """Success of one condition on the tasks of one category.

    Attributes:
        suite: name of the suite; `ALL_SUITES` for the tasks of all suites with categories.
        category: as the suite calls it.
        condition: the condition.
        tasks: tasks with at least one completed episode.
        n: completed episodes.
        errors: episodes that ended in an error; not included in `n`.
        rate: equal-weight mean over tasks; `None` if nothing ran.
        interval: Wilson's over the tasks, for other tasks of the category.
    """

    suite: str
    category: str
    condition: str
    tasks: int
    n: int
    errors: int
    rate: float | None
    interval: Interval


def category_table(episodes: pd.DataFrame) -> tuple[CategoryRate, ...]:
    """One row per suite, category and condition; if several suites have categories, the same for all together.

    Suites without categories are left out, and those whose tasks are not known here (a plugin's, missing files).
    """
    if episodes.empty:
        return ()
    known = {str(suite): categories(str(suite)) for suite in episodes["suite"].unique()}
    rows = episodes[episodes["suite"].isin([suite for suite, found in known.items() if found])]
    if rows.empty:
        return ()
    pairs = zip(rows["suite"], rows["task"], strict=True)
    rows = rows.assign(category=[known[str(suite)].get(int(task), "unknown") for suite, task in pairs])
    suites = rows["suite"].nunique()
    table = [
        _rate(str(suite), str(category), str(condition), part)
        for (suite, category, condition), part in groups(rows, "suite", "category", "condition")
    ]
    return (*table, *(_pooled(rows, suites) if suites > 1 else ()))


def categories(suite: str) -> dict[int, str]:
    """The category of each task by its index; empty if the suite has none, or is not known here."""
    try:
        category = find_suite(suite).category if is_suite(suite) else None
        return {task.index: category(task) for task in tasks(suite)} if category else {}
    except EnvError:
        return {}


def _pooled(rows: pd.DataFrame, suites: int) -> Iterator[CategoryRate]:
    """Rows for all suites together, for conditions that ran in every suite."""
    for (category, condition), part in groups(rows, "category", "condition"):
        if rows.loc[rows["condition"] == condition, "suite"].nunique() == suites:
            yield _rate(ALL_SUITES, str(category), str(condition), part)


def _rate(suite: str, category: str, condition: str, rows: pd.DataFrame) -> CategoryRate:
    feasible = rows[rows["outcome"] != "infeasible"]
    ran = feasible[feasible["outcome"] != "error"]
    hits = (ran["outcome"] == "success").astype(float)
    per_task = hits.groupby([ran["suite"], ran["task"]], observed=True).mean()
    solved, count = float(per_task.sum()), len(per_task)
    rate = solved / count if count else None
    errors = len(feasible) - len(ran)
    return CategoryRate(suite, category, condition, count, len(ran), errors, rate, wilson(solved, count, LEVEL))
