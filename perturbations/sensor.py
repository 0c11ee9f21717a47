"""Sensor axes: noise, new for every frame unless `/mode=static`. All strengths of an axis share one random field.

Noise is defined per pixel at render size: a policy that downscales its images averages part of it out.
"""

from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from perturbations.base import CAMERAS, FLICKER, FRACTION, FROM, UNTIL, AxisInfo, Stage, Unit, register
from perturbations.image import WHITE, Pixels

PHOTONS = Unit("photons", {"": Decimal(1)})

NOISE_FREE = 10_000.0
"""Photons at white that mean no noise; 9999 would give a PSNR above 40 dB. Our choice."""

DRAW_BITS = 32
"""Resolution of the uniform random numbers behind photon counts."""

BUCKET_BITS = 8
"""Leading bits of a random number; they alone decide most photon counts. More bits need larger and slower tables."""

TAIL = 8.0
"""Photon counts further than this many standard deviations, plus as many photons, from their mean never occur."""


@register(
    AxisInfo(
        name="noise",
        aliases=("noise.gaussian",),
        stage=Stage.SENSOR,
        unit=FRACTION,
        value_means="standard deviation of Gaussian noise on every pixel and channel, as a fraction of 255",
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
        name="noise.speckle",
        stage=Stage.SENSOR,
        unit=FRACTION,
        value_means="standard deviation of Gaussian noise on every pixel and channel, as a fraction of its own value",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.15, 0.2, 0.35, 0.45, 0.6),
        source="ImageNet-C speckle_noise",
        cameras=CAMERAS,
        keys=(FROM, FLICKER, UNTIL),
    )
)
def noise_speckle(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Multiplies every pixel value by a random factor about 1."""
    field = rng.standard_normal(pixels.shape, dtype=np.float32)
    field *= value
    field += 1
    field *= pixels
    return field


@register(
    AxisInfo(
        name="noise.impulse",
        stage=Stage.SENSOR,
        unit=FRACTION,
        value_means="fraction of pixel values, sampled per channel, that become 0 or 255, either as often",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.03, 0.06, 0.09, 0.17, 0.27),
        source="ImageNet-C impulse_noise",
        cameras=CAMERAS,
        keys=(FROM, FLICKER, UNTIL),
    )
)
def noise_impulse(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Dead and hot pixels; those of a smaller strength are a subset of those of a larger one."""
    field = rng.random(pixels.shape, dtype=np.float32)
    np.putmask(pixels, field < value / 2, 0)
    np.putmask(pixels, field >= 1 - value / 2, WHITE)
    return pixels


@register(
    AxisInfo(
        name="noise.shot",
        stage=Stage.SENSOR,
        unit=PHOTONS,
        value_means="photons that white sends on average to each pixel and channel; their number follows Poisson's "
        "law, so fewer are noisier; 10000 stands for no noise",
        bounds=(1.0, NOISE_FREE),
        identity=NOISE_FREE,
        presets=(60.0, 25.0, 12.0, 5.0, 3.0),
        source="ImageNet-C shot_noise",
        cameras=CAMERAS,
        keys=(FROM, FLICKER, UNTIL),
    )
)
def noise_shot(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """Photon counts by the inverse of the Poisson distribution, so that all strengths share their random numbers.

    The expected count is that of the nearest whole level: half a level is far less than the noise.
    """
    draws = rng.integers(0, 2**DRAW_BITS, pixels.shape, dtype=np.uint32)
    levels = np.clip(np.rint(pixels), 0, None).astype(np.intp)
    counts = photon_counts(levels.ravel(), draws.ravel(), value)
    counts *= np.float32(WHITE / value)
    return counts.reshape(pixels.shape)


def photon_counts(levels: NDArray[np.intp], draws: NDArray[np.uint32], photons: float) -> Pixels:
    """Poisson counts, exact to the resolution of the random numbers.

    Args:
        levels: `intp[n]` from 0, 255 for white.
        draws: `uint32[n]`, uniform random numbers; larger ones give larger counts.
        photons: expected count at white.

    Returns:
        `float32[n]`: for each level and draw u, the smallest count whose cumulative probability exceeds u / 2**32.
    """
    tables = _poisson(photons, 256 * (int(levels.max(initial=0)) // 256 + 1))
    counts = tables.first.take(levels << BUCKET_BITS | draws >> (DRAW_BITS - BUCKET_BITS))
    # If several counts share a bucket, the table contains -1 - (the first of them), and the other bits decide.
    undecided = np.flatnonzero(counts < 0)
    rows = levels[undecided]
    counts[undecided] = -1 - counts[undecided]
    rest = draws[undecided]
    width = tables.until.shape[1]
    place = rows * width + counts[undecided]
    while len(undecided):
        above = tables.until.take(place) <= rest
        undecided, rest, place = undecided[above], rest[above], place[above] + 1
        counts[undecided] += 1
        rows = rows[above]
    totals: Pixels = (counts + tables.least.take(levels)).astype(np.float32)
    return totals


class _Tables:
    """The Poisson distribution for each level.

    Attributes:
        least: `int32[levels]`, the smallest count considered; the other tables count from it.
        until: `int64[levels, counts]`, first random number above each count: 2**32 times the cumulative probability.
        first: `int32[levels * buckets]`, the count of each bucket of random numbers.
    """

    def __init__(self, photons: float, levels: int) -> None:
        mean = photons * np.arange(levels) / WHITE
        spread = TAIL * (np.sqrt(mean) + 1)
        self.least = np.maximum(np.floor(mean - spread), 0).astype(np.int32)
        width = int((np.ceil(mean + spread) - self.least).max()) + 1
        count = self.least[:, None] + np.arange(width)
        log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count.max() + 1)))])
        with np.errstate(divide="ignore", invalid="ignore"):
            log_power = np.where(count == 0, 0.0, count * np.log(mean[:, None]))
        cumulative = np.cumsum(np.exp(log_power - mean[:, None] - log_factorial[count]), axis=1)
        self.until = np.minimum(np.rint(cumulative * 2.0**DRAW_BITS), 2**DRAW_BITS).astype(np.int64)
        self.until[:, -1] = 2**DRAW_BITS
        bucket = 1 << (DRAW_BITS - BUCKET_BITS)
        starts = np.arange(0, 2**DRAW_BITS, bucket)
        lowest = np.stack([np.searchsorted(row, starts, side="right") for row in self.until])
        highest = np.stack([np.searchsorted(row, starts + bucket - 1, side="right") for row in self.until])
        self.first = np.where(lowest == highest, lowest, -1 - lowest).astype(np.int32).ravel()


@lru_cache(maxsize=16)
def _poisson(photons: float, levels: int) -> _Tables:
    return _Tables(photons, levels)
