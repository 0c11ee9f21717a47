"""Groups episodes by suite, task and condition, and averages over tasks: shared by all tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd

from simeval.analysis.families import in_families
from simeval.core.types import CLEAN, Outcome
from simeval.stats.intervals import Interval, SuiteRate, suite_mean_of_units

COLUMNS = (
    *("id", "pair_id", "suite", "task", "init_state", "repeat", "condition"),
    *("outcome", "steps", "first_success", "reached"),
)
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """A count of episodes, their share (equal-weight mean over tasks; `None` if nothing ran) and Wilson interval."""

    count: int
    rate: float | None
    interval: Interval


def groups(episodes: pd.DataFrame, *keys: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Validate the episodes and group them by `keys`, in the order of the tables.

    Raises:
        ValueError: a column is missing, an episode occurs twice, or an outcome is unknown.
    """
    if episodes.empty:
        return
    absent = [column for column in COLUMNS if column not in episodes]
    if absent:
        raise ValueError(f"episodes lack the columns {', '.join(absent)}")
    twice = episodes.loc[episodes["id"].duplicated(), "id"]
    if len(twice):
        raise ValueError(f"episode {twice.iloc[0]} occurs twice")
    unknown = set(episodes["outcome"].unique()) - set(get_args(Outcome))
    if unknown:
        raise ValueError(f"unknown outcomes: {', '.join(sorted(map(str, unknown)))}")
    ordered = episodes.assign(suite=_ordered(episodes["suite"]), condition=_conditions(episodes["condition"]))
    # Sorted, so that no sum depends on the order in which the episodes finished.
    ordered = ordered.sort_values(["suite", "condition", "task", "init_state", "repeat"], ignore_index=True)
    yield from ordered.groupby(list(keys), observed=True)


def _ordered(names: "pd.Series[str]") -> pd.Categorical:
    planned = isinstance(names.dtype, pd.CategoricalDtype)
    return pd.Categorical(names, names.cat.categories if planned else sorted(set(names), key=_natural), ordered=True)


def _conditions(names: "pd.Series[str]") -> pd.Categorical:
    ordered = _ordered(names)
    return ordered.reorder_categories(in_families(map(str, ordered.categories)), ordered=True)


def _natural(name: str) -> tuple[bool, list[str | float]]:
    """Sort key: `none` first, numbers by value."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)  # text and number in turn, so that equal types are compared
    return name != CLEAN, [float(part) if index % 2 else part for index, part in enumerate(parts)]


def mean_over_tasks(rows: pd.DataFrame, hits: "pd.Series[bool]") -> SuiteRate:
    """Mean of `hits` over tasks; repeats of an initial state are not independent, so they are averaged first."""
    tasks, states = (rows[name].to_numpy(np.int64) for name in ("task", "init_state"))
    # pandas' own grouping takes most of the time of a small table, which has dozens of these means.
    width = int(states.max(initial=0)) + 1
    units, unit, repeats = np.unique(tasks * width + states, return_inverse=True, return_counts=True)
    means = np.bincount(unit, weights=hits[rows.index].to_numpy(np.float64), minlength=len(units)) / repeats
    return suite_mean_of_units(np.split(means, np.flatnonzero(np.diff(units // width)) + 1), LEVEL)


def share_over_tasks(ran: pd.DataFrame, hits: "pd.Series[bool]") -> Share:
    """Count of `hits`, its mean over tasks, and an interval."""
    mean = mean_over_tasks(ran, hits)
    return Share(int(hits.sum()), mean.rate, mean.interval)
