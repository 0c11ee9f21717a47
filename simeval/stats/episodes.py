"""Does drift predict which episodes fail? Drift against the flip to failure, over pairs with a clean success.

Non-obvious behaviour:
- Ranking perturbations is not predicting episodes: drift may order conditions almost perfectly and still be useless for
  episodes within one task and condition. Hence three strata, from loose to strict.
- Initial states are exchangeable within a task, so whole states are permuted there, for all conditions alike: one state
  under 28 conditions is one state. Across conditions the units are the conditions, and episodes cannot test that.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import sparse, stats

from simeval.stats.curve import Cells, separates
from simeval.stats.intervals import Interval
from simeval.stats.resampling import Resampling, bootstrap_intervals, is_degenerate
from simeval.stats.study import DriftOutcomes

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Stratum = Literal["pooled", "within task", "within task x condition"]

MAX_ROWS = 2000
"""Flipped pairs compared at a time; bounds the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """Pairs whose clean episode succeeded: arrays of equal length.

    Attributes:
        drift: float64[n].
        flipped: bool[n], the perturbed episode failed.
        tasks, conditions: int64[n].
        units: int64[n], initial states, numbered from 0.
    """

    drift: Floats
    flipped: NDArray[np.bool_]
    tasks: Integers
    conditions: Integers
    units: Integers


@dataclass(frozen=True, slots=True)
class Auroc:
    """Probability that a flipped pair had more drift than another pair of the same stratum.

    Attributes:
        stratum: which pairs are compared.
        value: .5 is chance; `None` where `reason` says why.
        interval: bootstrap over initial states, conditions fixed.
        p: two-sided, initial states permuted within their task; only `within task x condition`.
        n_flip, n_keep: flipped and other pairs, in strata with both.
        strata: number of strata with both.
        reason: why a number is missing; empty otherwise.
    """

    stratum: Stratum
    value: float | None
    interval: Interval | None
    p: float | None
    n_flip: int
    n_keep: int
    strata: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FlipSlope:
    """`logit P(flip) = alpha_task + slope * log1p(drift)`, these conditions fixed; clustered by initial state."""

    slope: float | None
    se: float | None
    interval: Interval | None
    reason: str = ""


def flips_of(study: DriftOutcomes) -> Flips:
    """The pairs of a study with a clean success; empty if drift was measured on frames of no pair."""
    drift = np.full(study.perturbed.shape, np.nan) if study.drift is None else study.drift
    rows, columns = np.nonzero((study.clean == 1)[:, None] & ~np.isnan(study.perturbed) & ~np.isnan(drift))
    return Flips(
        drift=drift[rows, columns],
        flipped=study.perturbed[rows, columns] == 0,
        tasks=study.tasks[rows],
        conditions=columns.astype(np.int64),
        units=study.units[rows],
    )


def auroc(flips: Flips, stratum: Stratum, resampling: Resampling) -> Auroc:
    """Area under the ROC curve, Mann-Whitney's U over its maximum, summed over strata."""
    labels = _labels(flips, stratum)
    both = [rows for rows in _strata(labels) if flips.flipped[rows].any() and not flips.flipped[rows].all()]
    if not both:
        return Auroc(stratum, None, None, None, 0, 0, 0, _missing_reason(flips))
    wins = chances = 0.0
    for rows in both:
        flipped, kept = _split(flips, rows)
        wins += float(stats.mannwhitneyu(flips.drift[flipped], flips.drift[kept], method="asymptotic").statistic)
        chances += len(flipped) * len(kept)
    used = np.concatenate(both)
    interval, reason = _interval(flips, both, resampling)
    strict = stratum == "within task x condition"
    return Auroc(
        stratum=stratum,
        value=wins / chances,
        interval=interval,
        p=_permutation_p(flips, both, resampling) if strict else None,
        n_flip=int(flips.flipped[used].sum()),
        n_keep=int((~flips.flipped[used]).sum()),
        strata=len(both),
        reason=reason,
    )


