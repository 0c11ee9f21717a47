"""Compares success rates of two runs whose episodes cannot be paired, because one was imported.

Non-obvious behaviour:
- Only tasks that both runs have are counted, each with the same weight.
- The interval of the difference is Newcombe's (1998, method 10), from the two Wilson intervals on their effective
  sizes. It takes the sides for independent: episodes that did start alike make it wider than need be, not narrower.
- A pair of runs of simeval is never compared like this: paired episodes decide with far fewer of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from simeval.analysis.grouping import LEVEL, mean_over_tasks
from simeval.analysis.sequential import sequential
from simeval.core.errors import ConfigError
from simeval.stats.intervals import Interval
from simeval.store.run import Run

METHOD = "newcombe, effective n"


@dataclass(frozen=True, slots=True)
class RateChange:
    """Success of B against A under one condition of one suite, over the common tasks.

    Attributes:
        suite, condition: of both.
        tasks: number of common tasks with completed episodes on both sides.
        n_a, n_b: completed episodes.
        a, b: success rates, equal-weight means over the tasks.
        gain: b - a.
        interval: of `gain`.
        direction: B's rate is `higher` or `lower` if the interval excludes 0. Not adjusted for the number of rows.
    """

    suite: str
    condition: str
    tasks: int
    n_a: int
    n_b: int
    a: float
    b: float
    gain: float
    interval: Interval
    direction: Literal["higher", "lower", "no difference shown"]


@dataclass(frozen=True, slots=True)
class UnpairedComparison:
    """Run B against run A, not paired.

    Attributes:
        a, b: names of the policies, with the run folders if they are equal.
        assets_a, assets_b: descriptions of the scenes.
        rates: by suite and condition.
        notes: why nothing is paired, what is left out.
    """

    a: str
    b: str
    assets_a: str
    assets_b: str
    rates: tuple[RateChange, ...]
    notes: tuple[str, ...]


def compare_unpaired(a: Run, b: Run) -> UnpairedComparison:
    """Compare two runs of which at least one was imported.

    Raises:
        ConfigError: they have no common suite, task and condition with completed episodes.
        ValueError: neither was imported.
    """
    imported = [run for run in (a, b) if run.imported_from]
    if not imported:
        raise ValueError("runs of simeval are compared in pairs")
    sides = [_completed(run) for run in (a, b)]
    rates = tuple(_changes(*sides, suites=a.manifest["config"]["suite"], conditions=a.manifest["conditions"]))
    if not rates:
        raise ConfigError(f"{a.folder} and {b.folder}: no suite, task and condition is in both")
    origins = ", ".join(f"{run.folder} was imported from {run.imported_from}" for run in imported)
    notes = [
        f"not paired: {origins}, and nothing proves that episodes began alike; scenes, step limits and software may "
        "differ as well",
        *_left_out(a, b, sides, rates),
    ]
    names = [str(run.manifest["identity"]["policy"]["name"]) for run in (a, b)]
    if names[0] == names[1]:
        names = [f"{name} ({run.folder.name})" for name, run in zip(names, (a, b), strict=True)]
    return UnpairedComparison(names[0], names[1], a.manifest["assets"], b.manifest["assets"], rates, tuple(notes))


def difference(a: tuple[float, Interval], b: tuple[float, Interval]) -> Interval:
    """Interval of b - a for two independent rates, each given with its interval."""
    (p, one), (q, two) = a, b
    low = q - p - math.hypot(q - two.low, one.high - p)
    high = q - p + math.hypot(two.high - q, p - one.low)
    return Interval(max(-1.0, low), min(1.0, high), LEVEL, METHOD)


def _completed(run: Run) -> pd.DataFrame:
    followed = sequential(run.manifest, run.episodes)
    rows = followed.counted if followed else run.episodes
    rows = rows[rows["outcome"].isin(["success", "failure"])]
    return rows.assign(suite=rows["suite"].astype(str), condition=rows["condition"].astype(str))


def _changes(
    one: pd.DataFrame, two: pd.DataFrame, *, suites: Sequence[str], conditions: Sequence[str]
) -> "list[RateChange]":
    changes = []
    for suite in suites:
        for condition in conditions:
            parts = [rows[(rows["suite"] == suite) & (rows["condition"] == condition)] for rows in (one, two)]
            common = set(parts[0]["task"]) & set(parts[1]["task"])
            if common:
                changes.append(_change(suite, condition, *(part[part["task"].isin(common)] for part in parts)))
    return changes


def _change(suite: str, condition: str, one: pd.DataFrame, two: pd.DataFrame) -> RateChange:
    means = [mean_over_tasks(rows, rows["outcome"] == "success") for rows in (one, two)]
    (a, of_a), (b, of_b) = [(float(mean.rate or 0.0), mean.interval) for mean in means]
    interval = difference((a, of_a), (b, of_b))
    direction: Literal["higher", "lower", "no difference shown"] = "no difference shown"
    if interval.low > 0 or interval.high < 0:
        direction = "higher" if interval.low > 0 else "lower"
    return RateChange(suite, condition, means[0].tasks, len(one), len(two), a, b, b - a, interval, direction)


def _left_out(a: Run, b: Run, sides: Sequence[pd.DataFrame], rates: Sequence[RateChange]) -> list[str]:
    notes = []
    for run, rows, counted in zip((a, b), sides, (sum(r.n_a for r in rates), sum(r.n_b for r in rates)), strict=True):
        if alone := len(rows) - counted:
            notes.append(f"{alone} episodes of {run.folder} are of suites, tasks or conditions that the other lacks")
        if broken := int((run.episodes["outcome"] == "error").sum()):
            notes.append(f"{broken} episodes of {run.folder} broke and are left out")
    return notes
