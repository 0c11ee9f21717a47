"""Image axes: what a camera's optics, exposure, sensor and view can do to the policy's pictures.

Defined at render size, before any resize by the policy. ImageNet-C is Hendrycks and
Dietterich, 2019; its constants are for pictures 224 px wide.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    CAMERAS,
    FLICKER,
    FRACTION,
    FROM,
    MULTIPLIER,
    PIXELS_AT_224,
    STATIC,
    UNTIL,
    AxisInfo,
    Key,
    Stage,
    register,
)

Pixels = NDArray[np.float32]
"""`float32[H, W, 3]` on the 0..255 scale; between stages values may lie outside it."""

REFERENCE_WIDTH = 224
"""Picture width (px) that lengths in pixels refer to. Source: ImageNet-C."""

BLUR_REACH = 3.0
"""Where the blur kernel ends (sigmas). Source: OpenCV's choice for 8-bit pictures."""

MAX_ASPECT = 2.0
"""An occluder is at most this many times as wide as high, relative to the picture, or as high as wide. Our choice."""

GRAY_LEVEL = 128.0
"""Level of a gray occluder: the middle of the range. Our choice."""


@register(
    AxisInfo(
        name="blur.gaussian",
        stage=Stage.OPTICS,
        family="V",
        unit=PIXELS_AT_224,
        value_means="sigma in px of a picture 224 px wide",
        bounds=(0.0, 10.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 4.0, 6.0),
        source="ImageNet-C gaussian_blur; upper bound LIBERO-plus",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def blur_gaussian(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Gaussian blur; sigma grows with the picture's width, the border is repeated as in ImageNet-C."""
    del rng
    sigma = value * pixels.shape[1] / REFERENCE_WIDTH
    kernel = cv2.getGaussianKernel(2 * math.ceil(BLUR_REACH * sigma) + 1, sigma, cv2.CV_64F)
    # In float32 OpenCV's result depends on the CPU's vector instructions, and a few pixels then round differently.
    blurred: NDArray[np.float64] = cv2.sepFilter2D(
        pixels.astype(np.float64), cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE
    )
    return blurred.astype(np.float32)


@register(
    AxisInfo(
        name="brightness",
        stage=Stage.EXPOSURE,
        family="V",
        unit=MULTIPLIER,
        value_means="multiplier on pixel values",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.85, 0.7, 0.55, 0.4, 0.25),
        source="the dark half of VLA-Arena's 1 +- 0.75, in five steps",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def brightness(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Every pixel value times a factor."""
    del rng
    pixels *= value
    return pixels


@register(
    AxisInfo(
        name="noise",
        aliases=("noise.gaussian",),
        stage=Stage.SENSOR,
        family="V",
        unit=FRACTION,
        value_means="sigma as a fraction of 255",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.08, 0.12, 0.18, 0.26, 0.38),
        source="ImageNet-C gaussian_noise",
        cameras=CAMERAS,
        keys=(FROM, FLICKER, UNTIL),
    )
)
def noise(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Independent Gaussian noise on every pixel and channel."""
    field = rng.standard_normal(pixels.shape, dtype=np.float32)
    field *= 255 * value
    field += pixels
    return field


@register(
    AxisInfo(
        name="occlusion",
        stage=Stage.OCCLUSION,
        family="V",
        unit=FRACTION,
        value_means="fraction of image area hidden by one rectangle",
        bounds=(0.0, 0.9),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.3, 0.4),
        source="our choice",
        cameras=CAMERAS,
        keys=(Key("fill", "gray", ("gray", "black", "noise")), FROM, STATIC, UNTIL),
    )
)
def occlusion(pixels: Pixels, value: float, rng: np.random.Generator, fill: str) -> Pixels:
    """One opaque upright rectangle at a random place; of two strengths, the larger covers the smaller one."""
    height, width = pixels.shape[:2]
    aspect = MAX_ASPECT ** rng.uniform(-1, 1)
    across, down = rng.random(2)
    # Clipped so that neither side exceeds the picture; both sides then grow with the area, which nests the strengths.
    share = min(max(math.sqrt(value * aspect), value), 1.0)
    w, h = max(1, round(width * share)), max(1, round(height * value / share))
    left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
    window = np.s_[top : top + h, left : left + w]
    if fill == "noise":
        pixels[window] = rng.integers(0, 256, pixels.shape, dtype=np.uint8)[window]
    else:
        pixels[window] = GRAY_LEVEL if fill == "gray" else 0.0
    return pixels
