"""Whether a user's policy gives the same answer to the same request: pairs rest on it.

simeval's own policies and lerobot's are tested for it, and a server is asked twice when it is loaded. A user's policy
is asked again in its own episodes, because only there it gets inputs that it surely understands.
"""

import numpy as np

from simeval.policies.base import ActionChunk, PolicySpec

SAME = 0.02
"""Largest difference between two answers of one model to the same request (action units). A GPU computes another batch
in another order."""

USERS_KEYS = ("file_sha256", "entry_point", "object")
"""Keys that `user_defined` writes into the fingerprint of each user's policy, one of them or more."""


def should_repeat(spec: PolicySpec) -> bool:
    """Whether it is a user's policy that has not declared that its answers vary."""
    return not spec.noise_floor and any(key in USERS_KEYS for key, _ in spec.fingerprint)


def same(one: ActionChunk, other: ActionChunk) -> bool:
    """Whether two chunks are one answer."""
    return one.shape == other.shape and float(np.abs(one - other).max()) <= SAME
