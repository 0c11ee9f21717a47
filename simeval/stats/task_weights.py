"""Paired differences of a suite whose tasks have unequal numbers of pairs: every task counts alike, as in the rates.

The weight of a pair is 1 / (tasks x initial states of its task x repeats of its state). The intervals are those of
equal weights on the number of independent states that would be as precise, as for the success rate: Kish's, or fewer
where the tasks with few states vary most. They keep the spread between tasks, so they are cautious.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import normal_isf, t_isf
from simeval.stats.score import tango
from simeval.stats.states import METHOD, typical_change

Floats = NDArray[np.float64]


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
        n_eff: number of equally weighted states that would be as precise.
    """

    values: Floats
    weights: Floats
    mean: float
    variance: float
    n_eff: float

    @classmethod
    def of(cls, differences: Floats, weights: Floats, unit: NDArray[np.intp]) -> "WeightedStates":
        """The states of weighted pairs; `unit` is int[pairs], the index of each pair's state."""
        totals = np.bincount(unit, weights=weights).astype(np.float64)
        values = np.bincount(unit, weights=differences * weights) / totals
        mean = float(totals @ values)
        squares = (values - mean) ** 2
        variance, error = float(totals @ squares), float(totals**2 @ squares)
        kish = 1 / float((totals**2).sum())
        return cls(values, totals, mean, variance, min(kish, variance / error) if error > 0 else kish)

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
