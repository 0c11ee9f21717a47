"""Inference on pairs that stays valid however often one looks, and whenever one stops or adds pairs.

A test martingale bets on the next pair's difference at odds that are fair if the mean difference is at the limit of a
hypothesis. Its value, the e-value, is rarely large if the hypothesis holds: the probability that it ever reaches `x` is
at most `1 / x` (Ville's inequality), at whatever number of pairs one stops.

The bets are those of Waudby-Smith and Ramdas (2024, "Estimating means of bounded random variables by betting"), with a
uniform mixture over the stake. For differences of -1, 0 and 1 against "no drop" this mixture is the e-value of a sign
test with a uniform prior on the probabilities above one half: `2^(m+1) B(h+1, g+1) P(Beta(h+1, g+1) > 1/2)` for `h`
harmed and `g` helped of `m` changed pairs.

Differences are clean minus perturbed outcome, in [-1, 1]: positive if the perturbation hurts. Their order must not
depend on them: rounds over the tasks, see `simeval.core.rounds`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import special

ALPHA = 0.05
"""Two-sided error rate of drops over all conditions, and one-sided of each "within the margin"."""

METHOD = "anytime, by betting"
"""Name of the confidence interval's method."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_STAKES = (_NODES + 1) / 2
"""Shares of the capital that are bet. Any mixture of stakes is valid; this one is close to the uniform one."""
_LOG_WEIGHTS = np.log(_WEIGHTS / 2)

_GRID = np.linspace(-1, 1, 401)[1:-1]
"""Drops that are tested for the confidence interval."""

type Verdict = Literal["drop", "within"]


