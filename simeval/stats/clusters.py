"""Intervals of numbers whose points come in clusters: conditions of one family, frames of one episode.

The points of a cluster are not independent, so what is left out, one at a time, is a cluster.
"""

from collections.abc import Callable, Sequence
from math import atanh, sqrt, tanh

import numpy as np
from numpy.typing import NDArray

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import normal_isf, t_isf, t_isfs

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MIN_CLUSTERS = 4
"""Smallest number of families with an interval: from here on it covers .92 and more in simulations."""
MIN_FOR_INTERVAL = 6
"""Smallest number of points with an interval."""
MAX_CLUSTERS = 1000
"""No study has more families; the number that would be needed is not searched beyond it."""
NO_WIDTH = 1e-9


def members_of(labels: NDArray[np.generic]) -> list[Indices]:
    """Indices of the points of each cluster, in the order of the sorted labels."""
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def too_few(points: int, clusters: int) -> str:
    """Why a number of points in clusters has no interval; empty if it has one."""
    if points < MIN_FOR_INTERVAL:
        return f"too few conditions for an interval: {points}, at least {MIN_FOR_INTERVAL} are needed"
    if clusters < MIN_CLUSTERS:
        return f"too few families for an interval: {clusters}, at least {MIN_CLUSTERS} are needed"
    return ""


def jackknife_half_width(value: float, without: Floats, level: float) -> float:
    """Half the width of Tukey's jackknife interval: Student's t on the pseudo-values, one per cluster.

    Args:
        value: the statistic of all points, on a scale without limits.
        without: float[clusters], the statistic without each cluster.
        level: nominal coverage.
    """
    count = len(without)
    pseudo = count * value - (count - 1) * without
    return float(t_isf((1 - level) / 2, count - 1) * pseudo.std(ddof=1) / sqrt(count))


def leave_out_clusters(statistic: Callable[[Indices], float], members: Sequence[Indices]) -> Floats:
    """A statistic of point indices without each cluster: float[clusters]."""
    everyone = np.sort(np.concatenate(members))
    return np.array([statistic(np.setdiff1d(everyone, gone, assume_unique=True)) for gone in members], dtype=float)


def correlation_interval(
    statistic: Callable[[Indices], float], members: Sequence[Indices], level: float
) -> tuple[Interval | None, str]:
    """Interval of a correlation by a jackknife over clusters on Fisher's z, or `None` and the reason.

    A jackknife gives two estimates, the value and the mean of the pseudo-values, which has less bias where drifts are
    skewed. The interval reaches from below the smaller to above the larger. In simulations it covers .91 to .99 for
    rank correlations, .86 to .98 for Pearson's where drifts are very skewed; around the value alone it covers less.

    A correlation of 1 is first moved to the largest rank correlation below it that so many points can have. If all
    orders are alike without any cluster, their spread says nothing, and the interval is that of as many single points.

    Args:
        statistic: correlation of the points with these indices.
        members: indices of the points of each cluster.
        level: nominal coverage.
    """
    points = sum(len(part) for part in members)
    reason = too_few(points, len(members))
    if reason:
        return None, reason
    value, without = statistic(np.sort(np.concatenate(members))), leave_out_clusters(statistic, members)
    if not (np.isfinite(value) and np.isfinite(without).all()):
        return None, "without one family there is no correlation left to compute"
    largest = largest_below_one(points)
    z, z_without = np.arctanh(np.clip(value, -largest, largest)), np.arctanh(np.clip(without, -largest, largest))
    half = jackknife_half_width(float(z), z_without, level)
    if half < NO_WIDTH:
        return fisher_interval(value, len(members), level), ""
    corrected = len(members) * z - (len(members) - 1) * z_without.mean()
    low, high = tanh(min(z, corrected) - half), tanh(max(z, corrected) + half)
    method = "jackknife over families, fisher z"
    return Interval(-1.0 if value <= -1 else low, 1.0 if value >= 1 else high, level, method), ""


def largest_below_one(points: int) -> float:
    """The largest rank correlation below 1 that so many points can have."""
    return 1 - 12 / (points * (points**2 - 1))


def fisher_interval(value: float, k: int, level: float = 0.95) -> Interval:
    """Interval of Spearman's correlation of `k` points by Fisher's z, with Bonett and Wright's (2000) standard error.

    A perfect order is first moved to the next smaller value that `k` points can have, so that the interval has a width.

    Raises:
        ValueError: `k` is below 4.
    """
    if k < 4:
        raise ValueError(f"{k} points; Fisher's interval needs at least 4")
    largest = largest_below_one(k)
    clipped = float(np.clip(value, -largest, largest))
    half = normal_isf((1 - level) / 2) * sqrt((1 + clipped**2 / 2) / (k - 3))
    low, high = tanh(atanh(clipped) - half), tanh(atanh(clipped) + half)
    return Interval(-1.0 if value <= -1 else low, 1.0 if value >= 1 else high, level, "fisher z, bonett-wright")


def clusters_needed(value: float, bound: float, limit: float, clusters: int, level: float = 0.95) -> int | None:
    """Number of clusters at which an interval around `value` would exclude `bound`; `None` if over `MAX_CLUSTERS`.

    Args:
        value: correlation.
        bound: value that the interval should exclude.
        limit: limit of the interval now, on the side of `bound`.
        clusters: their number now.
        level: coverage of the interval.
    """
    z, z_bound, z_limit = np.arctanh(np.clip([value, bound, limit], -0.999, 0.999))
    counts = np.arange(max(clusters, 2), MAX_CLUSTERS + 1)
    widths = t_isfs((1 - level) / 2, counts - 1) / np.sqrt(counts)
    enough = abs(z - z_limit) * widths / widths[0] < abs(z - z_bound)
    return int(counts[enough.argmax()]) if enough.any() else None
