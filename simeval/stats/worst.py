"""Which of many conditions fails most often: a posterior of each, and where to look next.

A condition is a point: its strength on every axis as a signed share of its range, 0 where the axis is left alone.
Conditions that are close fail about equally often, so an episode counts at its neighbours too, with a weight that falls
with the distance (continuous correlated beta processes: Goetschalckx, Poupart and Hoey, IJCAI 2011):

    failures(x) ~ Beta(1/2 + sum_i k(x, x_i) fail_i, 1/2 + sum_i k(x, x_i) (1 - fail_i)),  k = exp(-|x - x_i|^2 / 2 w^2)

The next condition is chosen by top-two Thompson sampling (Russo, Operations Research 68, 2020), which is made for
naming the best arm rather than for playing it: draw a failure rate for every condition and take the largest, but every
second time the largest of another draw in which another condition wins. It was preferred to successive halving because
it refines around the worst by itself, has no schedule that a lost or late result would spoil, and gives workers that
choose at the same time different conditions. As the posterior is a function of counts, the order of the episodes has
no influence.

The posterior serves the search alone. Its rates are biased where the search looked longest, which is where luck was
bad: what is said about a condition comes from a sample that the search did not use.
"""

import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

WIDTH = 0.15
"""Width of the neighbourhood, a share of the range: a condition 0.15 away counts 0.61 of an episode, 0.3 away 0.14."""
PRIOR = 0.5
"""Failures and successes before any episode (Jeffreys)."""
TOP_TWO = 0.5
"""How often the leader is chosen rather than its challenger (Russo's default)."""
_REDRAWS = 20
_STREAM = zlib.crc32(b"worst")


class FailurePosterior:
    """How often each of many conditions fails.

    Args:
        points: float[k, axes], of each condition.
    """

    def __init__(self, points: ArrayLike) -> None:
        x = np.asarray(points, dtype=float)
        square = ((x[:, None, :] - x[None, :, :]) ** 2).sum(axis=2)
        self._weight: Floats = np.exp(-square / (2 * WIDTH**2))
        self._successes, self._failures = np.zeros(len(x)), np.zeros(len(x))

    def add(self, condition: int, *, success: bool) -> None:
        """Take in an episode of the condition of that number."""
        (self._successes if success else self._failures)[condition] += 1

    def counts(self, condition: int) -> tuple[int, int]:
        """Successes and episodes of a condition."""
        return int(self._successes[condition]), int(self._successes[condition] + self._failures[condition])

    def means(self) -> Floats:
        """float[k], posterior mean of each failure rate."""
        failed, succeeded = self._parameters()
        means: Floats = failed / (failed + succeeded)
        return means

    def worst(self) -> int | None:
        """The condition with the largest posterior mean among those that ran, the first of equals; `None` without."""
        ran = self._successes + self._failures > 0
        return int(np.argmax(np.where(ran, self.means(), -1.0))) if ran.any() else None

    def best_next(self, eligible: NDArray[np.bool_], rng: np.random.Generator) -> int:
        """The condition for the next episode.

        Args:
            eligible: bool[k], which may be chosen; at least one.
            rng: decides.
        """
        failed, succeeded = self._parameters()

        def draw() -> Floats:
            return np.where(eligible, rng.beta(failed, succeeded), -1.0)

        drawn = draw()
        leader = int(np.argmax(drawn))
        if eligible.sum() == 1 or rng.random() < TOP_TWO:
            return leader
        for _ in range(_REDRAWS):
            drawn = draw()
            if (challenger := int(np.argmax(drawn))) != leader:
                return challenger
        drawn[leader] = -1.0
        return int(np.argmax(drawn))

    def _parameters(self) -> tuple[Floats, Floats]:
        return PRIOR + self._weight @ self._failures, PRIOR + self._weight @ self._successes


def stream(seed: int, purpose: str, number: int) -> np.random.Generator:
    """The random numbers of one choice: a function of the seed, what is chosen, and its number."""
    key = (_STREAM, zlib.crc32(purpose.encode()), number)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))
