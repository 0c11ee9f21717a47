"""The contracts of an audit: frames, what a policy would get of them under a condition, and the rows that come of it.

    source.frames() -> source.views(frames, condition, seed) -> policy -> DriftRow

A frame belongs to a state of the world; a view is the policy's input at that state under a condition. All views of a
frame with the same seed share one sampling noise, so that `none` twice drifts by exactly 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from perturbations.condition import Condition
from simeval.core.drift_row import Source
from simeval.policies.base import ActionChunk, PolicyInput

FLOOR_STREAM = 1
"""Marks the streams of that other noise."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One state of the world at which a policy is asked.

    Attributes:
        id: unique in the audit, for instance `libero_spatial/3/init07/r0@16` or `episode 4@17`.
        source: where it is from.
        cluster: what would be drawn anew if the audit were repeated: the episode or the pair that it belongs to.
        step: control steps (dataset: frames) since the episode's first policy frame.
        chunk: chunks that the episode had before this frame.
        suite: suite name, empty for a dataset.
        task: task index, `None` for a dataset.
        pair_id: of the run's pair that it belongs to, `None` for a dataset.
    """

    id: str
    source: Source
    cluster: str
    step: int
    chunk: int = 0
    suite: str = ""
    task: int | None = None
    pair_id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PolicyView:
    """What the policy gets of a frame under a condition.

    Attributes:
        frame: the frame.
        request: the policy's input.
        mean_abs: mean absolute difference of its pictures to the clean ones (levels of 255), over the cameras of the
            policy; 0 where nothing differs.
        psnr: the same as peak signal-to-noise ratio (dB); `None` where nothing differs.
        infeasible: why the condition cannot be applied here; empty if it can. `request` is then the clean one.
        recorded: what the very same request was answered with in a rollout, for clean views where that is known.
    """

    frame: Frame
    request: PolicyInput
    mean_abs: float = 0.0
    psnr: float | None = None
    infeasible: str = ""
    recorded: ActionChunk | None = None


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Views that are wanted together; see `FrameSource.views`.

    Attributes:
        frames: of one cluster, at least one.
        condition: one that can be seen on them; the clean one for clean views.
        seed: root of the random streams.
        floor: with another sampling noise than otherwise.
    """

    frames: tuple[Frame, ...]
    condition: Condition
    seed: int
    floor: bool = False


RenderJob = Sequence[ViewRequest]
"""What is drawn in one place, in order: the clean views of some frames, those of conditions, the clean ones again."""


class Renderer(Protocol):
    """Somebody who draws."""

    def __call__(self, blocks: Sequence[RenderJob], /) -> Iterator[PolicyView]:
        """Views of all frames of all requests of all blocks, in that order.

        Raises:
            ConfigError: a view cannot be drawn. Those before its request were yielded.
        """


class FrameSource(Protocol):
    """Frames, and how to look at them under a condition."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the frames are, JSON-ready: an audit that is resumed must agree on it."""

    def frames(self) -> Sequence[Frame]:
        """All frames, in order; draws nothing."""

    def unsupported_reason(self, condition: Condition) -> str:
        """Why a condition cannot be seen on these frames at all; empty if it can."""

    def views(
        self, frames: Sequence[Frame], condition: Condition, seed: int, *, floor: bool = False
    ) -> Iterator[PolicyView]:
        """Views of frames in order, drawn as they are asked for.

        Args:
            frames: of this source.
            condition: one for which `unsupported_reason` is empty; the clean one for clean views.
            seed: root of the random streams: of the perturbation's draws and of the sampling noise.
            floor: with another sampling noise than otherwise.
        """
