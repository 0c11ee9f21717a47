"""Representation drift: how far a condition moves what a policy makes of a frame, before it comes to actions.

Per frame and condition `distances`, next to the drift of the actions. Over all frames of a condition `set_distances`,
which asks whether the frames still lie in the same way to each other.

Non-obvious behaviour:
- Vectors are means over tokens: over the regions of all pictures, over the words, over all of the prefix. A change of
  one region is diluted by the others; `attention_shift` sees where the policy looks, whatever it sees there.
- What did not change is exactly 0: vision under another instruction, language under another picture.
- Distances of sets are 1 - debiased CKA. Plain CKA is nearly 1 for any features that outnumber the frames, as here.
"""

from math import isnan

import numpy as np
from numpy.typing import NDArray

from simeval.policies.representations import Representation
from simeval.stats.representation import cosine_distance, linear_cka, total_variation

PARTS = ("vision", "language", "prefix")
"""What is pooled, in the order of the arrays."""

DISTANCES = (*(f"{part}_cosine" for part in PARTS), "attention_shift", "attention_language")
"""What `distances` measures on one frame."""

SET_DISTANCES = tuple(f"{part}_cka" for part in PARTS)
"""What `set_distances` measures over all frames of a condition."""

Vectors = NDArray[np.float32]


def pooled(of: Representation) -> Vectors:
    """Means over the tokens that are there, by `PARTS`: `float32[3, d]`; zeros where there is no token."""
    tokens = (np.concatenate(of.vision), of.language[of.language_mask], of.prefix[of.prefix_mask])
    return np.array([part.sum(0, dtype=np.float64) / max(len(part), 1) for part in tokens], np.float32)


def distances(clean: Representation, perturbed: Representation) -> tuple[tuple[str, float], ...]:
    """How far a view of a frame is from the clean one, by the names of `DISTANCES`.

    `*_cosine` is 1 - cosine of the means over tokens, in [0, 2]. `attention_shift` is the share of the attention on
    pictures that went to other regions, in [0, 1] (total variation). `attention_language` is the absolute change of the
    share that the words get of all attention, in [0, 1].

    Args:
        clean: of the frame.
        perturbed: of the same frame, predicted with the same sampling noise.
    """
    found = [cosine_distance(before, after) for before, after in zip(pooled(clean), pooled(perturbed), strict=True)]
    found.append(total_variation(clean.attention, perturbed.attention))
    found.append(abs(clean.attention_language - perturbed.attention_language))
    return tuple(zip(DISTANCES, found, strict=True))


def set_distances(clean: Vectors, perturbed: Vectors) -> tuple[tuple[str, float | None], ...]:
    """1 - debiased linear CKA of all frames of a condition, by the names of `SET_DISTANCES`: in [0, 2].

    About 1 means that the two sets have nothing to do with each other. `None` for fewer than four frames, and where all
    frames are alike before or after: the same instruction, the same black picture.

    Args:
        clean: `float32[n, 3, d]`, the pooled vectors of the frames.
        perturbed: the same frames under the condition.
    """
    found = [linear_cka(clean[:, k], perturbed[:, k], debiased=True) for k in range(len(PARTS))]
    return tuple((name, None if isnan(cka) else 1 - cka) for name, cka in zip(SET_DISTANCES, found, strict=True))