def flip_slope(flips: Flips, level: float = 0.95) -> FlipSlope:
    """Logistic slope of the flip on drift, with one intercept per task. Tasks without both outcomes are excluded."""
    informative = [task for task in np.unique(flips.tasks) if 0 < flips.flipped[flips.tasks == task].mean() < 1]
    rows = np.isin(flips.tasks, informative)
    if not informative:
        return FlipSlope(None, None, None, _missing_reason(flips))
    x, y, tasks, units = np.log1p(flips.drift[rows]), flips.flipped[rows], flips.tasks[rows], flips.units[rows]
    if max(np.ptp(x[tasks == task]) for task in informative) == 0:
        return FlipSlope(None, None, None, "drift is the same in all pairs of a task")
    if separates(Cells(tasks, tasks, (~y).astype(float), np.ones(len(y)), flips.drift[rows])):
        return FlipSlope(None, None, None, "a threshold of drift splits the flips from the rest: no finite slope")
    if len(np.unique(units)) <= len(informative) + 1:
        return FlipSlope(None, None, None, "too few initial states for a clustered standard error")
    dummies = (tasks[:, None] == np.array(informative)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = sm.GLM(y.astype(float), np.column_stack([dummies, x]), family=sm.families.Binomial()).fit(
            cov_type="cluster", cov_kwds={"groups": units}
        )
    slope, se = float(result.params[-1]), float(result.bse[-1])
    if not (result.converged and np.isfinite([slope, se]).all() and se > 0):
        return FlipSlope(None, None, None, "the logistic fit did not converge")
    low, high = result.conf_int(alpha=1 - level)[-1]
    return FlipSlope(slope, se, Interval(float(low), float(high), level, "wald, clustered"))


def _labels(flips: Flips, stratum: Stratum) -> Integers:
    count = int(flips.conditions.max(initial=0)) + 1
    by: Mapping[Stratum, Integers] = {
        "pooled": np.zeros(len(flips.drift), dtype=np.int64),
        "within task": flips.tasks,
        "within task x condition": flips.tasks * count + flips.conditions,
    }
    return by[stratum]


def _strata(labels: Integers) -> list[NDArray[np.intp]]:
    """Indices of the members of each stratum."""
    if not labels.size:
        return []
    order = np.argsort(labels, kind="stable")
    return list(np.split(order, np.flatnonzero(np.diff(labels[order])) + 1))


def _split(flips: Flips, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return rows[flips.flipped[rows]], rows[~flips.flipped[rows]]


def _missing_reason(flips: Flips) -> str:
    if not flips.drift.size:
        return "no pair with a clean success, an outcome and a drift of its own"
    if not flips.flipped.any():
        return "no episode flipped to failure"
    if flips.flipped.all():
        return "every episode flipped to failure"
    return "no stratum has both flips and successes"


def _interval(flips: Flips, both: list[NDArray[np.intp]], resampling: Resampling) -> tuple[Interval | None, str]:
    """Resample initial states. With w their counts in a resample, the area is w'Aw / w'Bw, summed once over pairs."""
    names, units = np.unique(flips.units, return_inverse=True)
    size = len(names)
    if size < 2:
        return None, "one initial state only: no interval"
    wins, chances = np.zeros((size, size)), np.zeros((size, size))
    for rows in both:
        flipped, kept = _split(flips, rows)
        kept_units = _one_hot(units[kept], size)
        for start in range(0, len(flipped), MAX_ROWS):
            part = flipped[start : start + MAX_ROWS]
            difference = flips.drift[part][:, None] - flips.drift[kept]
            flipped_units = _one_hot(units[part], size).T
            wins += flipped_units @ ((difference > 0) + 0.5 * (difference == 0)) @ kept_units
            chances += flipped_units @ np.ones(difference.shape) @ kept_units

    def area(sample: NDArray[np.intp]) -> Floats:
        counts = np.apply_along_axis(np.bincount, -1, sample, minlength=size).astype(float)
        return np.asarray(((counts @ wins) * counts).sum(-1) / ((counts @ chances) * counts).sum(-1))[..., None]

    interval = bootstrap_intervals((size,), area, resampling)[0]
    if interval is not None and is_degenerate(interval):
        return None, "the order is the same in every resample: no width can be given"
    return interval, "" if interval else "too few flips to resample"


def _one_hot(units: NDArray[np.intp], size: int) -> sparse.csr_matrix:
    count = len(units)
    return sparse.csr_matrix((np.ones(count), (np.arange(count), units)), shape=(count, size))


def _permutation_p(flips: Flips, both: list[NDArray[np.intp]], resampling: Resampling) -> float:
    """Two-sided p-value of the summed U: the drifts of whole initial states are permuted within their task.

    With centred ranks and flips by state and stratum, U is their product summed, up to a constant. A state without a
    pair in a stratum has 0 there, and one with repeats their mean.
    """
    names, units = np.unique(flips.units, return_inverse=True)
    ranks, flipped = np.zeros((len(names), len(both))), np.zeros((len(names), len(both)))
    for column, rows in enumerate(both):
        repeats = np.bincount(units[rows], minlength=len(names))
        for table, values in ((ranks, stats.rankdata(flips.drift[rows])), (flipped, flips.flipped[rows].astype(float))):
            sums = np.bincount(units[rows], weights=values - values.mean(), minlength=len(names))
            table[:, column] = sums / np.maximum(repeats, 1)
    tasks = np.zeros(len(names), dtype=np.int64)
    tasks[units] = flips.tasks
    rng, observed = resampling.rng(), float((ranks * flipped).sum())
    totals = np.zeros(resampling.n_permutations)
    for task in np.unique(tasks):
        states = np.flatnonzero(tasks == task)
        products = ranks[states] @ flipped[states].T
        orders = rng.permuted(np.broadcast_to(np.arange(len(states)), (len(totals), len(states))), axis=1)
        totals += products[orders, np.arange(len(states))].sum(axis=1)
    near = 1e-9 * (1 + abs(observed))
    extreme = min(int((totals >= observed - near).sum()), int((totals <= observed + near).sum()))
    return min(1.0, 2 * (extreme + 1) / (len(totals) + 1))
