"""Hidden states of a policy on a set of frames, pooled: per layer one vector of the frame and one per object.

Non-obvious behaviour:
- An object's vector is the mean over regions, weighted by how much of each its mask covers. A region of 32 x 32 px also
  holds what stands beside the object.
- `pixels` is no layer but the baseline: what a linear probe reads from the small image itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError, error_line
from simeval.policies.hidden_states import HiddenStates, ReadablePolicy
from simeval.probing.frame_set import FrameSet, read_arrays, write_arrays
from simeval.stats.pointing import coverage

PIXELS = "pixels"
PATCH = 4
"""Side of a region in the baseline (px): regions are shrunk to it."""
SMALL = 8
"""Side of the whole image in the baseline (px)."""
MIN_PIXELS = 20
"""Objects of which fewer pixels are visible, over all cameras, have no vector. Our choice."""
CALL = 16
"""Frames per call of a policy; bounds the memory."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LayerVectors:
    """Vectors of one layer.

    Attributes:
        name: see `simeval.policies.hidden_states.Layer`, or `PIXELS`.
        frames: `float32[n, d]`.
        objects: `float32[n, objects, e]`, 0 for objects that are not visible; `None` in the action expert.
    """

    name: str
    frames: Floats
    objects: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What a policy makes of a set of frames.

    Attributes:
        condition: of the frames.
        layers: in order.
        attention: `float32[n, cameras, h, w]`, see `simeval.policies.representations.Representation`.
        words: `float32[n]`, attention on the instruction.
        covered: `float32[n, objects, cameras, h, w]`, share of each region that an object covers.
        visible: `bool[n, objects]`, whether enough of an object is.
    """

    condition: str
    layers: tuple[LayerVectors, ...]
    attention: Floats
    words: Floats
    covered: Floats
    visible: NDArray[np.bool_]


def read_policy(policy: ReadablePolicy, found: FrameSet) -> Vectors:
    """Read a policy on a set of at least one frame.

    Raises:
        ConfigError: the policy raised an error.
    """
    states: list[_Pooled] = []
    masks = iter(found.masks)
    for inputs in batched(found.inputs(), CALL):
        try:
            hidden = policy.hidden_states(inputs)
        except ConfigError:
            raise
        except Exception as error:  # a checkpoint's network may raise anything
            raise ConfigError(f"policy '{policy.spec.name}' under {found.condition}: {error_line(error)}") from error
        states += [_pool(one, next(masks)) for one in hidden]
    layers = [
        LayerVectors(
            name,
            np.stack([one.frames[k] for one in states]),
            None if states[0].objects[k] is None else np.stack([one.objects[k] for one in states]),  # type: ignore[misc]
        )
        for k, name in enumerate(states[0].names)
    ]
    return Vectors(
        condition=found.condition,
        layers=tuple(layers),
        attention=np.stack([one.attention for one in states]),
        words=np.array([one.words for one in states], np.float32),
        covered=np.stack([one.covered for one in states]),
        visible=found.masks.sum(axis=(2, 3, 4)) >= MIN_PIXELS,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pooled:
    names: tuple[str, ...]
    frames: tuple[Floats, ...]
    objects: tuple[Floats | None, ...]
    attention: Floats
    words: float
    covered: Floats


def _pool(states: HiddenStates, masks: NDArray[np.bool_]) -> _Pooled:
    side = states.representation.attention.shape[-1]
    covered = covered_regions(masks, side)
    return _Pooled(
        tuple(layer.name for layer in states.layers),
        tuple(layer.pooled for layer in states.layers),
        tuple(None if layer.regions is None else of_objects(layer.regions, covered) for layer in states.layers),
        states.representation.attention,
        states.representation.attention_language,
        covered,
    )


def covered_regions(masks: NDArray[np.bool_], side: int) -> Floats:
    """Share of each region that each object covers: `float32[objects, cameras, side, side]`, from its masks."""
    flat = [coverage(mask, side) for mask in masks.reshape(-1, *masks.shape[2:])]
    return np.stack(flat).astype(np.float32).reshape(*masks.shape[:2], side, side)


def of_objects(regions: Floats, covered: Floats) -> Floats:
    """Mean over regions, weighted by what an object covers: `float32[objects, d]`; zeros for what is not visible."""
    weights = covered.reshape(len(covered), -1).astype(np.float64)
    total = weights.sum(axis=1, keepdims=True)
    tokens = regions.reshape(-1, regions.shape[-1]).astype(np.float64)
    return np.asarray(weights @ tokens / np.where(total > 0, total, 1.0), np.float32)


def of_pixels(found: FrameSet, covered: Floats) -> LayerVectors:
    """The baseline: the small image, and the small patches of an object's regions."""
    side = covered.shape[-1]
    frames, objects = [], []
    for images, share in zip(found.images, covered, strict=True):
        squares = [_square(image) for image in images]
        frames.append(np.concatenate([_shrunk(square, SMALL).ravel() for square in squares]))
        patches = [
            _shrunk(square, side * PATCH).reshape(side, PATCH, side, PATCH, 3).swapaxes(1, 2).reshape(side, side, -1)
            for square in squares
        ]
        objects.append(of_objects(np.stack(patches), share))
    return LayerVectors(PIXELS, np.array(frames, np.float32), np.array(objects, np.float32))


def _square(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    edge = max(height, width)
    square = np.zeros((edge, edge, 3), np.uint8)
    square[edge - height :, edge - width :] = image
    return square


def _shrunk(image: NDArray[np.uint8], side: int) -> Floats:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) / 255, np.float32)


def write(path: Path, vectors: Vectors) -> None:
    """Store vectors.

    Raises:
        ConfigError: the file cannot be written.
    """
    meta = {
        "condition": vectors.condition,
        "layers": [[layer.name, layer.objects is not None] for layer in vectors.layers],
    }
    arrays = {f"frames_{k}": layer.frames for k, layer in enumerate(vectors.layers)}
    arrays |= {f"objects_{k}": layer.objects for k, layer in enumerate(vectors.layers) if layer.objects is not None}
    rest = {name: getattr(vectors, name) for name in _ARRAYS}
    write_arrays(path, meta, **arrays, **rest)


_ARRAYS = ("attention", "words", "covered", "visible")


def read(path: Path) -> Vectors:
    """Stored vectors.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    meta, arrays = read_arrays(path)
    layers = [
        LayerVectors(name, arrays[f"frames_{k}"], arrays[f"objects_{k}"] if has_objects else None)
        for k, (name, has_objects) in enumerate(meta["layers"])
    ]
    return Vectors(meta["condition"], tuple(layers), **{name: arrays[name] for name in _ARRAYS})


def layer_names(vectors: Sequence[Vectors]) -> Iterator[str]:
    """Names of the layers that any of them has, in order."""
    yield from dict.fromkeys(layer.name for one in vectors for layer in one.layers)
