"""Association of two numbers: rank and linear correlation, MMRV, intervals.

Every statistic takes x (the cheap number: drift) and y (the target: loss of success), both "higher is worse". It is NaN
where an input is constant or shorter than two; results of this package have `None` there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import atanh, ceil, isfinite, sqrt, tanh

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from simeval.stats.intervals import Interval
from simeval.stats.resampling import Resampling, bootstrap_intervals, is_degenerate, permutation_p, vectorize_statistic

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], float]

MIN_POINTS = 3
"""Fewer points have no meaningful correlation: two are always on a line."""
MIN_FOR_INTERVAL = 6
"""Below this, no interval reaches its nominal coverage."""
MIN_FOR_BOOTSTRAP = 8
"""Below this, a nominal .95 percentile bootstrap of a rank correlation covers .84; Fisher's form covers .92."""
MIN_FAMILIES = 6
"""Smallest number of families that are resampled as a whole. In simulations with 6 families of 4 conditions, the
bootstrap covered .90 to .96; Fisher's form, which treats all 24 conditions as independent, .80 to .92."""


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
        ci_conditions: interval for other conditions like these; `None` with too few.
        p: two-sided; `None` where there is no test.
        n_permutations: number of orders in the test; 0 for a test in closed form.
        k: number of points.
        n_clusters: number of families, which are resampled as a whole; `k` if every point is its own family.
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
        clusters: label of each point's family: points of one family are not independent and are resampled together;
            `None` if all points are independent.
        resampling: of the bootstrap and of the permutation test.

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
    p, n_permutations = _p_value(a, b, stat, resampling)
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


def fisher_interval(value: float, k: int, level: float = 0.95) -> Interval:
    """Interval of Spearman's correlation of `k` points by Fisher's z, with Bonett and Wright's (2000) standard error.

    A perfect order is first moved to the next smaller value that `k` points can have, so that the interval has a width.

    Raises:
        ValueError: `k` is below 4.
    """
    if k < 4:
        raise ValueError(f"{k} points; Fisher's interval needs at least 4")
    next_below = 1 - 12 / (k * (k**2 - 1))
    clipped = float(np.clip(value, -next_below, next_below))
    half = float(stats.norm.isf((1 - level) / 2)) * sqrt((1 + clipped**2 / 2) / (k - 3))
    low, high = tanh(atanh(clipped) - half), tanh(atanh(clipped) + half)
    return Interval(-1.0 if value <= -1 else low, 1.0 if value >= 1 else high, level, "fisher z, bonett-wright")


def points_needed(
    value: float, bound: float, level: float = 0.95, *, k: int = 0, half: float | None = None
) -> int | None:
    """Number of points at which an interval around `value` would exclude `bound`; `None` if it is over 1000.

    Args:
        value: correlation.
        bound: value that the interval should exclude.
        level: nominal coverage.
        k: current number of points, with `half`.
        half: half width of their interval, on Fisher's scale; `None` for Bonett and Wright's.
    """
    clipped, clipped_bound = (float(np.clip(v, -0.999, 0.999)) for v in (value, bound))
    distance = abs(atanh(clipped) - atanh(clipped_bound))
    if distance == 0:
        return None
    if half is None or k <= 3:
        needed = 3 + (1 + clipped**2 / 2) * (float(stats.norm.isf((1 - level) / 2)) / distance) ** 2
    else:
        needed = 3 + (k - 3) * (half / distance) ** 2
    return ceil(needed) if isfinite(needed) and needed <= 1000 else None


def members_of(labels: NDArray[np.generic]) -> list[NDArray[np.intp]]:
    """Indices of the points of each cluster, in the order of the sorted labels."""
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def cluster_statistic(
    members: list[NDArray[np.intp]], statistic: Callable[[NDArray[np.intp]], list[float]]
) -> Callable[[NDArray[np.intp]], Floats]:
    """Convert a statistic of point indices to one of cluster indices, for `bootstrap_intervals`."""
    return vectorize_statistic(lambda sample: statistic(np.concatenate([members[i] for i in sample])))


def _interval(
    x: Floats, y: Floats, labels: NDArray[np.generic], stat: str, resampling: Resampling
) -> tuple[Interval | None, str]:
    members, point_statistic = members_of(labels), STATISTICS[stat]
    k = x.size
    if k < MIN_FOR_INTERVAL:
        return None, f"too few conditions for an interval: {k}, at least {MIN_FOR_INTERVAL} are needed"
    min_members = MIN_FOR_BOOTSTRAP if len(members) == k else MIN_FAMILIES
    if len(members) >= min_members:
        statistic = cluster_statistic(members, lambda i: [point_statistic(x[i], y[i])])
        interval = bootstrap_intervals((len(members),), statistic, resampling)[0]
        if interval is not None and not is_degenerate(interval):
            return interval, ""
    if stat != "spearman":
        return None, f"too few families for a bootstrap: {len(members)}, at least {min_members} are needed"
    if len(members) < 4:
        return None, f"too few families for an interval: {len(members)}, at least 4 are needed"
    return fisher_interval(point_statistic(x, y), len(members), resampling.level), ""


def _p_value(x: Floats, y: Floats, stat: str, resampling: Resampling) -> tuple[float | None, int]:
    if stat == "kendall":
        return float(stats.kendalltau(x, y).pvalue), 0
    if stat == "mmrv":
        return None, 0
    a, b = (stats.rankdata(x), stats.rankdata(y)) if stat == "spearman" else (x, y)
    test = permutation_p(np.outer(a - a.mean(), b - b.mean()), resampling)
    return test.p, test.n_permutations
