"""Exposure axes: changes of levels and colours that are uniform over the image."""

import cv2
import numpy as np

from perturbations.base import CAMERAS, FROM, KELVIN, MULTIPLIER, UNTIL, AxisInfo, Stage, register
from perturbations.color import NEUTRAL_KELVIN, white_balance_gains
from perturbations.image import Pixels

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a coded colour. Source: Rec. ITU-R BT.601."""


@register(
    AxisInfo(
        name="brightness",
        stage=Stage.EXPOSURE,
        unit=MULTIPLIER,
        value_means="multiplier on pixel values; below 1 darker (s1 to s5), above 1 brighter and clipped at white "
        "(as strong: 1.15 1.3 1.45 1.6 1.75)",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.85, 0.7, 0.55, 0.4, 0.25),
        source="VLA-Arena's 1 +- 0.75, each half in five steps",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def brightness(pixels: Pixels, value: float) -> Pixels:
    """Multiplies every pixel value by a factor."""
    pixels *= value
    return pixels


@register(
    AxisInfo(
        name="contrast",
        stage=Stage.EXPOSURE,
        unit=MULTIPLIER,
        value_means="multiplier on the distance of each pixel value from its channel's mean in that frame; "
        "0 is a plain image, above 1 more contrast",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.4, 0.3, 0.2, 0.1, 0.05),
        source="ImageNet-C contrast",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def contrast(pixels: Pixels, value: float) -> Pixels:
    """Moves pixel values towards or away from the mean of each channel."""
    mean = np.array(cv2.mean(pixels)[:3], np.float32)
    pixels -= mean
    pixels *= value
    pixels += mean
    return pixels


@register(
    AxisInfo(
        name="saturation",
        stage=Stage.EXPOSURE,
        unit=MULTIPLIER,
        value_means="multiplier on the distance of each colour from the grey of the same brightness; 0 is black and "
        "white, above 1 more colourful",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.7, 0.5, 0.3, 0.1, 0.0),
        source="range of VLA-Arena's colour factor and below; steps our choice",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def saturation(pixels: Pixels, value: float) -> Pixels:
    """Moves colours towards or away from grey."""
    # Channel by channel in NumPy: a matrix product would round differently on other CPUs.
    red, green, blue = (np.float32(weight) * pixels[..., channel] for channel, weight in enumerate(LUMA))
    grey = (red + green + blue)[..., None]
    pixels -= grey
    pixels *= value
    pixels += grey
    return pixels


@register(
    AxisInfo(
        name="temperature",
        stage=Stage.EXPOSURE,
        unit=KELVIN,
        value_means="colour temperature of the light, seen by a camera balanced for 6500 K: below is warmer (s1 to "
        "s5), above colder (7500, 8500); grey keeps its brightness",
        bounds=(1700.0, 25000.0),
        identity=NEUTRAL_KELVIN,
        presets=(5500.0, 4500.0, 3500.0, 3000.0, 2500.0),
        source="the warm side of VLA-Arena's 3500 to 8500 K, and below that household lamps",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def temperature(pixels: Pixels, value: float) -> Pixels:
    """Multiplies each channel by a factor."""
    pixels *= white_balance_gains(value).astype(np.float32)
    return pixels
