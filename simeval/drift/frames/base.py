"""The contracts of an audit: frames, and the policy's views of them under conditions.

    source.frames() -> source.views(frames, condition, seed) -> policy -> DriftRow

A frame is a state of the world; a view is the policy's input at that state under a condition. All views of a frame with
the same seed share one sampling noise, so that `none` twice drifts by exactly 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from perturbations.condition import Condition
from simeval.core.drift_row import Source
from simeval.policies.base import ActionChunk, PolicyInput

FLOOR_STREAM = 1
"""Marks the random streams of the noise floor."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One state of the world at which a policy predicts.

    Attributes:
        id: unique in the audit, for instance `libero_spatial/3/init07/r0@16` or `episode 4@17`.
        source: kind of source.
        cluster: the unit that a repeated audit would sample again: the frame's episode or pair.
        step: control steps (dataset: frames) since the episode's first policy frame.
        chunk: number of chunks of the episode before this frame.
        suite: suite name, empty for a dataset.
        task: task index, `None` for a dataset.
        pair_id: of the run's pair, `None` for a dataset.
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
    """The policy's view of a frame under a condition.

    Attributes:
        frame: the frame.
        request: the policy's input.
        mean_abs: mean absolute difference of its images to the clean ones (levels of 255), over the policy's cameras; 0
            where nothing differs.
        psnr: the same as peak signal-to-noise ratio (dB); `None` where nothing differs.
        infeasible: why the condition cannot be applied to this frame; empty if it can. `request` is then the clean one.
        recorded: the chunk predicted from the same input in the rollout; only for clean views, if known.
    """

    frame: Frame
    request: PolicyInput
    mean_abs: float = 0.0
    psnr: float | None = None
    infeasible: str = ""
    recorded: ActionChunk | None = None


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Views that are requested together; see `FrameSource.views`.

    Attributes:
        frames: of one cluster, at least one.
        condition: a supported condition; the clean one for clean views.
        seed: root of the random streams.
        floor: use the noise floor's sampling noise.
    """

    frames: tuple[Frame, ...]
    condition: Condition
    seed: int
    floor: bool = False


RenderJob = Sequence[ViewRequest]
"""Requests that one worker renders in order: clean views of some frames, their conditions, the clean views again."""


class Renderer(Protocol):
    """Renders views."""

    def __call__(self, blocks: Sequence[RenderJob], /) -> Iterator[PolicyView]:
        """Views of all frames of all requests of all blocks, in that order.

        Raises:
            ConfigError: a view cannot be rendered. The views of earlier requests were yielded.
        """


class FrameSource(Protocol):
    """Frames, and their views under conditions."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Description of the frames, JSON-ready; must be equal to resume an audit."""

    def frames(self) -> Sequence[Frame]:
        """All frames, in order; renders nothing."""

    def unsupported_reason(self, condition: Condition) -> str:
        """Why a condition cannot be shown on any of these frames; empty if it can."""

    def views(
        self, frames: Sequence[Frame], condition: Condition, seed: int, *, floor: bool = False
    ) -> Iterator[PolicyView]:
        """Views of frames in order, rendered lazily.

        Args:
            frames: of this source.
            condition: one for which `unsupported_reason` is empty; the clean one for clean views.
            seed: root of the random streams: of the perturbation and of the sampling noise.
            floor: use the noise floor's sampling noise.
        """
