"""Paired comparison of two conditions: estimate, interval, exact test.

A pair is an unperturbed episode and its perturbed twin. Drops are differences of fractions, in [-1, 1]; positive means
that the perturbation hurts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import normal_isf
from simeval.stats.score import tango
from simeval.stats.states import METHOD, half_width, over_states, repeats_differ
from simeval.stats.task_weights import WeightedStates, task_weights


@dataclass(frozen=True, slots=True)
class PairedDrop:
    """The effect of a perturbation on pairs of episodes.

    Attributes:
        n11: both succeeded.
        n10: harmed: only the clean episode succeeded.
        n01: helped: only the perturbed episode succeeded.
        n00: both failed.
        units: number of sampling units: initial states, or pairs if each initial state was run once.
        drop: clean minus perturbed success rate, every task with the same weight; `None` without pairs.
        interval: Bonett-Price interval of the drop; if repeats differ, a t interval over the initial states. Where
            states were repeated, its `method` has their number.
        interval_90: Tango's score interval at 90 %, or that t interval: its upper limit decides "the drop is below a
            margin" at the 5 % level. Bonett and Price's is pulled to 0, so it would say so too often.
        p: two-sided exact McNemar p-value; `None` without pairs. It asks whether the perturbation changes anything in
            any task, so it has no weights.
        half: half the width of the t interval over initial states, uncut; `None` for Bonett and Price's.
        rates: clean and perturbed success rate where pairs have unequal weights; else `None`.
        n_eff: number of initial states of equal weight that would be as precise; `None` if all have it.
    """

    n11: int
    n10: int
    n01: int
    n00: int
    units: int
    drop: float | None
    interval: Interval
    interval_90: Interval
    p: float | None
    half: float | None = None
    rates: tuple[float, float] | None = None
    n_eff: float | None = None

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.n11 + self.n10 + self.n01 + self.n00

    @property
    def clean_rate(self) -> float | None:
        """Success rate of the clean episodes of the pairs, every task with the same weight."""
        if self.rates is not None:
            return self.rates[0]
        return (self.n11 + self.n10) / self.n if self.n else None

    @property
    def perturbed_rate(self) -> float | None:
        """Success rate of the perturbed episodes of the pairs, every task with the same weight."""
        if self.rates is not None:
            return self.rates[1]
        return (self.n11 + self.n01) / self.n if self.n else None

    @property
    def retention(self) -> float | None:
        """Perturbed over clean success rate; `None` where no clean episode succeeded."""
        clean = self.n11 + self.n10
        if self.rates is not None and clean:
            return self.rates[1] / self.rates[0]
        return (self.n11 + self.n01) / clean if clean else None


def paired_drop(
    clean: ArrayLike,
    perturbed: ArrayLike,
    *,
    units: ArrayLike | None = None,
    tasks: ArrayLike | None = None,
    level: float = 0.95,
) -> PairedDrop:
    """Compare two conditions pair by pair.

    The interval is Bonett and Price's (2012): Wald's, after adding one harmed and one helped pair. The test is
    McNemar's exact test. With repeats the initial states are the sample (see `units`). If repeats of a state end
    differently, the interval is Student's t over the states, see `over_states`, and the test is the exact sign-flip
    test, which generalises McNemar's. With `tasks`, rates, drop and intervals weigh every task alike, and within a
    task every state; where all have equally many pairs, that changes nothing.

    Args:
        clean: bool[n], success of the unperturbed episodes.
        perturbed: bool[n], success of their twins, in the same order.
        units: int[n], initial state of each pair, numbered over all tasks; `None` if they are all different.
        tasks: int[n], task of each pair; `None` to weigh all pairs alike.
        level: nominal coverage of `interval`.

    Raises:
        ValueError: the arrays differ in shape, or an initial state is in two tasks.
    """
    clean_ok, perturbed_ok = np.asarray(clean, dtype=bool), np.asarray(perturbed, dtype=bool)
    labels = np.arange(clean_ok.size) if units is None else np.asarray(units)
    if not clean_ok.shape == perturbed_ok.shape == labels.shape or clean_ok.ndim != 1:
        raise ValueError(f"pairs differ in shape: {clean_ok.shape}, {perturbed_ok.shape}, {labels.shape}")
    n = clean_ok.size
    _, unit, repeats = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros(len(repeats))
    np.add.at(sums, unit, clean_ok.astype(float) - perturbed_ok)
    differences = clean_ok.astype(float) - perturbed_ok

    differ = repeats_differ(differences, unit)
    of_tasks = np.zeros(n) if tasks is None else np.asarray(tasks)
    weights = None if tasks is None else task_weights(of_tasks, labels)
    weighted = None if weights is None else WeightedStates.of(differences, weights, of_tasks, unit)

    def interval(level: float) -> Interval:
        if differ:
            return weighted.over_states(level) if weighted else over_states(differences, unit, level)
        found = weighted.bonett_price(level) if weighted else _bonett_price(sums / repeats, level)
        return found if len(sums) == n else replace(found, method=METHOD.format("Bonett-Price", len(sums)))

    moved = np.sign(sums)  # of initial states, whose repeats are all alike unless `differ`
    if differ:
        interval_90 = interval(0.90)
        half = weighted.half_width(level) if weighted else half_width(differences, unit, level)
    else:
        score = tango(int((moved > 0).sum()), int((moved < 0).sum()), len(sums), 0.90)
        interval_90, half = weighted.tango(0.90) if weighted else score, None
    drop = weighted.mean if weighted else float(sums.sum() / n) if n else None
    return PairedDrop(
        n11=int((clean_ok & perturbed_ok).sum()),
        n10=int((clean_ok & ~perturbed_ok).sum()),
        n01=int((~clean_ok & perturbed_ok).sum()),
        n00=int((~clean_ok & ~perturbed_ok).sum()),
        units=len(sums),
        drop=drop,
        interval=interval(level),
        interval_90=interval_90,
        p=_sign_flip_p(sums) if n else None,
        half=half,
        rates=None if weights is None else (_rate(weights, clean_ok), _rate(weights, perturbed_ok)),
        n_eff=weighted.n_eff if weighted else None,
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's (1979) adjusted p-values, in the order given."""
    # statsmodels' multipletests collects garbage at every call, which takes 0.1 s in a process with pandas.
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return tuple(adjusted.tolist())


