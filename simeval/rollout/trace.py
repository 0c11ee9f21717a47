"""The trace of an episode: its states, actions and chunks, kept for videos and audits."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simeval.core.texts import well_formed
from simeval.policies.base import ActionChunk


@dataclass(frozen=True)
class Trace:
    """Everything needed to render an episode again, or to execute it again.

    Attributes:
        states: `float64[T + 1, n]`, `Env.state()` after settling and after each control step.
        actions: `float32[T, 7]`, as executed.
        chunks: `float32[C, K, 7]`, as predicted; NaN after the end of those that are shorter than the longest.
        chunk_steps: `int64[C]`, control steps executed before each prediction.
        instruction: the instruction the policy was given.
    """

    states: NDArray[np.float64]
    actions: NDArray[np.float32]
    chunks: NDArray[np.float32]
    chunk_steps: NDArray[np.int64]
    instruction: str

    @property
    def digest(self) -> str:
        """SHA-256 (16 hex digits) of the states after settling: the `state_digest` of the episode's row."""
        return hashlib.sha256(np.ascontiguousarray(self.states[1:])).hexdigest()[:16]

    def packed(self) -> "PackedTrace":
        """The trace as the bytes of its compressed `.npz` file."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            states=self.states,
            actions=self.actions,
            chunks=self.chunks,
            chunk_steps=self.chunk_steps,
            instruction=np.asarray(well_formed(self.instruction)),
        )
        return PackedTrace(buffer.getvalue())

    def save(self, path: Path) -> None:
        """Write a compressed `.npz`, complete or not at all."""
        self.packed().save(path)

    @staticmethod
    def load(path: Path) -> "Trace":
        """Read a stored trace.

        Raises:
            OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error: the file is missing or not a trace.
        """
        with np.load(path, allow_pickle=False) as data:
            return Trace(data["states"], data["actions"], data["chunks"], data["chunk_steps"], str(data["instruction"]))


@dataclass(frozen=True)
class PackedTrace:
    """A trace as the bytes of its file. Workers pack: compression takes longer than all else the writer does."""

    data: bytes

    def save(self, path: Path) -> None:
        """Write the file, complete or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")  # a second attempt reuses the name, so none is left behind
        try:
            partial.unlink(missing_ok=True)  # a link of that name would be written through
            partial.write_bytes(self.data)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


class Recorder(Protocol):
    """Receives what the loop does, part by part."""

    def start(self, instruction: str, state: NDArray[np.float64]) -> None:
        """Called once, with the instruction and the settled state."""

    def part(
        self, step: int, chunk: ActionChunk | None, actions: NDArray[np.float32], states: NDArray[np.float64]
    ) -> None:
        """Called after a part of the episode.

        Args:
            step: control steps executed before it.
            chunk: what the policy predicted at its start; `None` if it was not asked then.
            actions: `float32[T, action_size]`, as executed.
            states: the states that they led to.
        """


@dataclass
class TraceRecorder:
    """Collects a `Trace`."""

    instruction: str = ""
    states: list[NDArray[np.float64]] = field(default_factory=list)
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    chunks: list[ActionChunk] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def start(self, instruction: str, state: NDArray[np.float64]) -> None:
        """See `Recorder`."""
        self.instruction, self.states = instruction, [state[None].copy()]

    def part(
        self, step: int, chunk: ActionChunk | None, actions: NDArray[np.float32], states: NDArray[np.float64]
    ) -> None:
        """See `Recorder`."""
        self.states.append(states)
        self.actions.append(actions)
        if chunk is not None:
            self.chunks.append(chunk)
            self.steps.append(step)

    def trace(self) -> Trace | None:
        """The collected trace; `None` if the episode broke before its first chunk."""
        if not self.chunks:
            return None
        return Trace(
            np.concatenate(self.states),
            np.concatenate(self.actions).astype(np.float32),
            _stacked(self.chunks),
            np.asarray(self.steps, np.int64),
            self.instruction,
        )


def predicted(chunk: NDArray[np.float32]) -> ActionChunk:
    """A chunk of a trace as the policy predicted it, without what was filled up."""
    return chunk[~np.isnan(chunk).any(axis=1)]


def _stacked(chunks: Sequence[ActionChunk]) -> NDArray[np.float32]:
    """Chunks as one array; a policy may predict more actions at one step than at another."""
    stacked = np.full((len(chunks), max(map(len, chunks)), chunks[0].shape[1]), np.nan, np.float32)
    for row, chunk in zip(stacked, chunks, strict=True):
        row[: len(chunk)] = chunk
    return stacked
