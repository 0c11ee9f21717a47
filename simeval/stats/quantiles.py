"""Quantiles and tails of the normal and Student's distribution, without the 0.4 s that importing `scipy.stats` takes.

They are the expressions of `scipy.stats.norm` and `scipy.stats.t`, so every number is theirs to the last bit.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit


def normal_isf(tail: float) -> float:
    """The value that a standard normal variable exceeds with probability `tail`."""
    return -float(ndtri(tail))


def t_isf(tail: float, free: int) -> float:
    """The value that Student's t with `free` degrees of freedom exceeds with probability `tail`."""
    return -float(stdtrit(free, tail))


def t_isfs(tail: float, free: NDArray[np.integer]) -> NDArray[np.float64]:
    """`t_isf` for each number of degrees of freedom."""
    return np.asarray(-stdtrit(free, tail), np.float64)


def t_sf(value: float, free: int) -> float:
    """The probability that Student's t with `free` degrees of freedom exceeds `value`."""
    return float(stdtr(free, -value))


def standard_error(values: NDArray[np.floating]) -> float:
    """Standard error of the mean of at least two values."""
    return float(values.std(ddof=1) / sqrt(values.size))
