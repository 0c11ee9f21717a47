"""Occlusion axis: an opaque rectangle between the camera and the scene."""

import math

import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    CAMERAS,
    FRACTION,
    FROM,
    STATIC,
    TARGET,
    UNTIL,
    AxisInfo,
    Key,
    Stage,
    register,
)
from perturbations.image import Pixels

MAX_ASPECT = 2.0
"""Largest aspect ratio of an occluder, relative to the image's, in either orientation. Our choice."""

GRAY_LEVEL = 128.0
"""Level of a grey occluder: the middle of the range. Our choice."""

MIN_VISIBLE = 0.25
"""Smallest fraction of the target's visible pixels that an occluder leaves, unless it is aimed at it. Our choice."""

TRIES = 64
"""Number of rectangles that are tried until one leaves enough of the target visible. Our choice."""

PLACED_FOR = 0.4
"""Smaller occluders are placed as if they had this area (that of s5), so that they all share a place."""

Mask = NDArray[np.bool_]


@register(
    AxisInfo(
        name="occlusion",
        stage=Stage.OCCLUSION,
        unit=FRACTION,
        value_means="fraction of the image's area hidden by one upright rectangle, sampled once per episode; it leaves "
        "a quarter of what the task moves visible, or covers /target=NAME on purpose",
        bounds=(0.0, 0.9),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.3, 0.4),
        source="our choice",
        cameras=CAMERAS,
        keys=(Key("fill", "gray", ("gray", "black", "noise")), FROM, STATIC, TARGET, UNTIL),
        wants_target=True,
    )
)
def occlusion(
    pixels: Pixels,
    value: float,
    rng: np.random.Generator,
    fill: str,
    target: Mask | None = None,
    named: Mask | None = None,
) -> Pixels:
    """One opaque rectangle. Of two strengths up to 0.4, the larger rectangle contains the smaller one.

    It is fixed in the image; so in the wrist view, which moves, it covers a named object only at first. If a named
    object is out of view, nothing is covered.
    """
    shape = (pixels.shape[0], pixels.shape[1])
    draws = rng.random((TRIES, 3))
    if named is None:
        window = rectangle(shape, value, _place(shape, value, draws, target))
    elif named.any():
        window = over(named, value)
    else:
        return pixels
    if fill == "noise":
        pixels[window] = rng.integers(0, 256, pixels.shape, dtype=np.uint8)[window]
    else:
        pixels[window] = GRAY_LEVEL if fill == "gray" else 0.0
    return pixels


def _place(
    shape: tuple[int, int], value: float, draws: NDArray[np.float64], target: Mask | None
) -> NDArray[np.float64]:
    """The first sample whose rectangle leaves enough of the target visible, else the sample that leaves most."""
    if target is None or not target.any():
        first: NDArray[np.float64] = draws[0]
        return first
    hidden = []
    for draw in draws:
        hidden.append(target[rectangle(shape, max(value, PLACED_FOR), draw)].sum() / target.sum())
        if hidden[-1] <= 1 - MIN_VISIBLE:
            break
    chosen: NDArray[np.float64] = draws[int(np.argmin(hidden))]
    return chosen


def rectangle(shape: tuple[int, int], area: float, draw: NDArray[np.float64]) -> tuple[slice, slice]:
    """A rectangle of a given area. For the same `draw`, larger rectangles contain smaller ones.

    Args:
        shape: height and width of the image (px).
        area: fraction of the image's area.
        draw: random numbers, `float64[3]` in [0, 1): aspect ratio from high to wide, horizontal and vertical position.

    Returns:
        Rows and columns.
    """
    height, width = shape
    w, h = _sides(shape, area, MAX_ASPECT ** (2 * draw[0] - 1))
    left, top = int(draw[1] * (width - w + 1)), int(draw[2] * (height - h + 1))
    return np.s_[top : top + h, left : left + w]


def over(mask: Mask, area: float) -> tuple[slice, slice]:
    """A rectangle of a given area, centred on a mask, with about its aspect ratio, moved inside the image."""
    shape = (mask.shape[0], mask.shape[1])
    bounds = [(used[0], used[-1] + 1) for used in (np.flatnonzero(mask.any(axis=k)) for k in (1, 0))]
    spans = [(end - start) / side for (start, end), side in zip(bounds, shape, strict=True)]
    w, h = _sides(shape, area, min(max(spans[1] / spans[0], 1 / MAX_ASPECT), MAX_ASPECT))
    (top, left) = (
        min(max(math.floor((start + end - length) / 2), 0), side - length)
        for (start, end), length, side in zip(bounds, (h, w), shape, strict=True)
    )
    return np.s_[top : top + h, left : left + w]


def _sides(shape: tuple[int, int], area: float, aspect: float) -> tuple[int, int]:
    """Width and height (px). `aspect`: width by height, relative to the image's."""
    height, width = shape
    # Clipped so that neither side exceeds the image. Both sides then grow with the area, which nests the strengths.
    share = min(max(math.sqrt(area * aspect), area), 1.0)
    return max(1, round(width * share)), max(1, round(height * area / share))
