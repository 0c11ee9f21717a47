"""Policies without a network: `zero`, `random` and `seeker`.

`zero` and `random` are the baseline that a trained policy must beat. `seeker` solves the toy suite from images: with it
a whole study, including perturbed images and changed instructions, runs in seconds without a GPU.

Non-obvious behaviour:
    - `seeker` has the pose of the agentview camera of `envs.toy.env` built in, as a trained policy does. If a
      perturbation moves that camera, it reaches beside the block.
    - Its thresholds are fixed. In images that are too dark, too grey or too noisy it finds no block and stays still.
    - If the instruction names several colours, the first one counts.
"""

import re
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.interface import ACTION_SIZE, LIBERO_INTERFACE, Interface
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec

CHUNK = 10
"""Actions per chunk of all three policies."""

_OPEN = -1.0

_HUES: Mapping[str, tuple[int, int]] = {"red": (-8, 8), "yellow": (20, 34), "green": (48, 80), "blue": (100, 125)}
"""Hue range of each colour (OpenCV's half degrees); negative hues wrap around."""

# Thresholds. In clean images saturation is at most 38 on the table and at least 200 on blocks, whose darkest sides have
# a value of 59.
_MIN_SATURATION = 110
_MIN_VALUE = 60
_MIN_AREA = 0.001
"""Smallest area of a block, as a fraction of the image. An unoccluded block covers 0.0035 to 0.01."""

# The agentview camera and the sizes of `envs.toy.env`; the policy's tests compare them with that scene.
_CAMERA = np.array([0.62, 0.0, 0.62])
_RIGHT = np.array([0.0, 1.0, 0.0])
_UP = np.array([-np.sqrt(0.5), 0.0, np.sqrt(0.5)])
_FOVY = np.deg2rad(45)
_BLOCK_CENTER = 0.0225
_STEP = 0.01

_TOUCH_HEIGHT = 0.03
"""Target height of the tip (m): inside the block, so that the tip does not stop short of it."""

_DESCENT_RADIUS = 0.02
"""Distance from the block's axis (m) within which the tip descends; further away it stays above the blocks."""


class ZeroPolicy:
    """Never moves, gripper open."""

    def __init__(self, interface: Interface = LIBERO_INTERFACE) -> None:
        self.spec = _blind("zero", interface)

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Return the same idle chunk for every input."""
        return [_still(self.spec.action_size) for _ in inputs]


class RandomPolicy:
    """Uniform random actions, seeded by the input's noise seed."""

    def __init__(self, interface: Interface = LIBERO_INTERFACE) -> None:
        self.spec = _blind("random", interface)

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Sample every action and dimension independently from [-1, 1]."""
        return [_uniform(request.noise_seed, self.spec.action_size) for request in inputs]


class SeekerPolicy:
    """Finds the colour that the instruction names in the agentview image, and moves the tip there."""

    spec = PolicySpec("seeker", n_action_steps=6, cameras=("agentview",))

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Move to the named block; idle if the instruction names none or the image shows none."""
        return [_seek(request) for request in inputs]


def find_color(image: NDArray[np.uint8], color: str) -> tuple[float, float] | None:
    """Find the largest region of a colour.

    Args:
        image: `uint8[H, W, 3]`, RGB.
        color: `red`, `yellow`, `green` or `blue`.

    Returns:
        Column and row of its centroid (px; the image's corner is 0, 0), or `None` if the region is too small.
    """
    hue, saturation, value = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), -1, 0)
    low, high = _HUES[color]
    in_range = (hue.astype(int) - low) % 180 <= high - low
    mask = in_range & (saturation >= _MIN_SATURATION) & (value >= _MIN_VALUE)
    _, _, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if areas.size == 0 or areas.max() < _MIN_AREA * mask.size:
        return None
    column, row = centroids[1 + areas.argmax()]
    return float(column) + 0.5, float(row) + 0.5


def locate(pixel: tuple[float, float], height: int, width: int) -> NDArray[np.float64]:
    """Position of a block from the pixel of its centre in the agentview image.

    Args:
        pixel: column and row (px; the image's corner is 0, 0).
        height: height of the image (px).
        width: width of the image (px).

    Returns:
        `float64[2]`: x and y of the block's centre (m).
    """
    column, row = pixel
    scale = 2 * np.tan(_FOVY / 2) / height
    ray = np.cross(_UP, _RIGHT) + scale * ((column - width / 2) * _RIGHT - (row - height / 2) * _UP)
    point: NDArray[np.float64] = _CAMERA + ray * (_BLOCK_CENTER - _CAMERA[2]) / ray[2]
    return point[:2]


def _blind(name: str, interface: Interface) -> PolicySpec:
    return PolicySpec(name, CHUNK, cameras=(), action_size=interface.action_size, state_size=interface.state_size)


def _still(size: int = ACTION_SIZE) -> ActionChunk:
    chunk = np.zeros((CHUNK, size), np.float32)
    chunk[:, -1] = _OPEN
    return chunk


def _uniform(noise_seed: int, size: int) -> ActionChunk:
    rng = np.random.Generator(np.random.Philox(noise_seed))
    return rng.uniform(-1, 1, (CHUNK, size)).astype(np.float32)


def _seek(request: PolicyInput) -> ActionChunk:
    color = re.search(rf"\b({'|'.join(_HUES)})\b", request.instruction.lower())
    if color is None:
        return _still()
    image = request.observation.images["agentview"]
    pixel = find_color(image, color[1])
    if pixel is None:
        return _still()
    return _approach(request.observation.state[:3].astype(np.float64), locate(pixel, *image.shape[:2]))


def _approach(tip: NDArray[np.float64], block: NDArray[np.float64]) -> ActionChunk:
    """Move the tip (x, y, z; m) at its height to the block (x, y), then down onto it."""
    chunk = _still()
    for action in chunk:
        near = np.linalg.norm(block - tip[:2]) < _DESCENT_RADIUS
        target = np.array([*block, _TOUCH_HEIGHT if near else tip[2]])
        move = np.clip((target - tip) / _STEP, -1, 1)
        action[:3] = move
        tip = tip + move * _STEP
    return chunk
