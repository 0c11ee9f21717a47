"""Drops by task and condition: cells of the heat map, and points of drift against drop within each task."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from simeval.analysis.grouping import groups
from simeval.core.types import CLEAN
from simeval.stats.study import DriftOutcomes
from simeval.stats.within_task import cell_means


@dataclass(frozen=True, slots=True)
class CellDrop:
    """Drop of one condition on one task, over the complete pairs.

    Attributes:
        pairs: complete pairs.
        missing: pairs without an outcome on either side; infeasible pairs do not count.
        harmed, helped: pairs that only the clean, only the perturbed episode solved.
        clean_rate, rate: success rates of the pairs; `None`, as `drop`, without pairs.
        drop: `clean_rate - rate` (fraction).
    """

    suite: str
    task: int
    condition: str
    pairs: int
    missing: int
    harmed: int
    helped: int
    clean_rate: float | None
    rate: float | None
    drop: float | None


@dataclass(frozen=True, slots=True)
class TaskPoint:
    """Mean drift and drop of one task under one condition of a correlation; `None` where not measured."""

    task: int
    condition: str
    drift: float | None
    drop: float | None


def cell_drops(episodes: pd.DataFrame) -> tuple[CellDrop, ...]:
    """One row per suite, perturbed condition and task, in the order of the tables."""
    cells = []
    for _, rows in groups(episodes, "suite"):
        clean = rows[rows["condition"] == CLEAN]
        perturbed = rows[rows["condition"] != CLEAN]
        for (suite, condition, task), twins in groups(perturbed, "suite", "condition", "task"):
            cells.append(_cell(str(suite), str(condition), int(task), clean[clean["task"] == task], twins))
    return tuple(cells)


def _cell(suite: str, condition: str, task: int, clean: pd.DataFrame, twins: pd.DataFrame) -> CellDrop:
    infeasible_pairs = twins.loc[twins["outcome"] == "infeasible", "pair_id"]
    sides = [part[~part["pair_id"].isin(infeasible_pairs)][["pair_id", "outcome"]] for part in (clean, twins)]
    pairs = sides[0].merge(sides[1], "outer", on="pair_id", suffixes=("_clean", ""))
    complete = pairs[pairs[["outcome_clean", "outcome"]].isin(["success", "failure"]).all(axis=1)]
    before, after = complete["outcome_clean"] == "success", complete["outcome"] == "success"
    n = len(complete)
    harmed, helped = int((before & ~after).sum()), int((~before & after).sum())
    return CellDrop(
        suite=suite,
        task=task,
        condition=condition,
        pairs=n,
        missing=len(pairs) - n,
        harmed=harmed,
        helped=helped,
        clean_rate=float(before.mean()) if n else None,
        rate=float(after.mean()) if n else None,
        drop=(harmed - helped) / n if n else None,
    )


def task_points(study: DriftOutcomes, conditions: tuple[str, ...]) -> tuple[TaskPoint, ...]:
    """Drift and drop of every task under the named conditions; empty where drift was not measured on the pairs.

    Args:
        study: outcomes and drift.
        conditions: conditions of the correlation.
    """
    if study.drift is None:
        return ()
    tasks, drift, drop = cell_means(study)
    names = [condition.name for condition in study.conditions]
    return tuple(
        TaskPoint(int(task), name, _known(drift[row, names.index(name)]), _known(drop[row, names.index(name)]))
        for row, task in enumerate(tasks)
        for name in conditions
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
