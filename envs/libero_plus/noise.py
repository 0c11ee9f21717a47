"""LIBERO-plus's fifty sensor noises: five kinds of blur and fog in ten strengths each.

Kinds and constants are LIBERO-plus's, which are ImageNet-C's with more strengths. Lengths are pixels of images of
`SIZE` pixels per side; for other sizes they are scaled.

Non-obvious behaviour:
- They act on the simulator's image, which is the policy's turned by 180 degrees: the motion blur has a direction.
- LIBERO-plus draws from NumPy's unseeded generator. Here the numbers are given by a seed.
- Glass blur shuffles the first 224 of 256 rows and columns only, as LIBERO-plus's does.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

type Pixels = NDArray[np.float64]

SIZE = 256
"""Side of the images that the constants are for (px). Source: LIBERO-plus's evaluation, OpenVLA-OFT's."""

STRENGTHS = 10
KINDS = ("motion blur", "Gaussian blur", "zoom blur", "fog", "glass blur")

_MOTION = ((5, 2), (8, 3), (10, 4), (12, 5), (15, 6), (18, 8), (20, 10), (25, 12), (30, 15), (35, 20))
"""Radius and standard deviation (px)."""

_TILT = 45.0
"""Largest angle of the motion blur against the horizontal (deg)."""

_ZOOM = (
    *((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    *((1.36, 0.01), (1.41, 0.01), (1.46, 0.02), (1.51, 0.02), (1.56, 0.03)),
)
"""Bound and step of the magnifications that are averaged."""

_FOG = (
    *((0.5, 3.0), (1.0, 2.8), (1.5, 2.5), (2.0, 2.2), (2.5, 2.0)),
    *((3.0, 1.8), (3.5, 1.6), (4.0, 1.5), (4.5, 1.4), (5.0, 1.3)),
)
"""Strength, and decay of the roughness from one octave to the next."""

_GLASS = (
    *((0.5, 1, 3), (0.7, 1, 3), (0.9, 2, 3), (1.0, 2, 2), (1.1, 3, 2)),
    *((1.3, 3, 2), (1.5, 4, 2), (1.8, 4, 2), (2.2, 5, 1), (2.5, 5, 1)),
)
"""Standard deviation of the blur (px), largest displacement (px), number of shuffles."""

_GLASS_SIZE = 224

_WIBBLE = 100.0
"""Roughness of the fog's first octave. Source: ImageNet-C."""


