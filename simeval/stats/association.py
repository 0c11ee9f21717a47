"""Association of two numbers: rank and linear correlation, MMRV, intervals.

Every statistic takes x (the cheap number: drift) and y (the target: loss of success), both "higher is worse". It is NaN
where an input is constant or shorter than two; results of this package have `None` there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from simeval.stats.clusters import correlation_interval, members_of
from simeval.stats.family_order import family_p
from simeval.stats.intervals import Interval
from simeval.stats.resampling import Resampling

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], float]

MIN_POINTS = 3
"""Fewer points have no meaningful correlation: two are always on a line."""


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation: Pearson's of midranks."""
    return pearson(stats.rankdata(x), stats.rankdata(y))


def pearson(x: Floats, y: Floats) -> float:
    """Pearson's correlation."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def kendall(x: Floats, y: Floats) -> float:
    """Kendall's tau-b."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.kendalltau(x, y, method="asymptotic").statistic)


def mmrv(predicted: ArrayLike, true: ArrayLike) -> float:
    """Mean maximum rank violation (SIMPLER, Li et al. 2024): the loss from trusting the predicted order.

    Each item contributes its worst wrongly ordered pair, weighted by the difference of the true scores. Not symmetric:
    the weight is on the true side. A tie violates in one direction only, as in SIMPLER's code.

    Args:
        predicted: float[n], higher is better.
        true: float[n], higher is better, for instance success rates.

    Returns:
        In the units of `true`; 0 for a perfect order, NaN without items.
    """
    s, r = np.asarray(predicted, dtype=float), np.asarray(true, dtype=float)
    if s.shape != r.shape or s.ndim != 1:
        raise ValueError(f"{s.shape} predictions of {r.shape} scores")
    if not s.size:
        return float("nan")
    wrong = (s[:, None] > s) != (r[:, None] > r)
    return float((wrong * np.abs(r[:, None] - r)).max(axis=1).mean())


def mmrv_from_drops(x: Floats, y: Floats) -> float:
    """MMRV where both sides say "higher is worse"."""
    return mmrv(-x, -y)


STATISTICS: Mapping[str, Statistic] = {
    "spearman": spearman,
    "kendall": kendall,
    "pearson": pearson,
    "mmrv": mmrv_from_drops,
}
"""Statistics by name; the first is primary."""


@dataclass(frozen=True, slots=True)
class Association:
    """One statistic over points.

    Attributes:
        stat: name of the statistic.
        value: `None` where `reason` says why.
        ci_conditions: interval for other conditions like these; `None` with too few, and for MMRV.
        p: two-sided, whole families permuted; `None` where there is no test.
        n_permutations: number of orders of the families in the test; 0 without one.
        k: number of points.
        n_clusters: number of families, which are left out as a whole; `k` if every point is its own family.
        loo_min, loo_max: range of the statistic when any one point is left out; `None` with fewer than four points.
        loo_point: index of the point whose absence changes it most.
        reason: why a number is missing; empty otherwise.
    """

    stat: str
    value: float | None
    ci_conditions: Interval | None = None
    p: float | None = None
    n_permutations: int = 0
    k: int = 0
    n_clusters: int = 0
    loo_min: float | None = None
    loo_max: float | None = None
    loo_point: int | None = None
    reason: str = ""


def associate(
    x: ArrayLike, y: ArrayLike, *, stat: str = "spearman", clusters: ArrayLike | None = None, resampling: Resampling
) -> Association:
    """A statistic with interval, p-value and its range when one point is left out.

    Args:
        x: float[k], drift.
        y: float[k], drop.
        stat: a name in `STATISTICS`.
        clusters: label of each point's family: points of one family are not independent and are left out and permuted
            together; `None` if all points are independent.
        resampling: level, and of the permutation test.

    Raises:
        ValueError: the shapes differ, or a value is not finite.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    labels = np.arange(a.size) if clusters is None else np.asarray(clusters)
    if not a.shape == b.shape == labels.shape or a.ndim != 1:
        raise ValueError(f"points differ in shape: {a.shape}, {b.shape}, {labels.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a point is not finite")
    statistic = STATISTICS[stat]
    k, n_clusters = a.size, len(np.unique(labels))
    reason = undefined(a, b)
    if reason:
        return Association(stat, None, k=k, n_clusters=n_clusters, reason=reason)
    value = statistic(a, b)
    interval, interval_reason = _interval(a, b, labels, stat, resampling)
    p, n_permutations = _p_value(a, b, labels, stat, resampling)
    low, high, point = leave_one_out(a, b, statistic)
    return Association(stat, value, interval, p, n_permutations, k, n_clusters, low, high, point, interval_reason)


def undefined(x: Floats, y: Floats) -> str:
    """Why points have no correlation; empty if they have one."""
    if len(x) < MIN_POINTS:
        return f"too few conditions: {len(x)}, at least {MIN_POINTS} are needed"
    if np.ptp(x) == 0:
        return "all conditions drift the same"
    if np.ptp(y) == 0:
        return "all conditions lose the same success"
    return ""


def leave_one_out(x: Floats, y: Floats, statistic: Statistic) -> tuple[float | None, float | None, int | None]:
    """Smallest and largest value when one point is left out, and the index of the most influential point."""
    if len(x) <= MIN_POINTS:
        return None, None, None
    values = np.array([statistic(np.delete(x, i), np.delete(y, i)) for i in range(len(x))])
    if np.isnan(values).any():
        return None, None, int(np.flatnonzero(np.isnan(values))[0])
    return float(values.min()), float(values.max()), int(np.abs(values - statistic(x, y)).argmax())


def _interval(
    x: Floats, y: Floats, labels: NDArray[np.generic], stat: str, resampling: Resampling
) -> tuple[Interval | None, str]:
    members, statistic = members_of(labels), STATISTICS[stat]
    if stat == "mmrv":
        # A mean of maxima: in a resample, a condition drawn twice violates nothing against itself.
        return None, ""
    return correlation_interval(lambda i: statistic(x[i], y[i]), members, resampling.level)


def _p_value(
    x: Floats, y: Floats, labels: NDArray[np.generic], stat: str, resampling: Resampling
) -> tuple[float | None, int]:
    if stat == "mmrv":
        return None, 0
    test = family_p(x, y, labels, stat, resampling)
    return (None, 0) if test is None else (test.p, test.n_permutations)
