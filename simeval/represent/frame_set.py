"""Frames under one condition, with their truth: rendered once, so that all policies get the same bytes.

set = draw(source, condition, seed, clean)     write(path, set)     read(path)
"""

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Observation
from perturbations.condition import Condition
from simeval.core.errors import ConfigError
from simeval.core.files import whole_file
from simeval.core.texts import shown
from simeval.drift.frames.base import PolicyView
from simeval.drift.frames.from_run import RunFrames
from simeval.policies.base import PolicyInput
from simeval.represent.truth import Truth, truths

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

    def masks_by_frame(self) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """The masks of each frame by object."""
        return {
            info.id: dict(zip(info.objects, masks, strict=False))
            for info, masks in zip(self.frames, self.masks, strict=True)
        }

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


def draw(source: RunFrames, condition: Condition, seed: int, clean: FrameSet | None) -> FrameSet:
    """Render all frames of a source under a condition.

    Args:
        source: of the frames.
        condition: a supported condition.
        seed: root of the random streams.
        clean: the clean frames: where a condition leaves the scene as it is, their positions and masks are used.

    Raises:
        ConfigError: a frame cannot be rendered.
    """
    listed = source.frames()
    known = {} if clean is None or condition.scene_cameras else clean.masks_by_frame()
    views = source.views(listed, condition, seed)
    found = truths(source, listed, condition, seed, known)
    kept = [(view, truth) for view, truth in zip(views, found, strict=True) if truth and not view.infeasible]
    cameras = source.policy.cameras
    if not kept:
        return _empty(str(condition), cameras, len(listed))
    truth_of = [_leading(truth) for _, truth in kept]
    count = max(len(truth.objects) for truth in truth_of)
    shape = truth_of[0].masks.shape[1:]
    positions = np.full((len(kept), count, 3), np.nan)
    masks = np.zeros((len(kept), count, *shape), bool)
    for k, truth in enumerate(truth_of):
        positions[k, : len(truth.objects)] = truth.positions
        masks[k, : len(truth.objects)] = truth.masks
    requests = [view.request for view, _ in kept]
    return FrameSet(
        condition=str(condition),
        cameras=cameras,
        frames=tuple(_info(view, truth) for (view, _), truth in zip(kept, truth_of, strict=True)),
        infeasible=len(listed) - len(kept),
        images=np.stack([np.stack([one.observation.images[c] for c in cameras]) for one in requests]),
        states=np.stack([one.observation.state for one in requests]),
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


def _empty(condition: str, cameras: tuple[str, ...], infeasible: int) -> FrameSet:
    images, states = np.zeros((0, len(cameras), 1, 1, 3), np.uint8), np.zeros((0, 0), np.float32)
    masks = np.zeros((0, 0, len(cameras), 1, 1), bool)
    return FrameSet(condition, cameras, (), infeasible, images, states, np.zeros((0, 0, 3)), masks)


def write_arrays(path: Path, meta: dict[str, Any], **arrays: NDArray[Any]) -> None:
    """Write arrays and what describes them as one file, whole or not at all; the same bytes for the same contents.

    Raises:
        ConfigError: the file cannot be written.
    """
    text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            np.savez_compressed(partial, allow_pickle=False, meta=text, **arrays)
    except OSError as error:
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
            f"{path}: cannot be read ({shown(error, 80)}); delete it, and the same command makes it"
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
