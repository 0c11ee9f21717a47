"""Codec axes: low resolution and lossy compression between camera and policy."""

from decimal import Decimal

import cv2
import numpy as np

from perturbations.base import CAMERAS, FROM, MULTIPLIER, UNTIL, AxisInfo, Stage, Unit, register
from perturbations.image import Pixels, steady

QUALITY = Unit("quality", {"": Decimal(1)}, whole=True)


@register(
    AxisInfo(
        name="jpeg",
        stage=Stage.CODEC,
        unit=QUALITY,
        value_means="JPEG quality, a whole number from 1 (worst); 100 stands for no compression at all",
        bounds=(1.0, 100.0),
        identity=100.0,
        presets=(25.0, 18.0, 15.0, 10.0, 7.0),
        source="ImageNet-C jpeg_compression",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def jpeg(pixels: Pixels, value: float) -> Pixels:
    """Compressed and decompressed, with colours at half resolution (4:2:0)."""
    # A codec needs bytes, so this is the only axis that must round and clip its input.
    levels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    settings = [cv2.IMWRITE_JPEG_QUALITY, round(value)]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), settings)
    decoded: Pixels = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.float32)
    return decoded


@register(
    AxisInfo(
        name="pixelate",
        stage=Stage.CODEC,
        unit=MULTIPLIER,
        value_means="width of the image that is sent, as a fraction of the original's; shown as blocks",
        bounds=(0.01, 1.0),
        identity=1.0,
        presets=(0.6, 0.5, 0.4, 0.3, 0.25),
        source="ImageNet-C pixelate",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def pixelate(pixels: Pixels, value: float) -> Pixels:
    """Shrunk and enlarged by area averaging: each block is the mean of its pixels; a pixel on two blocks mixes them.

    Plain repetition would move edges by up to half a block where block sizes are not whole numbers of pixels.
    """
    height, width = pixels.shape[:2]
    size = (max(1, round(width * value)), max(1, round(height * value)))
    small = cv2.resize(pixels.astype(np.float64), size, interpolation=cv2.INTER_AREA)
    return steady(cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA))
