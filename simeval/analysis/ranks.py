"""Ranks three or more runs of the same episodes; the first is the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from simeval.analysis.compare import Comparison, unique_names
from simeval.analysis.sequential import sequential
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown
from simeval.stats.intervals import Interval
from simeval.stats.ranks import Ranks, rank
from simeval.stats.resampling import Resampling
from simeval.store.run import Run

KEY = ["pair_id", "suite", "task", "init_state", "condition"]


@dataclass(frozen=True, slots=True)
class RankedPolicy:
    """A policy, its mean score, and its rank: `1`, or `2-3` where it cannot be told from others."""

    policy: str
    rate: float
    rank: str


@dataclass(frozen=True, slots=True)
class PairOfPolicies:
    """The gain of `b` over `a`; `says` is `better` or `worse` (of b) where that is shown, else empty."""

    a: str
    b: str
    gain: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    says: str


@dataclass(frozen=True, slots=True)
class RankedSuite:
    """The ranks on one suite.

    Attributes:
        suite: its name.
        score: what is ranked by.
        pairs: pairs that all runs have under all conditions.
        policies: best first.
        differences: all pairs of policies, those with the baseline first.
        rates: by condition, success of each policy in the order of the runs.
    """

    suite: str
    score: str
    pairs: int
    policies: tuple[RankedPolicy, ...]
    differences: tuple[PairOfPolicies, ...]
    rates: tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Several runs: names of their policies in the order of the runs, ranks per suite, scenes and caveats."""

    policies: tuple[str, ...]
    suites: tuple[RankedSuite, ...]
    assets: str
    notes: tuple[str, ...] = ()


def rank_runs(
    runs: Sequence[Run],
    comparisons: Sequence[Comparison],
    *,
    condition: str | None = None,
    names: Sequence[str] | None = None,
    resampling: Resampling | None = None,
) -> Ranking:
    """Rank runs.

    Args:
        runs: at least two.
        comparisons: of each later run with the first; they have checked that the episodes start alike.
        condition: rank by success under it; by default by the mean over all common conditions.
        names: of the runs; by default those of their policies.
        resampling: seed and level of all random statistics.

    Raises:
        ConfigError: the runs have no common pair, or not this condition.
    """
    rows = _common(runs)
    known = [name for name in runs[0].manifest["conditions"] if name in set(rows["condition"])]
    if condition is not None and condition not in known:
        raise ConfigError(f"--rank-by {shown(condition)}: not a condition of all runs{nearest(condition, known)}")
    names = tuple(names or unique_names(runs))
    suites = []
    for suite in runs[0].manifest["config"]["suite"]:
        mine = rows[rows["suite"] == suite]
        if len(mine):
            chosen = [condition] if condition else [name for name in known if name in set(mine["condition"])]
            suites.append(_suite(suite, mine, names, chosen, resampling))
    if not suites:
        raise ConfigError(f"{runs[0].folder}: no pair of it is in all other runs")
    notes = tuple(
        f"{name} against {names[0]}: {note}"
        for name, comparison in zip(names[1:], comparisons, strict=True)
        for note in comparison.notes
    )
    return Ranking(names, tuple(suites), str(runs[0].manifest["assets"]), notes)


def _common(runs: Sequence[Run]) -> pd.DataFrame:
    """Outcomes of the episodes that all runs have, float columns `0`, `1`, ...; NaN for one that broke."""
    tables = []
    for i, run in enumerate(runs):
        followed = sequential(run.manifest, run.episodes)
        rows = followed.counted if followed else run.episodes
        scored = rows["outcome"].map({"success": 1.0, "failure": 0.0}).astype(float)
        table = rows.assign(**{str(i): scored})[["id", *KEY, str(i)]]
        tables.append(table.astype({"suite": str, "condition": str}))
    return reduce(lambda left, right: left.merge(right, on=["id", *KEY]), tables)


def _suite(
    suite: str, rows: pd.DataFrame, names: tuple[str, ...], chosen: Sequence[str], resampling: Resampling | None
) -> RankedSuite:
    columns = [str(i) for i in range(len(names))]
    tables = [rows.pivot(index="pair_id", columns="condition", values=column) for column in columns]
    tables = [table.reindex(columns=list(chosen)) for table in tables]
    whole = np.logical_and.reduce([table.notna().all(axis=1).to_numpy() for table in tables])
    if not whole.any():
        raise ConfigError(f"{suite}: no pair ran to its end under all conditions in all runs; --rank-by names one")
    scores = [table[whole].mean(axis=1).to_numpy() for table in tables]
    about = rows.drop_duplicates("pair_id").set_index("pair_id").loc[tables[0].index[whole]]
    units = about.groupby(["task", "init_state"], observed=True).ngroup().to_numpy()
    found = rank(scores, units=units, resampling=resampling)
    rates = [float(score.mean()) for score in scores]
    order = sorted(range(len(names)), key=lambda i: (found.ranks[i], -rates[i]))
    return RankedSuite(
        suite=suite,
        score=f"success under {chosen[0]}" if len(chosen) == 1 else f"mean success over {len(chosen)} conditions",
        pairs=int(whole.sum()),
        policies=tuple(RankedPolicy(names[i], rates[i], span(*found.ranks[i])) for i in order),
        differences=_pairs(found, names),
        rates=tuple((name, tuple(float(table[whole][name].mean()) for table in tables)) for name in chosen),
    )


def _pairs(found: Ranks, names: tuple[str, ...]) -> tuple[PairOfPolicies, ...]:
    pairs = []
    for difference in found.differences:
        gain, better = difference.gain, difference.better
        says = "" if better is None else "better" if better == difference.second else "worse"
        a, b = names[difference.first], names[difference.second]
        pairs.append(PairOfPolicies(a, b, gain.gain, gain.interval, gain.p, gain.p_holm, says))
    return tuple(pairs)


def span(best: int, worst: int) -> str:
    """A set of ranks as text: `1`, or `2-3`."""
    return str(best) if best == worst else f"{best}-{worst}"