def corrupt(image: NDArray[np.uint8], number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply a sensor noise to an image.

    Args:
        image: `uint8[n, n, 3]`, upright, as policies get it.
        number: 1 to 50.
        rng: source of what is random in the noise.

    Returns:
        A new image.
    """
    kind, strength = divmod(number - 1, STRENGTHS)
    pixels = image[::-1, ::-1].astype(np.float64)
    scale = len(image) / SIZE
    match KINDS[kind]:
        case "motion blur":
            radius, spread = _MOTION[strength]
            changed = motion_blur(pixels, radius * scale, spread * scale, rng.uniform(-_TILT, _TILT))
        case "Gaussian blur":
            changed = _gaussian(pixels, (strength + 1) * scale)
        case "zoom blur":
            changed = _zoom_blur(pixels, *_ZOOM[strength])
        case "fog":
            changed = _fog(pixels, *_FOG[strength], rng)
        case _:
            width, reach, shuffles = _GLASS[strength]
            changed = _glass_blur(pixels, width * scale, max(1, round(reach * scale)), shuffles, rng)
    # LIBERO-plus truncates, but for motion blur, which ImageMagick rounds.
    levels = np.clip(np.rint(changed) if KINDS[kind] == "motion blur" else changed, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels[::-1, ::-1])


def motion_blur(pixels: Pixels, radius: float, spread: float, angle: float) -> Pixels:
    """ImageMagick's motion blur: half a Gaussian along a line, with the border's pixels repeated.

    Args:
        pixels: `float64[n, n, 3]`.
        radius: half the length of the line (px).
        spread: standard deviation of the Gaussian (px).
        angle: of the line, clockwise from the image's right (deg).
    """
    length = 2 * math.ceil(radius) + 1
    weights = np.exp(-(np.arange(length) ** 2) / (2 * spread**2))
    weights /= weights.sum()
    along_x, along_y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    padded = np.pad(pixels, ((length, length), (length, length), (0, 0)), mode="edge")
    blurred = np.zeros_like(pixels)
    for i, weight in enumerate(weights):
        top, left = length + math.ceil(i * along_y - 0.5), length + math.ceil(i * along_x - 0.5)
        blurred += weight * padded[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    return blurred


def _gaussian(pixels: Pixels, spread: float) -> Pixels:
    blurred: Pixels = ndimage.gaussian_filter(pixels, (spread, spread, 0), mode="nearest")
    return blurred


def _zoom_blur(pixels: Pixels, bound: float, step: float) -> Pixels:
    """The mean of an image and of magnifications of its centre."""
    factors = np.arange(1, bound, step)
    total = pixels.copy()
    for factor in factors:
        total += _magnified(pixels, float(factor))
    mean: Pixels = total / (len(factors) + 1)
    return mean


def _magnified(pixels: Pixels, factor: float) -> Pixels:
    """The centre of an image, magnified linearly: the corner pixels of the crop become those of the magnification."""
    size = len(pixels)
    crop = math.ceil(size / factor)
    first = (size - crop) // 2
    enlarged = round(crop * factor)
    place = (np.arange(size) + (enlarged - size) // 2) * ((crop - 1) / (enlarged - 1))
    low = np.minimum(place.astype(np.intp), crop - 2)
    share = place - low
    part = pixels[first : first + crop, first : first + crop]
    rows = part[low] + (part[low + 1] - part[low]) * share[:, None, None]
    columns: Pixels = rows[:, low] + (rows[:, low + 1] - rows[:, low]) * share[:, None]
    return columns


def _fog(pixels: Pixels, strength: float, decay: float, rng: np.random.Generator) -> Pixels:
    """Add a bright cloud and compress the result to the image's range."""
    brightest = pixels.max() / 255
    cloud = _plasma(max(SIZE, 1 << (len(pixels) - 1).bit_length()), decay, rng)[: len(pixels), : len(pixels)]
    foggy = pixels / 255 + strength * cloud[..., None]
    compressed: Pixels = np.clip(foggy * brightest / (brightest + strength), 0, 1) * 255
    return compressed


def _plasma(size: int, decay: float, rng: np.random.Generator) -> Pixels:
    """A random field by the diamond-square algorithm: `float64[size, size]` in [0, 1]; `size` is a power of two."""
    field = np.zeros((size, size))
    step, wibble = size, _WIBBLE

    def mean(total: Pixels) -> Pixels:
        return total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)

    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        field[half::step, half::step] = mean(pairs + np.roll(pairs, -1, axis=1))
        centres, corners = field[half::step, half::step], field[::step, ::step]
        field[::step, half::step] = mean(centres + np.roll(centres, 1, axis=0) + corners + np.roll(corners, -1, axis=1))
        field[half::step, ::step] = mean(centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=0))
        step //= 2
        wibble /= decay
    field -= field.min()
    field /= field.max()
    return field


def _glass_blur(pixels: Pixels, spread: float, reach: int, shuffles: int, rng: np.random.Generator) -> Pixels:
    blurred = np.floor(_gaussian(pixels, spread))
    size = len(pixels)
    last = round(size * _GLASS_SIZE / SIZE) - reach
    for _ in range(shuffles):
        source = shuffled(size, reach, last, rng.integers(-reach, reach, (2, size, size)))
        blurred = blurred.reshape(size * size, -1)[source].reshape(pixels.shape)
    return _gaussian(blurred, spread)


def shuffled(size: int, reach: int, last: int, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each pixel comes from when every pixel is overwritten, one after the other, by a neighbour.

    The pixels of rows and columns `last` to `reach + 1` are overwritten in falling order. ImageNet-C's code means to
    swap two pixels, but its NumPy views make that a copy. As a neighbour may have been overwritten before, a pixel can
    come from far away: its source is found by following the neighbours, in steps of doubled length.

    Args:
        size: side of the image (px).
        reach: largest displacement (px).
        last: last row and column that are overwritten.
        offsets: `int64[2, size, size]`, rows and columns to each pixel's neighbour.

    Returns:
        `int64[size * size]`, flat indices.
    """
    count = size * size
    rows, columns = np.divmod(np.arange(count), size)
    inside = (rows > reach) & (rows <= last) & (columns > reach) & (columns <= last)
    source = np.arange(count)
    source[inside] += (offsets[0].ravel() * size + offsets[1].ravel())[inside]
    # Nodes below `count` are pixels after their turn; those above are pixels before it, where a search ends.
    overwritten = inside[source] & (source > np.arange(count))
    follow = np.concatenate((np.where(overwritten, source, source + count), np.arange(count) + count))
    while (follow[:count] < count).any():
        follow = follow[follow]
    found: NDArray[np.int64] = follow[:count] - count
    return found
