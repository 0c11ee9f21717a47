"""Ranks of several policies on the same episodes, with sets of ranks where they cannot be told apart.

All pairs of policies are compared, with Holm's adjustment over the pairs. A policy's ranks go from 1 + the number of
those shown to be better to the number of those not shown to be worse. The adjustment makes a wrong order of any pair
rarer than 5 %, so all sets together hold the true ranks in 95 % of studies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from simeval.stats.change import Gain, compare_scores
from simeval.stats.paired import holm
from simeval.stats.power import ALPHA
from simeval.stats.resampling import Resampling


@dataclass(frozen=True, slots=True)
class Difference:
    """Two policies, by their numbers: `gain` is that of `second` over `first`; `p_holm` is over all pairs."""

    first: int
    second: int
    gain: Gain

    @property
    def better(self) -> int | None:
        """The policy that is shown to be better."""
        interval, p = self.gain.interval, self.gain.p_holm
        if interval is None or p is None or p >= ALPHA or interval.low <= 0 <= interval.high:
            return None
        return self.second if interval.low > 0 else self.first


@dataclass(frozen=True, slots=True)
class Ranks:
    """The ranks of policies: by policy the best and the worst that are possible, and all differences."""

    ranks: tuple[tuple[int, int], ...]
    differences: tuple[Difference, ...]


def rank(scores: Sequence[ArrayLike], *, units: ArrayLike, resampling: Resampling | None = None) -> Ranks:
    """Rank policies by the mean of a score.

    Args:
        scores: per policy float[pairs], in [0, 1], of the same pairs.
        units: int[pairs], initial state of each.
        resampling: level, and seed of the permutation tests.
    """
    arrays = [np.asarray(score, dtype=float) for score in scores]
    pairs = list(combinations(range(len(arrays)), 2))
    gains = [compare_scores(arrays[i], arrays[j], units=units, resampling=resampling) for i, j in pairs]
    adjusted = iter(holm([gain.p for gain in gains if gain.p is not None]))
    gains = [gain if gain.p is None else replace(gain, p_holm=next(adjusted)) for gain in gains]
    differences = tuple(Difference(i, j, gain) for (i, j), gain in zip(pairs, gains, strict=True))
    shown = [(one.better, one.first + one.second - one.better) for one in differences if one.better is not None]
    return Ranks(rank_sets(len(arrays), shown), differences)


def rank_sets(count: int, shown: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The best and the worst possible rank of each.

    Args:
        count: how many are ranked.
        shown: pairs (better, worse), by their numbers, of which that was shown.
    """
    above, below = [0] * count, [0] * count
    for better, worse in shown:
        above[worse] += 1
        below[better] += 1
    return tuple((1 + above[i], count - below[i]) for i in range(count))
