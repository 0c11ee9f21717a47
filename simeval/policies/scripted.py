"""Policies without a network: `zero`, `random` and `seeker`.

`zero` and `random` are the floor that a trained policy must clear. `seeker` solves the toy suite with its eyes: it
exists so that a whole study, perturbed pictures and changed instructions included, runs in seconds without a GPU.

Non-obvious behaviour:
    - `seeker` knows the agentview camera of `envs.toy.env` by heart, as a trained policy does. It does not notice when
      a perturbation moves that camera, and reaches beside the block.
    - Its thresholds are fixed. Pictures that are too dark, too grey or too noisy hide the block; it then stays still.
    - Where the instruction names several colours, the first counts.
"""

import re
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.base import ACTION_SIZE
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec

CHUNK = 10
"""Actions per chunk of all three."""

_OPEN = -1.0

_HUES: Mapping[str, tuple[int, int]] = {"red": (-8, 8), "yellow": (20, 34), "green": (48, 80), "blue": (100, 125)}
"""Range of hues of each colour (OpenCV's half degrees); negative ones wrap around."""

# Thresholds between what clean pictures show: saturation 38 at most on the table and 200 at least on blocks, whose
# darkest sides have a value of 59.
_MIN_SATURATION = 110
_MIN_VALUE = 60
_MIN_AREA = 0.001
"""Least area of a block, as a fraction of the picture. A block in plain sight covers 0.0035 to 0.01."""

# The agentview camera and the sizes of `envs.toy.env`; the policy's tests hold them against that scene.
_CAMERA = np.array([0.62, 0.0, 0.62])
_RIGHT = np.array([0.0, 1.0, 0.0])
_UP = np.array([-np.sqrt(0.5), 0.0, np.sqrt(0.5)])
_FOVY = np.deg2rad(45)
_BLOCK_CENTER = 0.0225
_STEP = 0.01

_TOUCH_HEIGHT = 0.03
"""Height of the tip (m) that it goes down to: inside the block, so that it does not stop short of it."""

_DESCENT_RADIUS = 0.02
"""Distance from the block's axis (m) within which it goes down; further away it keeps its height, above all blocks."""


class ZeroPolicy:
    """Never moves, gripper open."""

    spec = PolicySpec("zero", CHUNK, cameras=())

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """The same idle chunk for everyone."""
        return [_still() for _ in inputs]


class RandomPolicy:
    """Uniform actions, drawn from the input's noise seed."""

    spec = PolicySpec("random", CHUNK, cameras=())

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """One independent draw per action and dimension, in [-1, 1]."""
        return [_uniform(request.noise_seed) for request in inputs]


class SeekerPolicy:
    """Finds the colour named in the instruction in the agentview picture, and moves the tip there."""

    spec = PolicySpec("seeker", n_action_steps=6, cameras=("agentview",))

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """The way to the named block; idle where the instruction or the picture shows none."""
        return [_seek(request) for request in inputs]


def find_color(image: NDArray[np.uint8], color: str) -> tuple[float, float] | None:
    """The middle of what has a colour.

    Args:
        image: `uint8[H, W, 3]`, RGB.
        color: `red`, `yellow`, `green` or `blue`.

    Returns:
        Column and row of its centroid (px; the picture's corner is 0, 0), or `None` if too little has the colour.
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
    """Where a block stands whose middle is seen at a pixel of the agentview picture.

    Args:
        pixel: column and row (px; the picture's corner is 0, 0).
        height: of the picture (px).
        width: of the picture (px).

    Returns:
        `float64[2]`: x and y of the block's middle (m).
    """
    column, row = pixel
    scale = 2 * np.tan(_FOVY / 2) / height
    ray = np.cross(_UP, _RIGHT) + scale * ((column - width / 2) * _RIGHT - (row - height / 2) * _UP)
    point: NDArray[np.float64] = _CAMERA + ray * (_BLOCK_CENTER - _CAMERA[2]) / ray[2]
    return point[:2]


def _still() -> ActionChunk:
    chunk = np.zeros((CHUNK, ACTION_SIZE), np.float32)
    chunk[:, -1] = _OPEN
    return chunk


def _uniform(noise_seed: int) -> ActionChunk:
    draw = np.random.Generator(np.random.Philox(noise_seed))
    return draw.uniform(-1, 1, (CHUNK, ACTION_SIZE)).astype(np.float32)


def _seek(request: PolicyInput) -> ActionChunk:
    named = re.search(rf"\b({'|'.join(_HUES)})\b", request.instruction.lower())
    if named is None:
        return _still()
    image = request.observation.images["agentview"]
    pixel = find_color(image, named[1])
    if pixel is None:
        return _still()
    return _approach(request.observation.state[:3].astype(np.float64), locate(pixel, *image.shape[:2]))


def _approach(tip: NDArray[np.float64], block: NDArray[np.float64]) -> ActionChunk:
    """Across to the block (x, y) at the tip's height (x, y, z; m), then down on it."""
    chunk = _still()
    for action in chunk:
        near = np.linalg.norm(block - tip[:2]) < _DESCENT_RADIUS
        target = np.array([*block, _TOUCH_HEIGHT if near else tip[2]])
        move = np.clip((target - tip) / _STEP, -1, 1)
        action[:3] = move
        tip = tip + move * _STEP
    return chunk
