"""Whether a user's policy gives the same answer to the same request: pairs rest on it.

simeval's own policies and lerobot's are tested for it, and a server is asked twice when it is loaded. A user's policy
is asked again in its own episodes, because only there it gets inputs that it surely understands.
"""

import numpy as np
from numpy.typing import NDArray

from simeval.policies.base import ActionChunk, PolicySpec

SAME = 0.02
"""Largest difference between two answers of one model to the same request (action units). A GPU computes another batch
in another order."""
SAME_SHARE = 0.05
"""The same as a share of what an action's component spans in an episode: the float noise of a network is a share of
that, about 1 % in bfloat16. Our choice."""
NOTHING = 1e-3
"""A difference that no robot notices (action units): 50 um of LIBERO's steps. Of a component that hardly moves,
float noise is more than a share."""
ANOTHER = 0.25
"""Two answers are not of one model if half of their components differ by more than this share of what they span."""

USERS_KEYS = ("file_sha256", "entry_point", "object")
"""Keys that `user_defined` writes into the fingerprint of each user's policy, one of them or more."""


def should_repeat(spec: PolicySpec) -> bool:
    """Whether it is a user's policy that has not declared that its answers vary."""
    return not spec.noise_floor and any(key in USERS_KEYS for key, _ in spec.fingerprint)


def same(one: ActionChunk, other: ActionChunk) -> bool:
    """Whether two chunks are one answer of one model, which may have been loaded anew."""
    if one.shape != other.shape or (gap := largest_gap(one, other)).max() > SAME:
        return False
    span = _span(np.minimum(one, other).min(axis=0), np.maximum(one, other).max(axis=0))
    moving = span > NOTHING
    return not moving.any() or float(np.median(gap[moving] / span[moving])) <= ANOTHER


def largest_gap(one: ActionChunk, other: ActionChunk) -> NDArray[np.float64]:
    """float64[n]: how far two answers are apart in each component; infinite if their shapes differ."""
    if one.shape != other.shape:
        return np.full(one.shape[-1], np.inf)
    return np.asarray(np.abs(one - other).max(axis=0), dtype=np.float64)


def is_noise(gap: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    """Whether two answers to one request differ by no more than the order of sums explains.

    Args:
        gap: float64[n], of `largest_gap`.
        low: float64[n], least number of each component in the episode.
        high: float64[n], its largest number.
    """
    return bool((gap <= np.clip(SAME_SHARE * _span(low, high), NOTHING, SAME)).all())


def _span(low: NDArray[np.floating], high: NDArray[np.floating]) -> NDArray[np.float64]:
    """What components span; 0, no motion, is part of it, as float noise grows with the numbers themselves."""
    return np.asarray(np.maximum(high, 0.0) - np.minimum(low, 0.0), dtype=np.float64)
