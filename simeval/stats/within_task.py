"""Does drift order the conditions within every task? Harder tasks may have both more drift and more loss."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from simeval.stats.association import MIN_POINTS, kendall, spearman
from simeval.stats.clusters import correlation_interval, members_of
from simeval.stats.family_order import MIN_FAMILIES, family_weights
from simeval.stats.intervals import Interval
from simeval.stats.resampling import Resampling, permutation_p
from simeval.stats.study import DriftOutcomes

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """How drift orders the conditions of one task; `rho` is `None` where drift or drop do not vary."""

    task: int
    conditions: int
    rho: float | None
    tau: float | None


@dataclass(frozen=True, slots=True)
class WithinTask:
    """Rank correlation of drift and drop after ranking within each task.

    Attributes:
        rho: Spearman's, pooled over tasks; `None` where `reason` says why.
        ci_conditions: interval for other conditions like these; families are left out of all tasks together.
        p: two-sided; whole families are permuted, for all tasks together. `None` with fewer than three.
        k: number of conditions.
        tasks: all tasks, including uninformative ones.
        tasks_used: number of tasks in which drift and drop vary.
        share_positive: share of them with Kendall's tau above 0.
        reason: why a number is missing; empty otherwise.
    """

    rho: float | None
    ci_conditions: Interval | None
    p: float | None
    k: int
    tasks: tuple[TaskOrder, ...]
    tasks_used: int
    share_positive: float | None
    reason: str = ""


def cell_means(study: DriftOutcomes) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Tasks, and mean drift and drop of every cell: int64[tasks], float64[tasks, conditions] twice; NaN where empty."""
    tasks = np.unique(study.tasks)
    drift, drop = (np.full((len(tasks), len(study.conditions)), np.nan) for _ in range(2))
    for row, task in enumerate(tasks):
        for values, means in ((study.drift, drift), (study.pair_drops, drop)):
            if values is None:
                continue
            task_values = values[study.tasks == task]
            known = (~np.isnan(task_values)).sum(axis=0)
            means[row, known > 0] = np.nansum(task_values, axis=0)[known > 0] / known[known > 0]
    return tasks, drift, drop


def within_task(
    tasks: ArrayLike, drift: ArrayLike, drop: ArrayLike, families: ArrayLike, resampling: Resampling
) -> WithinTask:
    """Rank within each task, then correlate.

    Args:
        tasks: int[tasks].
        drift: float[tasks, conditions], mean drift of each cell; NaN where it was not measured.
        drop: float[tasks, conditions].
        families: label of each condition's family.
        resampling: level, and of the permutation.
    """
    x, y, labels = np.asarray(drift, dtype=float), np.asarray(drop, dtype=float), np.asarray(families)
    k = x.shape[1]
    orders = tuple(_order(task, a, b) for task, a, b in zip(np.asarray(tasks).tolist(), x, y, strict=True))
    varies = np.array([order.rho is not None for order in orders], dtype=bool)
    if k < MIN_POINTS:
        reason = f"too few conditions: {k}, at least {MIN_POINTS} are needed"
        return WithinTask(None, None, None, k, orders, 0, None, reason)
    if not varies.any():
        reason = "in no task do both drift and drop vary between at least 3 conditions"
        return WithinTask(None, None, None, k, orders, 0, None, reason)
    x, y = x[varies], y[varies]
    x_ranks, y_ranks = _centred_ranks(x, y)
    taus = [order.tau for order in orders if order.tau is not None]
    members = members_of(labels)
    interval, reason = correlation_interval(
        lambda i: _correlate(*_centred_ranks(x[:, i], y[:, i])), members, resampling.level
    )
    return WithinTask(
        rho=_correlate(x_ranks, y_ranks),
        ci_conditions=interval,
        p=permutation_p(family_weights(x_ranks, y_ranks, labels), resampling).p
        if len(members) >= MIN_FAMILIES
        else None,
        k=k,
        tasks=orders,
        tasks_used=int(varies.sum()),
        share_positive=float(np.mean(np.array(taus) > 0)),
        reason=reason,
    )


def _order(task: int, drift: Floats, drop: Floats) -> TaskOrder:
    known = ~(np.isnan(drift) | np.isnan(drop))
    x, y = drift[known], drop[known]
    if len(x) < MIN_POINTS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return TaskOrder(task, len(x), None, None)
    return TaskOrder(task, len(x), spearman(x, y), kendall(x, y))


def _centred_ranks(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Ranks within each row minus their mean; 0 in missing cells and in rows where either side does not vary."""
    missing = np.isnan(x) | np.isnan(y)
    ranks = []
    for values in (x, y):
        if missing.any():
            ranked = stats.rankdata(np.where(missing, np.nan, values), axis=1, nan_policy="omit")
            ranked = ranked - np.nanmean(ranked, axis=1, keepdims=True)
        else:
            ranked = stats.rankdata(values, axis=1) - (x.shape[1] + 1) / 2
        ranks.append(np.where(missing, 0.0, ranked))
    varied = np.all([(part != 0).any(axis=1) for part in ranks], axis=0)[:, None]
    return ranks[0] * varied, ranks[1] * varied


def _correlate(x_ranks: Floats, y_ranks: Floats) -> float:
    scale = np.sqrt((x_ranks**2).sum() * (y_ranks**2).sum())
    return float((x_ranks * y_ranks).sum() / scale) if scale > 0 else float("nan")