def log_e_values(differences: Sequence[float] | NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Evidence after each pair that the mean difference is below a limit.

    Args:
        differences: `[n]`, in the order in which the pairs ran.
        limit: the hypothesis is that the mean is at least this; in (-1, 1).

    Returns:
        `float64[n]`, natural logarithm of the e-value after each pair.
    """
    gains = np.cumsum(np.log1p(np.outer(_STAKES, _payoffs(np.asarray(differences, np.float64), limit))), axis=1)
    values: NDArray[np.float64] = special().logsumexp(gains + _LOG_WEIGHTS[:, None], axis=0)
    return values


def expected_pairs(drop: float, *, background: float, tests: int, most: int, runs: int = 300) -> tuple[float, float]:
    """After how many pairs a true drop is called, if it is the first of its conditions; simulated.

    Args:
        drop: the true drop, in (0, 1].
        background: share of pairs that flip without net effect.
        tests: number of conditions.
        most: pairs at which a run ends anyway.
        runs: number of simulated runs; always the same ones.

    Returns:
        Mean number of pairs of a run, and the share of runs that call the drop.
    """
    draws = np.random.default_rng(0).random((runs, most))
    harmed, helped = background / 2 + drop, background / 2
    differences = np.where(draws < harmed, 1.0, np.where(draws < harmed + helped, -1.0, 0.0))
    needed = log(2 * tests / ALPHA)
    called = np.array([log_e_values(-row, 0.0) >= needed for row in differences])
    found = called.any(axis=1)
    return float(np.where(found, called.argmax(axis=1) + 1, most).mean()), float(found.mean())


def fewest_pairs(tests: int) -> int:
    """Pairs after which a drop can be called at the earliest, if it is the first of so many conditions."""
    return int((log_e_values([-1.0] * 100, 0.0) < log(2 * tests / ALPHA)).sum()) + 1


def _payoffs(differences: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """What a stake of one wins: at least -1, and 0 on average if the mean difference is `limit`."""
    return (limit - differences) / (1 - limit)


def confidence_interval(differences: Sequence[float], level: float = 0.95) -> Interval:
    """Limits of the mean difference that hold at all numbers of pairs together, to 0.5 points.

    A drop is outside as soon as one of the two one-sided tests has rejected it at any number of pairs.
    """
    values, needed = np.asarray(differences, np.float64), log(2 / (1 - level))
    low, high = -1.0, 1.0
    if len(values):
        # The largest limit that the mean is above, and the smallest one that it is below.
        below = [limit for limit in _GRID if log_e_values(-values, -limit).max() >= needed]
        above = [limit for limit in _GRID if log_e_values(values, limit).max() >= needed]
        low, high = max(below, default=-1.0), min(above, default=1.0)
    return Interval(float(low), float(high), level, METHOD)


class _Process:
    """One test martingale, pair by pair."""

    def __init__(self, sign: int, limit: float) -> None:
        self._sign, self._limit = sign, limit
        self._capital = _LOG_WEIGHTS.copy()
        self.highest = 0.0
        self.now = 0.0

    def add(self, difference: float) -> None:
        payoff = (self._limit - self._sign * difference) / (1 - self._limit)
        self._capital += np.log1p(_STAKES * payoff)
        self.now = float(special().logsumexp(self._capital))
        self.highest = max(self.highest, self.now)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the pairs of a condition say: it costs something, it gains something, it costs less than the margin."""

    drop: _Process
    gain: _Process
    within: _Process

    @property
    def highest(self) -> float:
        """Of a difference in either direction."""
        return max(self.drop.highest, self.gain.highest)

    def add(self, difference: float) -> None:
        for process in (self.drop, self.gain, self.within):
            process.add(difference)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a condition.

    Attributes:
        verdict: `drop`, or `within`: costs less than the margin, which is also said of what helps.
        pairs: its pairs by then.
        position: positions of the order by then.
    """

    verdict: Verdict
    pairs: int
    position: int


class SequentialTest:
    """Decides about several conditions while their pairs come in.

    Drops are called by Holm's procedure on e-values, each at `ALPHA / 2`, so that the error rate over all conditions is
    at most that. "Within the margin" has `ALPHA` for each condition.

    Attributes:
        conditions: the family of tests.
        margin: a condition that costs less is decided.
        decisions: of the conditions that are decided.
    """

    def __init__(self, conditions: Sequence[str], margin: float, *, stops: bool = True) -> None:
        """Start without pairs.

        Args:
            conditions: the family of tests.
            margin: in (0, 1).
            stops: whether a condition that is decided gets no more pairs.
        """
        self.conditions, self.margin, self._stops = tuple(conditions), margin, stops
        self.decisions: dict[str, Decision] = {}
        self._evidence = {
            name: _Evidence(_Process(-1, 0.0), _Process(1, 0.0), _Process(1, margin)) for name in conditions
        }
        self._differences: dict[str, list[float]] = {name: [] for name in conditions}
        self._position = 0

    @property
    def undecided(self) -> tuple[str, ...]:
        """The other conditions."""
        return tuple(name for name in self._evidence if name not in self.decisions)

    @property
    def running(self) -> tuple[str, ...]:
        """Those that take in pairs."""
        return self.undecided if self._stops else tuple(self._evidence)

    def add(self, differences: Mapping[str, float], held: Collection[str] = ()) -> None:
        """Take in the next position of the order.

        Args:
            differences: of its pairs, by condition. Conditions that do not run there are absent; those that are not
                running are left out of account.
            held: conditions that may not be decided now, whatever their evidence.
        """
        self._position += 1
        for name in self.running:
            if name in differences:
                self._differences[name].append(differences[name])
                self._evidence[name].add(differences[name])
        self._call_drops(held)
        for name in self.undecided:
            if name not in held and self._evidence[name].within.highest >= log(1 / ALPHA):
                self._decide(name, "within")

    def _call_drops(self, held: Collection[str]) -> None:
        """Holm's procedure: the smallest level first, and a larger one after each call."""
        candidates = [name for name in self.undecided if name not in held]
        for name in sorted(candidates, key=lambda name: self._evidence[name].drop.highest, reverse=True):
            if self._evidence[name].drop.highest < self._needed:
                return
            self._decide(name, "drop")

    @property
    def _needed(self) -> float:
        """Logarithm of the e-value that the next call needs."""
        called = sum(found.verdict == "drop" for found in self.decisions.values())
        return log(2 * (len(self._evidence) - called) / ALPHA)

    def _decide(self, name: str, verdict: Verdict) -> None:
        self.decisions[name] = Decision(verdict, len(self._differences[name]), self._position)

    def differences(self, name: str) -> tuple[float, ...]:
        """Differences of a condition's pairs, in their order."""
        return tuple(self._differences[name])

    def p_value(self, name: str) -> float:
        """Two-sided p-value of "no difference", not adjusted, valid at every number of pairs."""
        return min(1.0, 2 * exp(-self._evidence[name].highest))

    def p_values(self) -> dict[str, float]:
        """Two-sided p-values of "no difference" by condition, adjusted by Holm, valid at every number of pairs."""
        adjusted, largest = {}, 0.0
        change = {name: found.highest for name, found in self._evidence.items()}
        for rank, name in enumerate(sorted(change, key=lambda name: change[name], reverse=True)):
            largest = max(largest, min(1.0, 2 * (len(change) - rank) * exp(-change[name])))
            adjusted[name] = largest
        return adjusted

    def e_value(self, name: str) -> tuple[float, float]:
        """Evidence that a condition costs something, as an e-value, and the e-value that it needs now."""
        return exp(self._evidence[name].drop.highest), exp(self._needed)

    def expected_left(self, name: str) -> float | None:
        """Pairs until a condition is decided if the evidence goes on growing as it has; `None` if it does not grow."""
        if name in self.decisions:
            return 0.0
        found, pairs = self._evidence[name], len(self._differences[name])
        goals = ((found.drop.now, self._needed), (found.within.now, log(1 / ALPHA)))
        growing = [pairs * (needed / now - 1) for now, needed in goals if now > 0]
        return max(0.0, min(growing)) if growing else None
