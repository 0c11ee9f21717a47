"""The strength at which success falls to a level of the clean rate: a posterior on a grid, and where to try next.

The model is a dose-response curve on the distance `x` from the strength that changes nothing:

    p(x) = c (f + (1 - f) / (1 + k (x / theta)^b)),   k = (1 - level) / (level - f)

`c` is the clean rate, `theta` the threshold: `p(theta) = level * c`. Unlike a logistic curve in `x` it is `c` at
`x = 0` whatever the threshold, so that the clean episodes and those at weak strengths speak of the same rate. `f`,
below the level, is the share that never fails, for instance because some of the tasks do not need what is perturbed.

The next strength is the one that is expected to lower the entropy of `theta` most (QUEST+, Watson 2017), with the other
parameters marginalised. As the posterior is a function of counts, the order of the episodes has no influence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.intervals import Interval

Floats = NDArray[np.float64]

CREDIBLE = 0.95
METHOD = "credible, equal tails"
BEYOND = 0.05
"""A threshold is beyond the range with a larger probability than this: it is not called reached."""
REACH = 1.5
"""Thresholds up to this multiple of the range are considered; those beyond the range differ only in name."""
_STEP = 1 / 60
"""Between thresholds, as a share of the range."""
_THETA: Floats = (np.arange(round(REACH / _STEP), dtype=np.float64) + 0.5) * _STEP
_INSIDE = round(1 / _STEP)
_SLOPES: Floats = np.asarray(np.geomspace(0.7, 40.0, 10), dtype=np.float64)
"""0.7: success has lost a sixth of the clean rate at a tenth of the threshold; 40: it falls from 90 to 10 % of the
clean rate over 12 % of it. From 1.5 on, errors after 70 episodes are an eighth smaller where success ends abruptly, but
what is printed is true in 84 instead of 92 % of searches where it fades slowly."""
_FLOORS: Floats = np.array([0.0, 0.3, 0.6])
_FLOOR_ODDS: Floats = np.array([0.6, 0.2, 0.2])
"""The share that never fails, as a share of the level, with its prior probabilities. Without it intervals cover .83
instead of .95 where a quarter of the tasks never fails, and are a quarter narrower where all do."""
_CLEAN: Floats = np.sin((np.arange(10, dtype=np.float64) + 0.5) * np.pi / 20) ** 2
"""Quantiles of Jeffreys' prior of a rate."""
_SAME, _NEIGHBOUR = 0.7, 0.85
"""Factors on the gain of a strength, and of its neighbours, for each episode there whose outcome is not known."""


