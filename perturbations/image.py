"""Shared by the image axes: the pixel format between stages, lengths in pixels, and reproducible rounding.

The axes are in `optics`, `fog`, `exposure`, `sensor`, `occlusion` and `codec`. All are defined at render size, before
any resize by the policy, and in the policy's view: upright, left is left. ImageNet-C is Hendrycks and Dietterich, 2019
(arXiv 1903.12261). Its constants are for classification of images 224 px wide; here they are labels, and difficulty is
not comparable across axes.
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
"""`float32[H, W, 3]` on the 0..255 scale; between stages values may lie outside it."""

WHITE = 255.0
"""Level of white."""

REFERENCE_WIDTH = 224
"""Image width (px) that lengths in pixels refer to. Source: ImageNet-C."""

STEPS_PER_LEVEL = 1024
"""Resolution of `steady`. A power of two, so that the steps themselves are exact. Our choice."""


def in_pixels(length: float, pixels: Pixels) -> float:
    """Convert a length in px of an image 224 px wide to px of this image."""
    return length * pixels.shape[1] / REFERENCE_WIDTH


def steady(values: NDArray[np.float64]) -> Pixels:
    """Round sums of many terms so that the result does not depend on the CPU's order of additions.

    An average of whole levels is often half-way between two levels. Its last bit, which depends on the CPU's vector
    instructions, would then decide how it rounds. So `float64` is rounded to 1/1024 of a level here, in place.
    """
    values *= STEPS_PER_LEVEL
    np.rint(values, out=values)
    values /= STEPS_PER_LEVEL
    return values.astype(np.float32)
