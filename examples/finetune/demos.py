"""Demonstrations in one file: small enough to carry, quick to load.

The images of each camera are one H.264 video without chroma subsampling (about 45 dB, 3 kB per pair of 128 px), and the
rest are arrays. `collect` makes such a file.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simeval.core.files import replace_file

CAMERAS = ("agentview", "wrist")
"""Of LIBERO's suites, in the order of the images."""

_ENCODER = {"crf": "13", "preset": "slow", "g": "60"}


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Frames of demonstrations.

    Attributes:
        images: `uint8[n, cameras, E, E, 3]`.
        states: `float32[n, 8]`.
        actions: `float32[n, T, 7]`, the expert's from each frame on.
        valid: `bool[n, T]`, whether the expert acted in that step.
        episodes: `int64[n]`, number of each frame's episode.
        instructions: `int64[n]`, index in `texts`.
        conflicts: `bool[n, texts]`, instructions that ask for another goal of the frame's scene.
        texts: the instructions.
        sha256: of the file.
    """

    images: NDArray[np.uint8]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    valid: NDArray[np.bool_]
    episodes: NDArray[np.int64]
    instructions: NDArray[np.int64]
    conflicts: NDArray[np.bool_]
    texts: tuple[str, ...]
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.states)

    def split(self, held_out: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of the frames for training, and of those of every n-th episode, which are held out.

        Args:
            held_out: n; 0 to hold out nothing.
        """
        apart = self.episodes % held_out == held_out - 1 if held_out else np.zeros(len(self), bool)
        return np.flatnonzero(~apart), np.flatnonzero(apart)


def save_demonstrations(demonstrations: Demonstrations, file: Path) -> None:
    """Write the file, complete or not at all."""
    arrays: dict[str, Any] = {
        name: getattr(demonstrations, name)
        for name in ("states", "actions", "valid", "episodes", "instructions", "conflicts")
    }
    for index, camera in enumerate(CAMERAS):
        arrays[camera] = np.frombuffer(_encoded(demonstrations.images[:, index]), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, texts=np.array(demonstrations.texts), **arrays)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, stream.getvalue())


def load_demonstrations(file: Path) -> Demonstrations:
    """Read a file; takes seconds.

    Raises:
        ValueError: it is no file of demonstrations; one line.
    """
    try:
        data = file.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        images = np.stack([_decoded(arrays.pop(camera).tobytes()) for camera in CAMERAS], 1)
        texts = tuple(map(str, arrays.pop("texts")))
        read = Demonstrations(images, texts=texts, sha256=hashlib.sha256(data).hexdigest(), **arrays)
    except OSError as error:
        raise ValueError(f"demonstrations: {file} cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"demonstrations: {file} is no file that examples.finetune.collect wrote") from error
    if not len(images) == len(read):
        raise ValueError(f"demonstrations: {file} has {len(read)} frames and {len(images)} images; make it again")
    return read


def joined(parts: Sequence[Demonstrations]) -> Demonstrations:
    """Several sets as one, for instance of two suites: episodes are numbered on, instructions keep their conflicts."""
    texts = tuple(dict.fromkeys(text for part in parts for text in part.texts))
    offsets = np.cumsum([0, *(int(part.episodes[-1]) + 1 for part in parts)])
    places = [np.array([texts.index(text) for text in part.texts]) for part in parts]
    conflicts = []
    for part, place in zip(parts, places, strict=True):
        wide = np.zeros((len(part), len(texts)), bool)
        wide[:, place] = part.conflicts
        conflicts.append(wide)
    return Demonstrations(
        images=np.concatenate([part.images for part in parts]),
        states=np.concatenate([part.states for part in parts]),
        actions=np.concatenate([part.actions for part in parts]),
        valid=np.concatenate([part.valid for part in parts]),
        episodes=np.concatenate([part.episodes + offset for part, offset in zip(parts, offsets[:-1], strict=True)]),
        instructions=np.concatenate([place[part.instructions] for part, place in zip(parts, places, strict=True)]),
        conflicts=np.concatenate(conflicts),
        texts=texts,
        sha256="+".join(part.sha256 for part in parts),
    )


def _encoded(frames: NDArray[np.uint8]) -> bytes:
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska", container_options={"fflags": "bitexact"}) as out:
        video = out.add_stream("libx264", rate=10, options=_ENCODER)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv444p"
        video.thread_count = 1  # so that the file is a function of the frames
        for frame in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(video.encode())
    return stream.getvalue()


def _decoded(data: bytes) -> NDArray[np.uint8]:
    import av

    with av.open(io.BytesIO(data)) as source:
        source.streams.video[0].thread_type = "AUTO"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)])
