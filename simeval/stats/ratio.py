"""Ratio of two proportions observed on the same pairs."""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import normal_isf


@dataclass(frozen=True, slots=True)
class PairedRatio:
    """`P(numerator) / P(denominator)`; `None` without pairs or where the denominator never occurred."""

    ratio: float | None
    interval: Interval


def paired_ratio(
    numerator: ArrayLike, denominator: ArrayLike, *, units: ArrayLike | None = None, level: float = 0.95
) -> PairedRatio:
    """Compare two proportions of the same pairs by their ratio.

    The interval is Bonett and Price's (2006, Statistics in Medicine 25, 3039): Wilson limits of both proportions, with
    a critical value adjusted for their covariance. With repeats, the pairs of one initial state are not independent,
    and the counts are scaled to the number of initial states.

    Args:
        numerator: bool[n].
        denominator: bool[n], of the same pairs.
        units: int[n], initial state of each pair; `None` if they are all different.
        level: nominal coverage.

    Raises:
        ValueError: the arrays differ in shape.
    """
    above, below = np.asarray(numerator, bool), np.asarray(denominator, bool)
    labels = np.arange(above.size) if units is None else np.asarray(units)
    if not above.shape == below.shape == labels.shape or above.ndim != 1:
        raise ValueError(f"pairs differ in shape: {above.shape}, {below.shape}, {labels.shape}")
    ratio = float(above.sum() / below.sum()) if below.any() else None
    scale = len(np.unique(labels)) / labels.size if labels.size else 1.0
    both, first, second = (float(n.sum()) * scale for n in (above & below, above & ~below, ~above & below))
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
