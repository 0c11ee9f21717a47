"""Paired differences of a suite whose tasks have unequal numbers of pairs: every task counts alike, as in the rates.

The weight of a pair is 1 / (tasks x initial states of its task x repeats of its state). The intervals are those of
equal weights on the number of independent states that would be as precise, as for the success rate. They keep the
spread between tasks, so they are cautious.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import normal_isf, t_isf
from simeval.stats.score import tango
from simeval.stats.states import METHOD, typical_change

Floats = NDArray[np.float64]

ADDED = 0.5
"""States that are added to every task, as many harmed as helped, when its variance is estimated. Our choice, by
simulation: without, more than 15 % of intervals miss a drop most of which is in a task of 5 states, beside nine of 50
(`tests/stats/test_paired.py`)."""


def task_weights(tasks: NDArray[np.generic], units: NDArray[np.generic]) -> Floats | None:
    """Weights of the pairs, or `None` if all count alike anyway.

    Args:
        tasks: [pairs], task of each pair.
        units: [pairs], initial state of each, numbered over all tasks.

    Returns:
        float64[pairs], adding up to 1.

    Raises:
        ValueError: a unit is in two tasks.
    """
    _, first, unit, repeats = np.unique(units, return_index=True, return_inverse=True, return_counts=True)
    _, task, states = np.unique(tasks[first], return_inverse=True, return_counts=True)
    if (tasks[first][unit] != tasks).any():
        raise ValueError("an initial state is in two tasks")
    shares = (states[task] * repeats)[unit]  # 1 / weight, but for the number of tasks
    if not shares.size or (shares == shares[0]).all():
        return None
    return np.asarray(1.0 / (len(states) * shares), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class WeightedStates:
    """The mean differences of initial states, and how precise their weighted mean is.

    Attributes:
        values: float64[states] in [-1, 1], mean difference of each initial state.
        weights: float64[states], adding up to 1.
        mean: their weighted mean.
        variance: weighted variance of `values`.
        n_eff: number of equally weighted states that would be as precise: at least the tasks times the states of the
            smallest, at most Kish's number.
    """

    values: Floats
    weights: Floats
    mean: float
    variance: float
    n_eff: float

    @classmethod
    def of(cls, differences: Floats, weights: Floats, tasks: NDArray[np.generic], unit: NDArray[np.intp]) -> Self:
        """The states of weighted pairs.

        Args:
            differences: [pairs], in -1, 0 or 1.
            weights: [pairs], of `task_weights`.
            tasks: [pairs], task of each pair.
            unit: int[pairs], index of each pair's state.
        """
        totals = np.bincount(unit, weights=weights).astype(np.float64)
        values = np.bincount(unit, weights=differences * weights) / totals
        mean = float(totals @ values)
        variance = float(totals @ (values - mean) ** 2)
        task = np.unique(tasks[np.unique(unit, return_index=True)[1]], return_inverse=True)[1]
        kish = 1 / float((totals**2).sum())
        # Pooling tasks never overstates the precision (Hoeffding 1956) if all count with the size of the smallest.
        smallest = 1 / float(totals.max())
        return cls(values, totals, mean, variance, min(kish, max(smallest, variance / _error(values, task))))

    def bonett_price(self, level: float) -> Interval:
        """Bonett and Price's interval of the mean."""
        centre = self.mean * self.n_eff / (self.n_eff + 2)
        half = self._padded(1.0, level)
        return Interval(max(-1.0, centre - half), min(1.0, centre + half), level, "bonett-price")

    def half_width(self, level: float) -> float:
        """Half the width of Student's t interval over the states, as `states.half_width`."""
        error = sqrt(self.variance / (self.n_eff - 1))
        free = max(1, int(self.n_eff + 1e-9) - 1)  # unequal weights need two states, and rounding takes from the 2
        return max(self._padded(typical_change(self.values), level), t_isf((1 - level) / 2, free) * error)

    def over_states(self, level: float) -> Interval:
        """Student's t interval over the states, as `states.over_states`."""
        half = self.half_width(level)
        low, high = max(-1.0, self.mean - half), min(1.0, self.mean + half)
        return Interval(low, high, level, METHOD.format("t", len(self.values)))

    def tango(self, level: float) -> Interval:
        """Tango's interval of states that are all -1, 0 or 1."""
        harmed, helped = (float(self.weights[side].sum()) for side in (self.values > 0, self.values < 0))
        total = max(1.0, harmed + helped)  # rounding may lift the sum of all weights above 1
        return tango(harmed / total * self.n_eff, helped / total * self.n_eff, self.n_eff, level)

    def _padded(self, added: float, level: float) -> float:
        """Half of Wald's interval after adding a harmed and a helped state of this size."""
        n = self.n_eff
        centre = self.mean * n / (n + 2)
        variance = (n * (self.variance + self.mean**2) + 2 * added**2) / (n + 2) - centre**2
        return float(normal_isf((1 - level) / 2) * sqrt(variance / (n + 2)))


def _error(values: Floats, task: NDArray[np.intp]) -> float:
    """Sampling variance of the mean over tasks: the few states of a small task may all be alike by chance."""
    states = np.bincount(task)
    means = np.bincount(task, weights=values) / (states + ADDED)
    squares = (np.bincount(task, weights=values**2) + ADDED) / (states + ADDED)
    return float(((squares - means**2) / states).sum()) / len(states) ** 2