@dataclass(frozen=True, slots=True)
class ThresholdEstimate:
    """What the episodes say about a threshold. Strengths are shares of the range, 0 changes nothing.

    Attributes:
        theta: posterior median; above 1 if it is beyond the range.
        interval: equal-tailed 95 % credible interval.
        at_least: the threshold is above this with 95 % probability.
        beyond: probability that it is beyond the range.
        clean_rate: posterior mean.
    """

    theta: float
    interval: Interval
    at_least: float
    beyond: float
    clean_rate: float

    @property
    def is_reached(self) -> bool:
        """Whether the threshold is within the range."""
        return self.beyond <= BEYOND

    @property
    def width(self) -> float:
        """Width of the interval."""
        return self.interval.high - self.interval.low

    def is_settled(self, width: float) -> bool:
        """Whether no more episodes are needed: the interval is narrow enough, or the threshold is beyond the range."""
        return self.beyond >= CREDIBLE or (self.is_reached and self.width <= width)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Success along the range.

    Attributes:
        x: float64[points], shares of the range.
        rate: posterior mean.
        low, high: pointwise 95 % credible band.
    """

    x: Floats
    rate: Floats
    low: Floats
    high: Floats


class ThresholdPosterior:
    """The posterior of one threshold.

    Args:
        strengths: float[k], where an episode may be placed: ascending shares of the range in (0, 1].
        level: share of the clean rate, in (0, 1).
    """

    def __init__(self, strengths: ArrayLike, level: float = 0.5) -> None:
        x = np.concatenate([[0.0], np.asarray(strengths, dtype=float)])
        self._level = level
        rate = self._rates(x)
        self._rate = rate.reshape(len(x), -1)
        prior = np.broadcast_to(np.log(_FLOOR_ODDS)[:, None], rate.shape[1:])
        self._log_prior = prior.reshape(-1)
        self._log_success, self._log_failure = np.log(self._rate), np.log1p(-self._rate)
        self._successes, self._failures = np.zeros(len(x)), np.zeros(len(x))

    def _rates(self, x: Floats) -> Floats:
        """Success by strength, threshold, slope, floor and clean rate."""
        with np.errstate(divide="ignore"):
            distance = np.log(x[:, None, None] / _THETA[:, None])
        power = np.exp(np.minimum(_SLOPES * distance, 60.0))[..., None]
        floors = self._level * _FLOORS
        falls = floors + (1 - floors) / (1 + (1 - self._level) / (self._level - floors) * power)
        rates: Floats = np.clip(falls[..., None] * _CLEAN, 1e-9, 1 - 1e-9)
        return rates

    def add(self, strength: int, *, success: bool) -> None:
        """Take in an episode.

        Args:
            strength: 0 for a clean episode, `i` for one at `strengths[i - 1]`.
            success: its outcome.
        """
        (self._successes if success else self._failures)[strength] += 1

    def counts(self, strength: int) -> tuple[int, int]:
        """Successes and episodes at a strength, numbered as in `add`."""
        return int(self._successes[strength]), int(self._successes[strength] + self._failures[strength])

    def _weights(self) -> Floats:
        """Posterior probability of every threshold, slope and clean rate."""
        logs = self._log_prior + self._successes @ self._log_success + self._failures @ self._log_failure
        weights = np.exp(logs - logs.max())
        total: Floats = weights / weights.sum()
        return total

    def estimate(self) -> ThresholdEstimate:
        """Median and interval of the threshold."""
        weights = self._weights().reshape(len(_THETA), -1, len(_CLEAN))
        theta = weights.sum(axis=(1, 2))
        low, one_sided, median, high = _quantiles(theta, (1 - CREDIBLE) / 2, 1 - CREDIBLE, 0.5, (1 + CREDIBLE) / 2)
        return ThresholdEstimate(
            theta=median,
            interval=Interval(low, high, CREDIBLE, METHOD),
            at_least=one_sided,
            beyond=float(theta[_INSIDE:].sum()),
            clean_rate=float(weights.sum(axis=(0, 1)) @ _CLEAN),
        )

    def gains(self) -> Floats:
        """Expected fall of the entropy of the threshold by one more episode at each strength, clean first (nats)."""
        weights = self._weights()
        joint = _pooled((self._rate * weights).reshape(len(self._rate), len(_THETA), -1).sum(axis=2))
        prior = _pooled(weights.reshape(1, len(_THETA), -1).sum(axis=2))
        gains: Floats = _entropy_term(joint) + _entropy_term(prior - joint) - _entropy_term(prior)
        return gains

    def best(self, running: Sequence[int] = (), *, clean: bool = True) -> int:
        """The strength for the next episode, numbered as in `add`.

        Args:
            running: strengths of the episodes whose outcome is not known yet.
            clean: whether a clean episode may be chosen.
        """
        gains = self.gains()
        for strength in running:
            gains[strength] *= _SAME
            for neighbour in (strength - 1, strength + 1):
                if 1 <= neighbour < len(gains) and strength:
                    gains[neighbour] *= _NEIGHBOUR
        if not clean:
            gains[0] = -np.inf
        return int(np.argmax(gains))

    def curve(self, points: int = 61) -> Curve:
        """Success along the range."""
        x: Floats = np.asarray(np.linspace(0.0, 1.0, points), dtype=np.float64)
        weights = self._weights()
        rates = self._rates(x).reshape(points, -1)
        order = np.argsort(rates, axis=1)
        mass = np.cumsum(weights[order], axis=1)
        low, high = (
            np.array([row[place] for row, place in zip(np.take_along_axis(rates, order, 1), places, strict=True)])
            for places in ((mass < tail).sum(axis=1) for tail in ((1 - CREDIBLE) / 2, (1 + CREDIBLE) / 2))
        )
        return Curve(x, rates @ weights, low, high)


def _pooled(theta: Floats) -> Floats:
    """Probabilities of thresholds, `float[k, thetas]`, with those beyond the range as one."""
    return np.concatenate([theta[:, :_INSIDE], theta[:, _INSIDE:].sum(axis=1, keepdims=True)], axis=1)


def _entropy_term(joint: Floats) -> Floats:
    """`sum_theta q log(q / sum q)`: minus the entropy of theta given an outcome, times the outcome's probability."""
    total = joint.sum(axis=1, keepdims=True)
    # Rounding may leave differences just below 0.
    share = np.maximum(joint, 1e-300) / np.maximum(total, 1e-300)
    terms: Floats = (joint * np.log(np.clip(share, 1e-300, 1.0))).sum(axis=1)
    return terms


def _quantiles(theta: Floats, *shares: float) -> tuple[float, ...]:
    """Quantiles of the threshold, its density taken as constant within a step."""
    mass = np.concatenate([[0.0], np.cumsum(theta)])
    edges = np.arange(len(mass)) * _STEP
    return tuple(float(np.interp(share, mass / mass[-1], edges)) for share in shares)
