"""Frames under conditions, with their truth: rendered once, so that all policies get the same bytes.

set = draw(source, condition, seed, clean)     write(path, set)     read(path)
"""

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Observation
from perturbations.condition import Condition
from simeval.core.errors import ConfigError
from simeval.core.files import FULL, whole_file
from simeval.core.texts import shown
from simeval.drift.frames.base import PolicyView
from simeval.drift.frames.from_run import RunFrames
from simeval.policies.base import PolicyInput
from simeval.probing.truth import Truth, truths

MAX_OBJECTS = 16
"""Most objects of a frame that are kept; the named ones come first."""


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """What is known about one frame besides its arrays; see `simeval.drift.frames.base.Frame`.

    Attributes:
        id: of the frame.
        suite, task: of its episode.
        cluster: its initial state.
        pair_id, chunk, noise_seed: of the policy's input.
        instruction: that the policy gets.
        label: which instruction that is; empty if none.
        objects: names, in the order of the arrays.
        named: which of them the instruction asks to move.
    """

    id: str
    suite: str
    task: int
    cluster: str
    pair_id: str
    chunk: int
    noise_seed: int
    instruction: str
    label: str
    objects: tuple[str, ...]
    named: tuple[bool, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FrameSet:
    """Frames under one condition.

    Attributes:
        condition: canonical text.
        cameras: in the order of the arrays.
        frames: what is known about each.
        infeasible: number of frames that the condition cannot be applied to; they are left out.
        images: `uint8[n, cameras, H, W, 3]`.
        states: `float32[n, s]`.
        positions: `float64[n, objects, 3]`, metres; NaN for objects that are not there.
        masks: `bool[n, objects, cameras, H, W]`.
    """

    condition: str
    cameras: tuple[str, ...]
    frames: tuple[FrameInfo, ...]
    infeasible: int
    images: NDArray[np.uint8]
    states: NDArray[np.float32]
    positions: NDArray[np.float64]
    masks: NDArray[np.bool_]

    def inputs(self) -> list[PolicyInput]:
        """The inputs of a policy."""
        return [
            PolicyInput(
                observation=Observation(dict(zip(self.cameras, images, strict=True)), state, 0),
                instruction=info.instruction,
                pair_id=info.pair_id,
                chunk_index=info.chunk,
                noise_seed=info.noise_seed,
            )
            for info, images, state in zip(self.frames, self.images, self.states, strict=True)
        ]


def draw(source: RunFrames, conditions: Sequence[Condition], seed: int) -> list[FrameSet]:
    """Render all frames of a source under conditions. Each episode is executed again once, for all of them.

    Args:
        source: of the frames.
        conditions: supported ones, the clean one first.
        seed: root of the random streams.

    Raises:
        ConfigError: a frame cannot be rendered.
    """
    kept: list[list[tuple[PolicyView, Truth]]] = [[] for _ in conditions]
    for _, group in groupby(source.frames(), key=lambda frame: frame.pair_id):
        members = list(group)
        known: dict[str, dict[str, NDArray[np.bool_]]] = {}
        for condition, rows in zip(conditions, kept, strict=True):
            # Where a condition leaves the scene as it is, objects are where they are in the clean frame.
            masks = {} if condition.scene_cameras else known
            views = source.views(members, condition, seed)
            for view, truth in zip(views, truths(source, members, condition, seed, masks), strict=True):
                if truth and not view.infeasible:
                    rows.append((view, _leading(truth)))
                    if condition.is_clean:
                        known[view.frame.id] = dict(zip(truth.objects, truth.masks, strict=True))
    listed = len(source.frames())
    return [_set(str(one), source.policy.cameras, rows, listed) for one, rows in zip(conditions, kept, strict=True)]


def _set(condition: str, cameras: tuple[str, ...], rows: Sequence[tuple[PolicyView, Truth]], listed: int) -> FrameSet:
    if not rows:
        images, states = np.zeros((0, len(cameras), 1, 1, 3), np.uint8), np.zeros((0, 0), np.float32)
        nothing = np.zeros((0, 0, len(cameras), 1, 1), bool)
        return FrameSet(condition, cameras, (), listed, images, states, np.zeros((0, 0, 3)), nothing)
    count = max(len(truth.objects) for _, truth in rows)
    positions = np.full((len(rows), count, 3), np.nan)
    masks = np.zeros((len(rows), count, *rows[0][1].masks.shape[1:]), bool)
    for k, (_, truth) in enumerate(rows):
        positions[k, : len(truth.objects)] = truth.positions
        masks[k, : len(truth.objects)] = truth.masks
    seen = [view.request.observation for view, _ in rows]
    return FrameSet(
        condition=condition,
        cameras=cameras,
        frames=tuple(_info(view, truth) for view, truth in rows),
        infeasible=listed - len(rows),
        images=np.stack([np.stack([one.images[camera] for camera in cameras]) for one in seen]),
        states=np.stack([one.state for one in seen]),
        positions=positions,
        masks=masks,
    )


def _info(view: PolicyView, truth: Truth) -> FrameInfo:
    frame, request = view.frame, view.request
    return FrameInfo(
        id=frame.id,
        suite=frame.suite,
        task=frame.task or 0,
        cluster=frame.cluster,
        pair_id=request.pair_id,
        chunk=request.chunk_index,
        noise_seed=request.noise_seed,
        instruction=request.instruction,
        label=truth.label,
        objects=truth.objects,
        named=truth.named,
    )


def _leading(truth: Truth) -> Truth:
    """At most `MAX_OBJECTS`, the named ones among them, in the order of the scene."""
    order = sorted(range(len(truth.objects)), key=lambda k: (not truth.named[k], k))[:MAX_OBJECTS]
    order.sort()
    return Truth(
        tuple(truth.objects[k] for k in order),
        tuple(truth.named[k] for k in order),
        truth.label,
        truth.positions[order],
        truth.masks[order],
    )


def write_arrays(path: Path, meta: dict[str, Any], **arrays: NDArray[Any]) -> None:
    """Write arrays and what describes them as one file, whole or not at all; the same bytes for the same contents.

    Raises:
        ConfigError: the file cannot be written.
        OSError: the disk is full.
    """
    text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            np.savez_compressed(partial, allow_pickle=False, meta=text, **arrays)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise ConfigError(f"{path}: {error.strerror or error}") from None


def read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `write_arrays` wrote.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return json.loads(arrays.pop("meta").tobytes()), arrays
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(
            f"{path}: cannot be read ({shown(error, 80)}); delete it and repeat the command that made it"
        ) from None


def write(path: Path, found: FrameSet) -> None:
    """Store frames.

    Raises:
        ConfigError: the file cannot be written.
    """
    meta = {
        "condition": found.condition,
        "cameras": list(found.cameras),
        "infeasible": found.infeasible,
        "frames": [asdict(info) for info in found.frames],
        "mask_shape": list(found.masks.shape),
    }
    packed = np.packbits(found.masks.reshape(-1))
    arrays: dict[str, NDArray[Any]] = {"images": found.images, "states": found.states, "positions": found.positions}
    write_arrays(path, meta, masks=packed, **arrays)


def read(path: Path) -> FrameSet:
    """Stored frames.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    meta, arrays = read_arrays(path)
    shape = tuple(meta["mask_shape"])
    masks = np.unpackbits(arrays["masks"], count=int(np.prod(shape))).astype(bool).reshape(shape)
    infos = tuple(
        FrameInfo(**{**info, "objects": tuple(info["objects"]), "named": tuple(info["named"])})
        for info in meta["frames"]
    )
    images, states, positions = (arrays[name] for name in ("images", "states", "positions"))
    return FrameSet(
        meta["condition"], tuple(meta["cameras"]), infos, meta["infeasible"], images, states, positions, masks
    )
