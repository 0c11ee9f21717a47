"""Noise ceiling of a correlation with few episodes, and where a repeat of it with other episodes would be."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.association import STATISTICS
from simeval.stats.clusters import largest_below_one
from simeval.stats.drift import Floats
from simeval.stats.intervals import Interval
from simeval.stats.quantiles import t_isf
from simeval.stats.resampling import MAX_UNDEFINED, Resampling, bootstrap_values
from simeval.stats.study import DriftOutcomes


@dataclass(frozen=True, slots=True)
class Reliability:
    """Share of the spread between conditions that is not sampling noise.

    Attributes:
        share: 1 - noise / variance, at least 0; `None` where `reason` says why.
        ceiling: its root: the largest expected correlation of a perfect predictor.
        variance: variance between conditions.
        noise: mean squared standard error, less what is common to all conditions.
        reason: why there is no number; empty otherwise.
    """

    share: float | None
    ceiling: float | None
    variance: float | None
    noise: float | None
    reason: str = ""


def reliability(values: ArrayLike, standard_errors: ArrayLike) -> Reliability:
    """Reliability of condition means from their standard errors, as in classical test theory.

    Args:
        values: float[k], one number per condition.
        standard_errors: float[k], of independent errors.
    """
    points, errors = np.asarray(values, dtype=float), np.asarray(standard_errors, dtype=float)
    if points.shape != errors.shape or points.ndim != 1:
        raise ValueError(f"{points.shape} values with {errors.shape} standard errors")
    return _reliability(points, float((errors**2).mean()) if errors.size else 0.0)


def drop_reliability(study: DriftOutcomes) -> Reliability:
    """Reliability of a study's drops; its `ceiling` is the noise ceiling `r_max` of a correlation.

    The error of the clean arm is common to all drops and blurs no order. So the noise is that of their differences:
    `mean_c Var(D_c) - mean_{c<c'} Cov(D_c, D_c')`, over initial states within their task.

    Args:
        study: only the included conditions, each with at least one complete pair.
    """
    sums = unit_sums(study)
    pairs = sums.drop_n.sum(axis=0)
    k = len(pairs)
    drops = sums.drop.sum(axis=0) / pairs
    if k < 3:
        return _reliability(drops, 0.0)
    errors = (sums.drop - drops * sums.drop_n) / pairs
    covariance = np.zeros((k, k))
    for stratum in _strata(sums):
        deviations = errors[stratum] - errors[stratum].mean(axis=0)
        covariance += deviations.T @ deviations * len(stratum) / max(len(stratum) - 1, 1)
    common = (covariance.sum() - covariance.trace()) / (k * (k - 1))
    return _reliability(drops, float(covariance.trace() / k - common))


def _reliability(points: Floats, noise: float) -> Reliability:
    if points.size < 3:
        return Reliability(None, None, None, None, f"too few conditions: {points.size}, at least 3 are needed")
    variance = float(points.var(ddof=1))
    if np.ptp(points) == 0:
        return Reliability(None, None, 0.0, noise, "all conditions have the same value")
    share = max(0.0, 1 - noise / variance)
    reason = "" if share else "the conditions differ no more than their noise does"
    return Reliability(share, sqrt(share), variance, noise, reason)


@dataclass(frozen=True, slots=True, eq=False)
class UnitSums:
    """Outcomes and drift summed by initial state, so that a resample of initial states is a sum of rows.

    Attributes:
        tasks: int64[units].
        drop, drop_n: float64[units, conditions]: sum of clean minus perturbed, and number of complete pairs.
        drift, drift_n: the same for drift; `None` where drift was measured on other frames.
    """

    tasks: NDArray[np.int64]
    drop: Floats
    drop_n: Floats
    drift: Floats | None
    drift_n: Floats | None


def unit_sums(study: DriftOutcomes) -> UnitSums:
    """Sum a study by initial state."""
    units = study.units
    count = int(units.max()) + 1 if units.size else 0
    tasks = np.zeros(count, dtype=np.int64)
    tasks[units] = study.tasks

    def summed(values: Floats) -> tuple[Floats, Floats]:
        total, known = np.zeros((count, values.shape[1])), np.zeros((count, values.shape[1]))
        np.add.at(total, units, np.nan_to_num(values, nan=0.0))
        np.add.at(known, units, (~np.isnan(values)).astype(float))
        return total, known

    drop, drop_n = summed(study.pair_drops)
    drift, drift_n = summed(study.drift) if study.drift is not None else (None, None)
    return UnitSums(tasks, drop, drop_n, drift, drift_n)


def measurement_intervals(
    study: DriftOutcomes, stats: tuple[str, ...], resampling: Resampling
) -> tuple[tuple[Interval | None, ...], str]:
    """Where correlations of a repeat would be: the same conditions, as many other episodes.

    The spread is that of a bootstrap. Initial states are resampled within their task, as whole rows: all conditions of
    a state, its clean arm and the drift of its frames stay together. Frames of no pair are resampled by their clusters,
    independently. The centre is the correlation itself, as resamples have its noise twice and lean to 0; both it and
    the repeat vary, hence the root of 2. In simulations a repeat lies inside in .86 (weak losses) to
    .95.

    Args:
        study: only the included conditions.
        stats: names of correlations in `association.STATISTICS`.
        resampling: of the bootstrap.

    Returns:
        One interval per statistic, and the reason if they are missing.
    """
    nothing = (None,) * len(stats)
    sums = unit_sums(study)
    strata = _strata(sums)
    means = None if study.drift is not None or study.frames is None else _cluster_means(study)
    sizes = [len(stratum) for stratum in strata] + ([len(means)] if means is not None else [])
    states, k = len(sums.tasks), len(study.conditions)
    if k < 3 or min(sizes, default=0) < 2:
        return nothing, "too few conditions or initial states to resample"

    def correlations(*samples: NDArray[np.intp]) -> Floats:
        """Fisher's z of every statistic: float[..., stats]."""
        rows = np.concatenate([stratum[i] for stratum, i in zip(strata, samples, strict=False)], axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            drop = sums.drop[rows].sum(axis=-2) / sums.drop_n[rows].sum(axis=-2)
            if means is not None:
                drift = np.nansum(means[samples[-1]], axis=-2) / (~np.isnan(means[samples[-1]])).sum(axis=-2)
            else:
                assert sums.drift is not None
                assert sums.drift_n is not None
                drift = sums.drift[rows].sum(axis=-2) / sums.drift_n[rows].sum(axis=-2)
        shape = (*drop.shape[:-1], len(stats))
        points = zip(drift.reshape(-1, k), drop.reshape(-1, k), strict=True)
        values = [[STATISTICS[name](x, y) for name in stats] for x, y in points]
        largest = largest_below_one(k)
        z = np.arctanh(np.clip(np.array(values, dtype=float), -largest, largest))
        return np.asarray(z, dtype=float).reshape(shape)

    centre = correlations(*(np.arange(size) for size in sizes))
    # A resample of n states varies by (n - 1) / n of what n new states would; with few states per task that counts.
    free = states - len(strata)
    factor = sqrt(2 * states / free) * t_isf((1 - resampling.level) / 2, free)
    spreads = [_spread(values) for values in bootstrap_values(sizes, correlations, resampling)]
    return tuple(
        None if spread is None else _repeat(float(z), factor * spread, resampling.level)
        for z, spread in zip(centre, spreads, strict=True)
    ), ""


def _spread(values: Floats) -> float | None:
    """Standard deviation of bootstrap values; `None` if too many are undefined."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if known.size >= max(2, (1 - MAX_UNDEFINED) * values.size) else None


def _repeat(z: float, half: float, level: float) -> Interval:
    return Interval(float(np.tanh(z - half)), float(np.tanh(z + half)), level, "bootstrap over states, a repeat")


def _strata(sums: UnitSums) -> list[NDArray[np.intp]]:
    """Rows of the initial states of each task; all of them if a task has one only, which has no spread alone."""
    strata = [np.flatnonzero(sums.tasks == task) for task in np.unique(sums.tasks)]
    return [np.arange(len(sums.tasks))] if any(len(stratum) < 2 for stratum in strata) else strata


def _cluster_means(study: DriftOutcomes) -> Floats:
    """Mean drift of each cluster of frames: float64[clusters, conditions]."""
    assert study.frames is not None
    _, index = np.unique(study.frames.clusters, return_inverse=True)
    known = ~np.isnan(study.frames.values)
    total, count = (np.zeros((int(index.max(initial=-1)) + 1, known.shape[1])) for _ in range(2))
    np.add.at(total, index, np.nan_to_num(study.frames.values, nan=0.0))
    np.add.at(count, index, known.astype(float))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
