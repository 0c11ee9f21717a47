"""Ratio of two proportions observed on the same pairs."""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import normal_isf
from simeval.stats.task_weights import WeightedStates, task_weights


@dataclass(frozen=True, slots=True)
class PairedRatio:
    """`P(numerator) / P(denominator)`; `None` without pairs or where the denominator never occurred."""

    ratio: float | None
    interval: Interval


def paired_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    units: ArrayLike | None = None,
    tasks: ArrayLike | None = None,
    level: float = 0.95,
) -> PairedRatio:
    """Compare two proportions of the same pairs by their ratio.

    The interval is Bonett and Price's (2006, Statistics in Medicine 25, 3039): Wilson limits of both proportions, with
    a critical value adjusted for their covariance. With repeats, the pairs of one initial state are not independent,
    and the counts are scaled to the number of initial states. With `tasks`, every task weighs alike, as in
    `paired_drop`, and the counts are shares of as many equal states as the less precise proportion is worth.

    Args:
        numerator: bool[n].
        denominator: bool[n], of the same pairs.
        units: int[n], initial state of each pair; `None` if they are all different.
        tasks: int[n], task of each pair; `None` to weigh all pairs alike.
        level: nominal coverage.

    Raises:
        ValueError: the arrays differ in shape, or an initial state is in two tasks.
    """
    above, below = np.asarray(numerator, bool), np.asarray(denominator, bool)
    labels = np.arange(above.size) if units is None else np.asarray(units)
    if not above.shape == below.shape == labels.shape or above.ndim != 1:
        raise ValueError(f"pairs differ in shape: {above.shape}, {below.shape}, {labels.shape}")
    states, unit = np.unique(labels, return_inverse=True)
    weights: NDArray[np.float64] = np.ones(labels.size)
    scale = len(states) / labels.size if labels.size else 1.0
    if tasks is not None and (unequal := task_weights(np.asarray(tasks), labels)) is not None:
        sides = (WeightedStates.of(side * 1.0, unequal, np.asarray(tasks), unit) for side in (above, below))
        weights, scale = unequal, min(side.n_eff for side in sides)
    ratio = float(weights[above].sum() / weights[below].sum()) if below.any() else None
    counts = (weights[part].sum() for part in (above & below, above & ~below, ~above & below))
    both, first, second = (float(count) * scale for count in counts)
    total = both + first + second
    if not total:
        return PairedRatio(ratio, Interval(0.0, inf, level, "bonett-price"))
    one, other = both + first, both + second
    spread = sqrt((first + second + 2) / ((one + 1) * (other + 1)))
    width = sum(sqrt((1 - (x + 1) / (total + 2)) / (x + 1)) for x in (one, other))
    z = normal_isf((1 - level) / 2) * spread / width
    low, high = _wilson(one, total, z), _wilson(other, total, z)
    upper = low[1] / high[0] if high[0] > 0 else inf
    return PairedRatio(ratio, Interval(low[0] / high[1], upper, level, "bonett-price"))


def _wilson(count: float, n: float, z: float) -> tuple[float, float]:
    centre = 2 * count + z * z
    half = z * sqrt(z * z + 4 * count * (1 - count / n))
    return (max(0.0, (centre - half) / (2 * (n + z * z))), min(1.0, (centre + half) / (2 * (n + z * z))))
