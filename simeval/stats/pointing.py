"""Does attention point at an object? Shares and hits against its mask, beside what chance would give.

Non-obvious behaviour:
- A mask in pixels is first turned into the covered share of each region of the attention grid: with 4 x 4 regions no
  attention can follow an outline, and a region that the object touches holds much else.
- Chance depends on the size of the object in the image. So every number has its own: that of uniform attention.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simeval.stats.clusters import MIN_FOR_INTERVAL
from simeval.stats.intervals import Interval
from simeval.stats.quantiles import t_isf

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pointing:
    """Attention on an object, over frames.

    Attributes:
        share: mean share of the attention on images that is on the object's part of its regions.
        share_interval: Student's t over initial states; `None` with fewer than six.
        share_chance: the same for uniform attention: the share of the images that the object covers.
        hits: share of frames in which the region with the most attention is one that the object touches.
        hits_interval: as for the share.
        hits_chance: the same for a region chosen at random.
        frames: number of frames in which the object is visible.
        units: number of their initial states.
    """

    share: float | None
    share_interval: Interval | None
    share_chance: float | None
    hits: float | None
    hits_interval: Interval | None
    hits_chance: float | None
    frames: int
    units: int


def coverage(mask: NDArray[np.bool_], side: int) -> Floats:
    """Covered share of each region of a network's square input: float[side, side].

    The network scales an image into a square and pads it at the left and at the top; padding is not covered.

    Args:
        mask: bool[H, W], in the image.
        side: regions along each side.
    """
    height, width = mask.shape
    edge = max(height, width)
    square = np.zeros((edge, edge))
    square[edge - height :, edge - width :] = mask
    # Exact for sides that do not divide the image: each pixel counts for the regions that it lies in.
    weights = _overlaps(edge, side)
    return np.asarray(weights @ square @ weights.T)


def _overlaps(pixels: int, regions: int) -> Floats:
    """Share of each region that each pixel fills, along one side: float[regions, pixels]."""
    edges = np.arange(regions + 1) * pixels / regions
    low = np.maximum(edges[:-1, None], np.arange(pixels)[None])
    high = np.minimum(edges[1:, None], np.arange(pixels)[None] + 1)
    return np.asarray(np.maximum(0.0, high - low) * regions / pixels)


def on_object(attention: Floats, covered: Floats) -> tuple[float, float, float, float]:
    """Share of the attention on an object, that of uniform attention, whether the peak hits it, and its chance.

    Args:
        attention: float[cameras, h, w], not negative.
        covered: float[cameras, h, w], covered share of each region.
    """
    total = attention.sum()
    share = float((attention * covered).sum() / total) if total > 0 else 0.0
    touched = covered > 0
    # Regions with equal attention share the hit: the first one is no better than the others.
    peak = attention == attention.max()
    return share, float(covered.mean()), float(touched[peak].mean()), float(touched.mean())


def pointing(measured: Floats, units: NDArray[np.int64], level: float = 0.95) -> Pointing:
    """Means over frames, with intervals over initial states.

    Args:
        measured: float[frames, 4], see `on_object`.
        units: int[frames], initial state of each.
        level: nominal coverage.
    """
    if not len(measured):
        return Pointing(None, None, None, None, None, None, 0, 0)
    unique, index = np.unique(units, return_inverse=True)
    means = np.zeros((len(unique), 4))
    np.add.at(means, index, measured)
    means /= np.bincount(index)[:, None]
    share, share_chance, hits, hits_chance = means.mean(axis=0).tolist()
    intervals = [_interval(means[:, column], level) for column in (0, 2)]
    return Pointing(share, intervals[0], share_chance, hits, intervals[1], hits_chance, len(measured), len(unique))


def _interval(values: Floats, level: float) -> Interval | None:
    if len(values) < MIN_FOR_INTERVAL:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5
    if error == 0:
        return None
    half = t_isf((1 - level) / 2, len(values) - 1) * error
    return Interval(max(0.0, mean - half), min(1.0, mean + half), level, "t over initial states")
