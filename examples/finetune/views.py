"""The permitted changes of an image, for the visual consistency: simeval's own axes at low strengths.

Every strength is below s1, the smallest preset of its axis: brightness 0.85, noise 0.08, occlusion 0.05. So an
evaluation at s1 and beyond asks about strengths that the training never showed.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from perturbations.spec import parse

BRIGHTNESS = (0.88, 1.12)
NOISE = (0.0, 0.06)
OCCLUSION = (0.01, 0.04)
"""Smallest and largest value of each axis; a view draws one of each, the same for all cameras."""

_STREAM = 21_000_000
"""Of random numbers that no evaluation draws: its seeds are keyed otherwise."""


def permitted_condition(seed: int) -> str:
    """A condition within the permitted range, for instance `brightness:0.91+noise:0.034+occlusion:0.02`."""
    rng = np.random.default_rng((_STREAM, seed))
    brightness, noise, occlusion = (float(rng.uniform(*bounds)) for bounds in (BRIGHTNESS, NOISE, OCCLUSION))
    return f"brightness:{brightness:.4f}+noise:{noise:.4f}+occlusion:{occlusion:.4f}"


def permitted_view(images: NDArray[np.uint8], cameras: tuple[str, ...], seed: int) -> NDArray[np.uint8]:
    """Another view of a frame: `uint8[cameras, E, E, 3]` from the same.

    Args:
        images: one image per camera; not modified.
        cameras: their names.
        seed: seed of the strengths, the noise and the occluder's place.
    """

    def stream(name: str, camera: str, step: int) -> np.random.Generator:
        words = (zlib.crc32(word.encode()) for word in (name, camera))
        return np.random.default_rng((_STREAM, seed, *words, step))

    changed = parse(permitted_condition(seed)).start(stream).images(dict(zip(cameras, images, strict=True)), 0)
    return np.stack([changed[camera] for camera in cameras])


def permitted_views(images: NDArray[np.uint8], cameras: tuple[str, ...]) -> NDArray[np.uint8]:
    """One view per frame, seeded by its number: `uint8[n, cameras, E, E, 3]` from the same."""
    return np.stack([permitted_view(frame, cameras, number) for number, frame in enumerate(images)])
