"""A perturbation axis in a file of your own.

    simeval run --suite toy --policy seeker --perturb my.bands:s1,s3,s5 --plugin examples/my_axes.py
    simeval list perturbations my.bands --plugin examples/my_axes.py

Whether it keeps the rules: `from simeval.testing import check_perturbation; check_perturbation("my.bands")`.
"""

import numpy as np
from numpy.typing import NDArray

from perturbations.base import CAMERAS, FRACTION, AxisInfo, Stage, register

BANDS = 16
"""Bands over the height of the image; our choice."""


@register(
    AxisInfo(
        name="my.bands",
        stage=Stage.SENSOR,
        unit=FRACTION,
        value_means="standard deviation of the brightness of horizontal bands, as under lamps that flicker",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.02, 0.05, 0.1, 0.15, 0.2),
        source="an example; the presets are our choice",
        cameras=CAMERAS,
    )
)
def bands(pixels: NDArray[np.float32], value: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """`pixels`: `float32[H, W, 3]`, 0 to 255; what leaves that range is clipped afterwards."""
    offsets = rng.normal(0.0, 255 * value, BANDS).astype(np.float32)
    rows = np.arange(len(pixels)) * BANDS // len(pixels)
    return pixels + offsets[rows][:, None, None]
