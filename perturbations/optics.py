"""Optics axes: blur before the light reaches the sensor.

Lengths are in px of an image 224 px wide and scale with the image's width. Images are padded with their border pixels.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    CAMERAS,
    FROM,
    MULTIPLIER,
    PIXELS_AT_224,
    STATIC,
    UNTIL,
    AxisInfo,
    Stage,
    register,
)
from perturbations.image import Pixels, in_pixels, steady

BLUR_REACH = 3.0
"""Where the Gaussian kernel ends (sigmas). Source: OpenCV's choice for 8-bit images."""

SAMPLES_PER_PIXEL = 16
"""Sample points per px of a motion's path. Our choice; more points change no pixel."""

ZOOM_STEP = 2.0
"""How far (px) the image's border moves from one layer of a zoom blur to the next. Our choice; ImageNet-C: 1 to 3."""


@register(
    AxisInfo(
        name="blur.gaussian",
        stage=Stage.OPTICS,
        unit=PIXELS_AT_224,
        value_means="standard deviation of a Gaussian blur, in px of an image 224 px wide",
        bounds=(0.0, 10.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 4.0, 6.0),
        source="ImageNet-C gaussian_blur; upper bound LIBERO-plus",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def blur_gaussian(pixels: Pixels, value: float) -> Pixels:
    """Gaussian blur."""
    sigma = in_pixels(value, pixels)
    kernel = cv2.getGaussianKernel(2 * math.ceil(BLUR_REACH * sigma) + 1, sigma, cv2.CV_64F)
    # In float32 OpenCV's result depends on the CPU's vector instructions, and a few pixels would round differently.
    blurred: NDArray[np.float64] = cv2.sepFilter2D(
        pixels.astype(np.float64), cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE
    )
    return blurred.astype(np.float32)


@register(
    AxisInfo(
        name="blur.defocus",
        stage=Stage.OPTICS,
        unit=PIXELS_AT_224,
        value_means="radius of the disk that a point of light becomes out of focus, in px of an image 224 px wide",
        bounds=(0.0, 20.0),
        identity=0.0,
        presets=(3.0, 4.0, 6.0, 8.0, 10.0),
        source="radii of ImageNet-C defocus_blur",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def blur_defocus(pixels: Pixels, value: float) -> Pixels:
    """Convolution with a disk."""
    return convolved(pixels, disk(in_pixels(value, pixels)))


@register(
    AxisInfo(
        name="blur.motion",
        stage=Stage.OPTICS,
        unit=PIXELS_AT_224,
        value_means="length of the straight path that every point is smeared along, in px of an image 224 px wide; "
        "its direction is sampled once per episode",
        bounds=(0.0, 70.0),
        identity=0.0,
        presets=(10.0, 15.0, 20.0, 25.0, 35.0),
        source="kernel radii of ImageNet-C motion_blur (10 to 20) and LIBERO-plus (5 to 35), taken as lengths",
        cameras=CAMERAS,
        keys=(FROM, STATIC, UNTIL),
    )
)
def blur_motion(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Uniform exposure along a line centred on each point, so that nothing moves on average; random direction."""
    return convolved(pixels, line(in_pixels(value, pixels), rng.uniform(0, math.pi)))


@register(
    AxisInfo(
        name="blur.zoom",
        stage=Stage.OPTICS,
        unit=MULTIPLIER,
        value_means="largest zoom about the middle of the image during one exposure, which starts at 1",
        bounds=(1.0, 2.0),
        identity=1.0,
        presets=(1.11, 1.16, 1.21, 1.26, 1.31),
        source="ImageNet-C zoom_blur",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def blur_zoom(pixels: Pixels, value: float) -> Pixels:
    """The mean of the image at evenly spaced zooms from 1 to the value."""
    height, width = pixels.shape[:2]
    sharp = pixels.astype(np.float64)
    total = sharp.copy()
    intervals = max(1, round((value - 1) * width / 2 / ZOOM_STEP))
    for step in range(1, intervals + 1):
        zoom = 1 + (value - 1) * step / intervals
        shift = 0.5 - 0.5 / zoom
        source = np.array([[1 / zoom, 0, shift * (width - 1)], [0, 1 / zoom, shift * (height - 1)]])
        # warpAffine's weights are multiples of 1/1024, so sums are exact; cv2.resize's weights depend on the CPU.
        total += cv2.warpAffine(sharp, source, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    total /= intervals + 1
    return steady(total)


def disk(radius: float) -> NDArray[np.float64]:
    """The image of a point that is out of focus.

    Args:
        radius: px.

    Returns:
        `float64[n, n]`, n odd, of sum 1; a pixel at the rim is weighted by the part that is inside.
    """
    reach = math.ceil(radius + 0.5)
    across = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel: NDArray[np.float64] = np.clip(radius + 0.5 - np.hypot(across[:, None], across), 0, 1)
    kernel /= kernel.sum()
    return kernel


def line(length: float, angle: float) -> NDArray[np.float64]:
    """The image of a point that moves straight and at constant speed through the centre of the kernel.

    Args:
        length: px.
        angle: rad, from the image's x axis towards its bottom.

    Returns:
        `float64[n, n]`, n odd, of sum 1.
    """
    count = max(1, math.ceil(SAMPLES_PER_PIXEL * length))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    reach = math.ceil(length / 2) + 1
    size = 2 * reach + 1
    x, y = along * math.cos(angle) + reach, along * math.sin(angle) + reach
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    x, y = x - left, y - top
    kernel = np.zeros(size * size)
    for down, across, weight in ((0, 0, (1 - x) * (1 - y)), (0, 1, x * (1 - y)), (1, 0, (1 - x) * y), (1, 1, x * y)):
        kernel += np.bincount((top + down) * size + left + across, weight, kernel.size)
    return kernel.reshape(size, size) / count


def convolved(pixels: Pixels, kernel: NDArray[np.float64]) -> Pixels:
    """Convolve an image with `kernel` (`float64[n, n]`, n odd), at a cost that hardly depends on n."""
    reach = len(kernel) // 2
    height, width = pixels.shape[:2]
    padded = cv2.copyMakeBorder(pixels, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    shape = (fast_length(height + 2 * reach), fast_length(width + 2 * reach))
    spectrum = np.fft.rfft2(kernel, shape)
    blurred = np.empty(pixels.shape, np.float64)
    for channel, values in enumerate(cv2.split(padded)):
        # In float64, so that results do not depend on the machine. The first rows and columns are wrapped around.
        whole = np.fft.irfft2(np.fft.rfft2(values.astype(np.float64), shape) * spectrum, shape)
        blurred[..., channel] = whole[2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]
    return steady(blurred)


@lru_cache
def fast_length(least: int) -> int:
    """The smallest length >= `least` without prime factors above 5, for which Fourier transforms are fast."""
    length = least
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
