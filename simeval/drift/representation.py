"""Representation drift: how far a condition moves a policy's internal features of a frame.

`distances` compares one frame under one condition, next to the drift of the actions. `set_distances` compares all
frames of a condition: do the frames keep their geometry relative to each other?

Non-obvious behaviour:
- Vectors are means over tokens: over the regions of all images, over the words, over the whole prefix. The other
  regions dilute a change of one region. `attention_shift` measures where the policy looks, not what it sees there.
- Unchanged inputs have exactly 0: vision under another instruction, language under another image.
- Distances of sets are 1 - debiased CKA. Plain CKA is nearly 1 for any features that outnumber the frames, as here.
"""

from math import isnan

import numpy as np
from numpy.typing import NDArray

from simeval.policies.representations import Representation
from simeval.stats.representation import cosine_distance, linear_cka, total_variation

PARTS = ("vision", "language", "prefix")
"""Pooled parts, in the order of the arrays."""

DISTANCES = (*(f"{part}_cosine" for part in PARTS), "attention_shift", "attention_language")
"""Names of the values of `distances`, for one frame."""

SET_DISTANCES = tuple(f"{part}_cka" for part in PARTS)
"""Names of the values of `set_distances`, for all frames of a condition."""

Vectors = NDArray[np.float32]


def pooled(representation: Representation) -> Vectors:
    """Means over unmasked tokens, by `PARTS`: `float32[3, d]`; zeros where there is no token."""
    tokens = (
        np.concatenate(representation.vision),
        representation.language[representation.language_mask],
        representation.prefix[representation.prefix_mask],
    )
    return np.array([part.sum(0, dtype=np.float64) / max(len(part), 1) for part in tokens], np.float32)


def distances(clean: Representation, perturbed: Representation) -> tuple[tuple[str, float], ...]:
    """Distances between the clean and the perturbed view of a frame, by the names of `DISTANCES`.

    `*_cosine` is 1 - cosine of the means over tokens, in [0, 2]. `attention_shift` is the share of the attention on
    images that moved to other regions, in [0, 1] (total variation). `attention_language` is the absolute change of the
    words' share of all attention, in [0, 1].

    Args:
        clean: of the frame.
        perturbed: of the same frame, predicted with the same sampling noise.
    """
    measured = [cosine_distance(before, after) for before, after in zip(pooled(clean), pooled(perturbed), strict=True)]
    measured.append(total_variation(clean.attention, perturbed.attention))
    measured.append(abs(clean.attention_language - perturbed.attention_language))
    return tuple(zip(DISTANCES, measured, strict=True))


def set_distances(clean: Vectors, perturbed: Vectors) -> tuple[tuple[str, float | None], ...]:
    """1 - debiased linear CKA of all frames of a condition, by the names of `SET_DISTANCES`: in [0, 2].

    About 1 means that the two sets are unrelated. `None` for fewer than four frames, and where all frames are equal
    before or after: the same instruction, the same black image.

    Args:
        clean: `float32[n, 3, d]`, the pooled vectors of the frames.
        perturbed: the same frames under the condition.
    """
    similarities = [linear_cka(clean[:, k], perturbed[:, k], debiased=True) for k in range(len(PARTS))]
    return tuple((name, None if isnan(cka) else 1 - cka) for name, cka in zip(SET_DISTANCES, similarities, strict=True))
