"""Fog axis: light scattered into the camera by an uneven haze."""

import cv2
import numpy as np
from numpy.typing import NDArray

from perturbations.base import CAMERAS, FROM, MULTIPLIER, STATIC, UNTIL, AxisInfo, Stage, register
from perturbations.image import WHITE, Pixels, steady

FIELD_SIZE = 256
"""Side of the haze before it is scaled to the image (px); a power of two. Source: ImageNet-C, for 224 px."""

DECAY = 1.7
"""Detail of half the size has 1 / DECAY**2 of the amplitude; the square because ImageNet-C's generator applies decay
twice. Source: s3 of ImageNet-C fog, whose haze gets patchier from s1 (2) to s5 (1.4). One value here, so that all
strengths show the same haze and differ in its density alone."""


@register(
    AxisInfo(
        name="fog",
        stage=Stage.OPTICS,
        unit=MULTIPLIER,
        value_means="brightest haze that is added, relative to white, before all is scaled so that white stays white: "
        "1 / (1 + value) of the contrast is left; the haze is sampled once per episode",
        bounds=(0.0, 5.0),
        identity=0.0,
        presets=(1.5, 2.0, 2.5, 2.75, 3.0),
        source="ImageNet-C fog, whose s4 is 2.5 again with other haze; upper bound LIBERO-plus",
        cameras=CAMERAS,
        keys=(FROM, STATIC, UNTIL),
    )
)
def fog(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Adds white haze to the image; its pattern is the same at every strength.

    ImageNet-C scales by the brightest pixel of each image. This function scales by white instead, because otherwise a
    highlight that comes and goes would change the exposure.
    """
    height, width = pixels.shape[:2]
    side = max(height, width)
    field = haze(rng)
    if side != FIELD_SIZE:
        field = cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR)
    foggy = pixels.astype(np.float64)
    foggy += value * WHITE * field[:height, :width, None]
    foggy /= 1 + value
    return steady(foggy)


def haze(rng: np.random.Generator) -> NDArray[np.float64]:
    """A periodic plasma fractal by the diamond-square algorithm.

    Returns:
        `float64[256, 256]`, from 0 to 1.
    """
    field = np.zeros((1, 1))
    amplitude = 1.0
    while len(field) < FIELD_SIZE:
        size = 2 * len(field)
        finer = np.zeros((size, size))
        finer[::2, ::2] = field
        # Middles of squares, from the four corners.
        below = field + np.roll(field, -1, 0)
        middles = (below + np.roll(below, -1, 1)) / 4 + amplitude * rng.uniform(-1, 1, field.shape)
        finer[1::2, 1::2] = middles
        # Middles of edges, from the two corners and the two middles beside each.
        left_right, up_down = middles + np.roll(middles, 1, 1), middles + np.roll(middles, 1, 0)
        finer[1::2, ::2] = (below + left_right) / 4 + amplitude * rng.uniform(-1, 1, field.shape)
        along = field + np.roll(field, -1, 1)
        finer[::2, 1::2] = (along + up_down) / 4 + amplitude * rng.uniform(-1, 1, field.shape)
        field = finer
        amplitude /= DECAY**2
    field -= field.min()
    field /= field.max()
    return field