def _rate(weights: NDArray[np.floating], succeeded: NDArray[np.bool_]) -> float:
    return min(1.0, float(weights @ succeeded))  # rounding may lift the sum of all weights above 1


def _bonett_price(differences: NDArray[np.floating], level: float) -> Interval:
    """Wald's interval after adding the differences +1 and -1, which for single pairs is Bonett and Price's formula."""
    padded = np.concatenate([differences, [1.0, -1.0]])
    centre, half = padded.mean(), normal_isf((1 - level) / 2) * padded.std() / sqrt(len(padded))
    return Interval(max(-1.0, float(centre - half)), min(1.0, float(centre + half)), level, "bonett-price")


def _sign_flip_p(sums: NDArray[np.floating]) -> float:
    """Exact two-sided p-value of the total under random swaps of clean and perturbed within every unit.

    With sums of -1, 0 and 1 this is McNemar's test, the binomial test on the discordant pairs.
    """
    sizes = np.abs(sums).astype(int)
    # probabilities[t]: probability that the units in favour of "harmed" add up to t
    probabilities: NDArray[np.floating] = np.ones(1)
    for size in sizes[sizes > 0]:
        flip = np.zeros(size + 1)
        flip[[0, -1]] = 0.5
        probabilities = np.convolve(probabilities, flip)
    harmed = int(sums[sums > 0].sum())
    smaller_tail = min(probabilities[: harmed + 1].sum(), probabilities[harmed:].sum())
    return min(1.0, 2 * float(smaller_tail))
