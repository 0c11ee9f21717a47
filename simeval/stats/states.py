"""The interval of a mean difference if each initial state was run several times.

Repeats of an initial state are not independent, and an interval is about other initial states. So the states are the
sample, and their mean differences its values.
"""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.intervals import Interval
from simeval.stats.power import POWER
from simeval.stats.quantiles import normal_isf, t_isf

METHOD = "{} over {} initial states"
"""Name of a method whose sample are the initial states: of which interval, and their number."""


def repeats_differ(differences: ArrayLike, units: ArrayLike) -> bool:
    """Whether repeats of any initial state differ; if not, they carry no more information than one of them.

    Args:
        differences: float[pairs].
        units: int[pairs], initial state of each.
    """
    values = np.asarray(differences, dtype=float)
    _, first, unit = np.unique(np.asarray(units), return_index=True, return_inverse=True)
    return bool((values != values[first][unit]).any())


def over_states(differences: ArrayLike, units: ArrayLike, level: float, *, largest: float = 1.0) -> Interval:
    """Student's t interval of the mean over pairs, its standard error from the spread between initial states.

    A few equal states have no spread, which would imply certainty. So the interval is never narrower than by Bonett and
    Price's idea: add one harmed and one helped state, of a typical size for the states that changed (1 if none did).

    Args:
        differences: float[pairs].
        units: int[pairs], initial state of each.
        level: nominal coverage.
        largest: largest possible difference.
    """
    values = np.asarray(differences, dtype=float)
    centre, half = float(values.mean()), half_width(values, units, level)
    low, high = max(-largest, centre - half), min(largest, centre + half)
    return Interval(low, high, level, METHOD.format("t", len(np.unique(units))))


def half_width(differences: ArrayLike, units: ArrayLike, level: float) -> float:
    """Half the width of the interval of `over_states`, before it is cut to the possible range."""
    values = np.asarray(differences, dtype=float)
    _, unit, repeats = np.unique(np.asarray(units), return_inverse=True, return_counts=True)
    sums = np.bincount(unit, weights=values)
    states = len(repeats)
    half = _padded(sums / repeats, level)
    if states > 1:
        residuals = sums - values.mean() * repeats
        error = sqrt(states / (states - 1) * float((residuals**2).sum())) / len(values)
        half = max(half, t_isf((1 - level) / 2, states - 1) * error)
    return half


def smallest_visible_over_states(
    states: int, half: float, *, level: float, alpha: float, power: float = POWER
) -> float:
    """Smallest true drop that a t test over initial states finds with the given power, if they differ as these do.

    Args:
        states: number of initial states, at least 2.
        half: `half_width` of the drop.
        level: coverage of that interval.
        alpha: two-sided level of the test.
        power: probability of a significant result.

    Returns:
        A positive number; above 1 if no drop is found so often.
    """
    from scipy.optimize import brentq

    largest = 10 * t_isf(alpha / 2, states - 1)
    shift = brentq(lambda shift: _t_power(shift, states, alpha) - power, 0.0, largest)
    return float(shift) * _error(half, states, level)


def chance_over_states(drop: float, states: int, half: float, *, level: float, alpha: float) -> float:
    """Probability that this t test finds a true drop; arguments as for `smallest_visible_over_states`."""
    return _t_power(drop / _error(half, states, level), states, alpha)


def _t_power(shift: float, states: int, alpha: float) -> float:
    from scipy import stats  # not above: it takes 0.4 s, and `show` does without

    return float(stats.nct.sf(t_isf(alpha / 2, states - 1), states - 1, shift))


def _error(half: float, states: int, level: float) -> float:
    """Standard error behind half the width of an interval."""
    return half / t_isf((1 - level) / 2, states - 1)


def typical_change(means: NDArray[np.floating]) -> float:
    """Typical size of the change of a state that changed; 1 if none did."""
    moved = np.abs(means[means != 0])
    return float((moved.sum() + 1) / (len(moved) + 1))


def _padded(means: NDArray[np.floating], level: float) -> float:
    typical = typical_change(means)
    padded = np.concatenate([means, [typical, -typical]])
    return float(normal_isf((1 - level) / 2) * padded.std() / sqrt(len(padded)))
