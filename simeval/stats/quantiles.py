"""Quantiles and tails of the normal and Student's distribution, without the 0.4 s that importing `scipy.stats` takes.

They are the expressions of `scipy.stats.norm` and `scipy.stats.t`, so every number is theirs to the last bit. Those at
the usual levels are stored, so that most tables do without SciPy.
"""

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simeval.stats.usual_quantiles import NORMAL, STUDENT, TAIL


@cache
def special() -> Any:
    """SciPy's module of special functions, imported when the first is needed."""
    from scipy import special

    return special


def normal_isf(tail: float) -> float:
    """The value that a standard normal variable exceeds with probability `tail`."""
    return NORMAL[tail] if tail in NORMAL else -float(special().ndtri(tail))


def t_isf(tail: float, free: int) -> float:
    """The value that Student's t with `free` degrees of freedom exceeds with probability `tail`."""
    if tail in (TAIL, 1 - TAIL) and 1 <= free <= len(STUDENT):
        return STUDENT[free - 1] if tail == TAIL else -STUDENT[free - 1]
    return -float(special().stdtrit(free, tail))


def t_isfs(tail: float, free: NDArray[np.integer]) -> NDArray[np.float64]:
    """`t_isf` for each number of degrees of freedom."""
    return np.asarray(-special().stdtrit(free, tail), np.float64)


def t_sf(value: float, free: int) -> float:
    """The probability that Student's t with `free` degrees of freedom exceeds `value`."""
    return float(special().stdtr(free, -value))


def standard_error(values: NDArray[np.floating]) -> float:
    """Standard error of the mean of at least two values."""
    return float(values.std(ddof=1) / sqrt(values.size))
