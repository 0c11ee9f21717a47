"""Training recipes compared over their training seeds, on the same episodes.

A recipe's policies differ by the seed of their training, a policy's success by the episodes. These are two questions:
- Over seeds: per seed one paired difference, Student's t over these. What another training with the recipe would give
  on these episodes; the training seed is a random effect.
- Over episodes: the mean over the seeds per episode, then as for two policies. What these trained policies would do in
  other initial states.
A recipe is called better only where both exclude 0: its p-value is the larger one, a valid test that either is 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np

from simeval.stats.change import ALPHA, Direction, Gain
from simeval.stats.intervals import Interval
from simeval.stats.paired import holm
from simeval.stats.quantiles import t_isf

MIN_SEEDS = 3
"""Fewest seeds with an interval: the t quantile of two is 12.7."""
METHOD = "t over {} training seeds"


@dataclass(frozen=True, slots=True)
class SeedMean:
    """A number of a recipe: its mean, sample deviation and t interval over training seeds; `None` for too few."""

    by_seed: tuple[float, ...]
    mean: float | None
    deviation: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class SeedGain:
    """Gain of recipe B over recipe A, over training seeds.

    Attributes:
        gain: mean of the paired differences; positive where B is better, or drifts less.
        by_seed: that of each seed.
        deviation: sample deviation of `by_seed`; `None` for one seed.
        over_seeds: t interval; `None` for fewer than `MIN_SEEDS`, or if all seeds gave the same.
        over_pairs: of the mean over these seeds, for other initial states.
        p: the larger of both p-values; `None` where one is missing.
        p_holm: adjusted over recipes and conditions.
        direction: as in `Gain`; needs both intervals and `p_holm`.
        reason: why a number is missing; empty otherwise.
    """

    gain: float | None
    by_seed: tuple[float, ...]
    deviation: float | None
    over_seeds: Interval | None
    over_pairs: Interval | None
    p: float | None
    p_holm: float | None = None
    direction: Direction = "no difference shown"
    reason: str = ""


Limits = tuple[float, float]
ANY: Limits = (-inf, inf)


def seed_mean(values: Sequence[float], *, limits: Limits = ANY, level: float = 0.95) -> SeedMean:
    """Mean, deviation and interval of one number per seed; `limits` are the smallest and largest possible number."""
    if not len(values):
        return SeedMean((), None, None, None)
    interval, _ = _t(values, level, limits)
    return SeedMean(tuple(values), float(np.mean(values)), _deviation(values), interval)


def seed_gain(
    by_seed: Sequence[float], pairs: Gain, *, step: float = 0.0, limits: Limits = ANY, level: float = 0.95
) -> SeedGain:
    """The gain of one recipe over another.

    Args:
        by_seed: paired difference of each seed.
        pairs: gain in the mean over the seeds, with interval and p-value over initial states.
        step: smallest possible change of a difference, one episode's; 0 for a continuous number. A few seeds that agree
            to the episode have no spread, which would imply certainty, so it is never taken below that of rounding.
        limits: smallest and largest possible difference.
        level: nominal coverage.
    """
    if not len(by_seed) or pairs.gain is None:
        return SeedGain(None, (), None, None, None, None, reason=pairs.reason or "no training seed that both have")
    interval, p = _t(by_seed, level, limits, step / sqrt(12))
    known = [value for value in (p, pairs.p) if value is not None]
    reason = pairs.reason
    if len(by_seed) < MIN_SEEDS:
        reason = f"{len(by_seed)} seed{'s' * (len(by_seed) > 1)}: nothing tells what other seeds would give"
    elif interval is None:
        reason = "all seeds gave the same difference, so their spread is not known"
    return SeedGain(
        gain=float(np.mean(by_seed)),
        by_seed=tuple(map(float, by_seed)),
        deviation=_deviation(by_seed),
        over_seeds=interval,
        over_pairs=pairs.interval,
        p=max(known) if len(known) == 2 else None,
        reason=reason,
    )


def adjusted_gains(rows: Iterable[SeedGain]) -> tuple[SeedGain, ...]:
    """The gains with Holm's adjustment over all of them, and their directions."""
    listed = list(rows)
    adjusted = iter(holm([row.p for row in listed if row.p is not None]))
    listed = [replace(row, p_holm=None if row.p is None else next(adjusted)) for row in listed]
    return tuple(replace(row, direction=_direction(row)) for row in listed)


def _direction(row: SeedGain) -> Direction:
    both = row.over_seeds, row.over_pairs
    if row.p_holm is None or row.p_holm >= ALPHA or row.gain is None:
        return "no difference shown"
    if any(one is None or one.low <= 0 <= one.high for one in both):
        return "no difference shown"
    return "better" if row.gain > 0 else "worse"


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _t(
    values: Sequence[float], level: float, limits: Limits, least: float = 0.0
) -> tuple[Interval | None, float | None]:
    """Student's t interval of the mean, and the two-sided p-value of a mean of 0; `least` is the smallest deviation."""
    n, mean, deviation = len(values), float(np.mean(values)), _deviation(values)
    if n < MIN_SEEDS or deviation is None:
        return None, None
    deviation = max(deviation, least)
    if deviation < 1e-12:
        return None, 1.0 if abs(mean) < 1e-12 else None
    from scipy import stats  # not above: it takes 0.4 s, and `show` does without

    error = deviation / sqrt(n)
    half = t_isf((1 - level) / 2, n - 1) * error
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    low, high = max(limits[0], mean - half), min(limits[1], mean + half)
    return Interval(low, high, level, METHOD.format(n)), p
