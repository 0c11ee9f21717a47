"""Bootstrap and permutation tests with SciPy: handles seeds, levels and undefined resamples in one place."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simeval.stats.intervals import Interval

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MAX_UNDEFINED = 0.1
"""Share of resamples that may be undefined (all sampled points equal) before an interval is withheld."""
BATCH = 128
"""Resamples computed at a time; bounds the memory."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """Settings of all random statistics; one seed for all, so that a report can be reproduced.

    Attributes:
        seed: of every bootstrap and permutation test; each starts a new stream from it.
        n_resamples: of a bootstrap.
        n_permutations: of a permutation test; all orders are used if there are fewer.
        level: nominal coverage of intervals.
    """

    seed: int = 0
    n_resamples: int = 999
    n_permutations: int = 9999
    level: float = 0.95

    def rng(self) -> np.random.Generator:
        """A fresh generator, always in the same state."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class PermutationP:
    """A two-sided permutation p-value and the number of orders in the test."""

    p: float
    n_permutations: int
    exact: bool


def bootstrap_values(sizes: Sequence[int], statistic: Callable[..., Floats], resampling: Resampling) -> Floats:
    """Values of several statistics over bootstrap resamples.

    Args:
        sizes: number of units in each sample; samples (strata) are resampled independently of each other.
        statistic: maps one index array int[..., size] per sample to float[..., n_statistics]; NaN where undefined.
        resampling: seed and number of resamples.

    Returns:
        float[n_statistics, n_resamples].

    Raises:
        ValueError: a sample has fewer than two units.
    """
    from scipy import stats  # not above: it takes 0.4 s, and `show` does without

    if any(size < 2 for size in sizes):
        raise ValueError(f"samples of {list(sizes)} units; a bootstrap needs at least 2 in each")

    def for_scipy(*samples: Floats, axis: int = -1) -> Floats:
        chosen = [np.moveaxis(sample, axis, -1).astype(np.intp) for sample in samples]
        return np.moveaxis(statistic(*chosen), -1, 0)

    with np.errstate(all="ignore"), warnings.catch_warnings():
        # SciPy warns about its interval if a resample is undefined; `percentile_interval` handles those.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            tuple(np.arange(size) for size in sizes),
            for_scipy,
            n_resamples=resampling.n_resamples,
            batch=BATCH,
            vectorized=True,
            axis=-1,
            confidence_level=resampling.level,
            method="percentile",
            rng=resampling.rng(),
        )
    return np.asarray(result.bootstrap_distribution, dtype=float)


def bootstrap_intervals(
    sizes: Sequence[int], statistic: Callable[..., Floats], resampling: Resampling
) -> tuple[Interval | None, ...]:
    """Percentile intervals of several statistics; see `bootstrap_values`. `None` where too many are undefined."""
    samples = bootstrap_values(sizes, statistic, resampling)
    return tuple(percentile_interval(values, resampling.level) for values in samples)


def percentile_interval(values: Floats, level: float) -> Interval | None:
    """Percentile interval of bootstrap values; NaN values are left out, `None` if there are too many."""
    known = values[~np.isnan(values)]
    if known.size < (1 - MAX_UNDEFINED) * values.size or not known.size:
        return None
    # No interpolation, so that an infinite value does not turn its neighbours into NaN.
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return Interval(float(low), float(high), level, "bootstrap percentile")


def is_degenerate(interval: Interval) -> bool:
    """Whether all resamples are equal up to rounding: a sign of too few points, not of certainty."""
    return interval.high - interval.low < 1e-9


def permutation_p(weights: Floats, resampling: Resampling) -> PermutationP:
    """Two-sided p-value of `sum_i weights[i, i]` among `sum_i weights[order[i], i]` over all orders of the rows.

    A correlation has this form: with `weights[i, j] = x[i] * y[j]` for centred x and y, it permutes the pairing of x
    and y.

    Args:
        weights: float[k, k].
        resampling: seed and number of orders.
    """
    columns = np.arange(len(weights))
    return orders_p(len(weights), lambda order: weights[order, columns].sum(axis=-1), resampling)


def orders_p(
    count: int, total: Callable[[Indices], Floats], resampling: Resampling, *, batch: int = 10 * BATCH
) -> PermutationP:
    """Two-sided p-value of `total` of the identical order among all orders; of a sample of them if there are many.

    Args:
        count: number of things that are ordered.
        total: maps orders int[..., count] to float[...].
        resampling: seed and number of orders.
        batch: orders computed at a time.
    """
    from scipy import stats  # not above: it takes 0.4 s, and `show` does without

    def for_scipy(order: Floats, axis: int = -1) -> Floats:
        return np.asarray(total(np.moveaxis(order, axis, -1).astype(np.intp)), dtype=float)

    result = stats.permutation_test(
        (np.arange(count),),
        for_scipy,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=resampling.n_permutations,
        batch=batch,
        axis=-1,
        rng=resampling.rng(),
    )
    tried = len(result.null_distribution)
    return PermutationP(float(result.pvalue), tried, tried != resampling.n_permutations)
