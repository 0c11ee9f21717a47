"""What the image axes share: how a picture travels through the stages, and how results stay equal on every machine.

The axes are in `optics`, `fog`, `exposure`, `sensor`, `occlusion` and `codec`. All of them are defined at render size,
before any resize by the policy, and in the policy's view: upright, left is left. ImageNet-C is Hendrycks and
Dietterich, 2019 (arXiv 1903.12261); its constants are for pictures 224 px wide and for classification: here they are
labels, not equal difficulty across axes.
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
"""`float32[H, W, 3]` on the 0..255 scale; between stages values may lie outside it."""

WHITE = 255.0
"""Level of white."""

REFERENCE_WIDTH = 224
"""Picture width (px) that lengths in pixels refer to. Source: ImageNet-C."""

STEPS_PER_LEVEL = 1024
"""Resolution of `steady`. A power of two, so that the steps themselves are exact. Our choice."""


def in_pixels(length: float, pixels: Pixels) -> float:
    """A length in px of a picture 224 px wide, in px of this picture."""
    return length * pixels.shape[1] / REFERENCE_WIDTH


def steady(values: NDArray[np.float64]) -> Pixels:
    """Pixels from a sum of many terms, the same whatever order a CPU added them in.

    An average of whole levels often lies half-way between two; its last bit, which depends on the CPU's vector
    instructions, would then decide how it rounds. So `float64` is rounded to 1/1024 of a level here, in place.
    """
    values *= STEPS_PER_LEVEL
    np.rint(values, out=values)
    values /= STEPS_PER_LEVEL
    return values.astype(np.float32)
