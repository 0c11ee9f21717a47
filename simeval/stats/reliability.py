"""Noise ceiling of a correlation with few episodes, and its interval for these same conditions."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.association import STATISTICS
from simeval.stats.drift import Floats
from simeval.stats.intervals import Interval
from simeval.stats.resampling import Resampling, bootstrap_intervals
from simeval.stats.study import DriftOutcomes


@dataclass(frozen=True, slots=True)
class Reliability:
    """Share of the spread between conditions that is not sampling noise.

    Attributes:
        share: 1 - noise / variance, at least 0; `None` where `reason` says why.
        ceiling: its root: the largest expected correlation of a perfect predictor.
        variance: variance between conditions.
        noise: mean squared standard error.
        reason: why there is no number; empty otherwise.
    """

    share: float | None
    ceiling: float | None
    variance: float | None
    noise: float | None
    reason: str = ""


def reliability(values: ArrayLike, standard_errors: ArrayLike) -> Reliability:
    """Reliability of condition means from their standard errors, as in classical test theory.

    For drops it gives the noise ceiling `r_max`. The clean arm's error is common to all drops and does not affect their
    order, so the ceiling is slightly too low for drops, not too high.

    Args:
        values: float[k], one number per condition.
        standard_errors: float[k].
    """
    points, errors = np.asarray(values, dtype=float), np.asarray(standard_errors, dtype=float)
    if points.shape != errors.shape or points.ndim != 1:
        raise ValueError(f"{points.shape} values with {errors.shape} standard errors")
    if points.size < 3:
        return Reliability(None, None, None, None, f"too few conditions: {points.size}, at least 3 are needed")
    variance, noise = float(points.var(ddof=1)), float((errors**2).mean())
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
    """Intervals of correlations for these same conditions with other episodes.

    Initial states are resampled within their task, as whole rows: all conditions of a state, its clean arm and the
    drift of its frames stay together. Frames of no pair are resampled by their clusters, independently.

    Args:
        study: only the included conditions.
        stats: names in `association.STATISTICS`.
        resampling: of the bootstrap.

    Returns:
        One interval per statistic, and the reason if they are missing.
    """
    nothing = (None,) * len(stats)
    sums = unit_sums(study)
    strata = [np.flatnonzero(sums.tasks == task) for task in np.unique(sums.tasks)]
    if any(len(stratum) < 2 for stratum in strata):
        # A task with one initial state cannot be resampled alone.
        strata = [np.arange(len(sums.tasks))]
    means = None if study.drift is not None or study.frames is None else _cluster_means(study)
    sizes = [len(stratum) for stratum in strata] + ([len(means)] if means is not None else [])
    if len(study.conditions) < 3 or min(sizes, default=0) < 2:
        return nothing, "too few conditions or initial states to resample"

    def statistic(*samples: NDArray[np.intp]) -> Floats:
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
        points = zip(drift.reshape(-1, drift.shape[-1]), drop.reshape(-1, drop.shape[-1]), strict=True)
        values = [[STATISTICS[name](x, y) for name in stats] for x, y in points]
        return np.array(values, dtype=float).reshape(shape)

    return bootstrap_intervals(sizes, statistic, resampling), ""


def _cluster_means(study: DriftOutcomes) -> Floats:
    """Mean drift of each cluster of frames: float64[clusters, conditions]."""
    assert study.frames is not None
    _, index = np.unique(study.frames.clusters, return_inverse=True)
    known = ~np.isnan(study.frames.values)
    total, count = (np.zeros((int(index.max(initial=-1)) + 1, known.shape[1])) for _ in range(2))
    np.add.at(total, index, np.nan_to_num(study.frames.values, nan=0.0))
    np.add.at(count, index, known.astype(float))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
