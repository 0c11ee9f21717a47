"""The contracts of an audit: frames, what a policy would get of them under a condition, and the rows that come of it.

    source.frames() -> source.views(frames, condition, seed) -> policy -> DriftRow

A frame belongs to a state of the world; a view is the policy's input at that state under a condition. All views of a
frame with the same seed share one sampling noise, so that `none` twice drifts by exactly 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from perturbations.condition import Condition
from simeval.policies.base import ActionChunk, PolicyInput

FLOOR = "floor"
"""Stands in place of a condition: the clean view again, with another sampling noise."""
FLOOR_STREAM = 1
"""Marks the streams of that other noise."""

Key = tuple[str, str, int]
"""What is measured once: frame, condition, seed."""

Source = Literal["start", "replay", "demo"]
"""Where frames are from: the first of an episode, those at which the policy looked in its clean episodes, a dataset."""


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
class View:
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


Block = Sequence[ViewRequest]
"""What is drawn in one place, in order: the clean views of some frames, those of conditions, the clean ones again."""


class Draw(Protocol):
    """Somebody who draws."""

    def __call__(self, blocks: Sequence[Block], /) -> Iterator[View]:
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

    def why_not(self, condition: Condition) -> str:
        """Why a condition cannot be seen on these frames at all; empty if it can."""

    def views(self, frames: Sequence[Frame], condition: Condition, seed: int, *, floor: bool = False) -> Iterator[View]:
        """Views of frames in order, drawn as they are asked for.

        Args:
            frames: of this source.
            condition: one for which `why_not` is empty; the clean one for clean views.
            seed: root of the random streams: of the perturbation's draws and of the sampling noise.
            floor: with another sampling noise than otherwise.
        """


@dataclass(frozen=True, slots=True)
class DriftRow:
    """How far a condition moved the predicted chunk on one frame. Lengths and units as in `simeval.stats.drift`.

    Attributes:
        frame: id of the frame.
        source, cluster, step, suite, task, pair_id: of the frame.
        condition: canonical text; `none` is the repeat control, `FLOOR` the noise floor.
        seed: root of the random streams.
        drift_exec, drift_first, drift_chunk, l2_raw, xyz_sum, gripper_flip: the drift; `None` where infeasible.
        mean_abs, psnr: of the view.
        instruction: what the policy was told.
        infeasible: of the view.
        representation: (name, distance) of inner representations, where they were measured.
        reproduced: of `none`: whether the prediction is that of the rollout, bit for bit; `None` where that is unknown.
    """

    frame: str
    source: Source
    cluster: str
    step: int
    suite: str
    task: int | None
    pair_id: str | None
    condition: str
    seed: int
    drift_exec: float | None
    drift_first: float | None
    drift_chunk: float | None
    l2_raw: float | None
    xyz_sum: float | None
    gripper_flip: float | None
    mean_abs: float
    psnr: float | None
    instruction: str
    infeasible: str = ""
    representation: tuple[tuple[str, float], ...] = ()
    reproduced: bool | None = None

    @property
    def key(self) -> Key:
        """What is measured once: frame, condition, seed."""
        return self.frame, self.condition, self.seed

    def row(self) -> dict[str, Any]:
        """A JSON-ready record; `DriftRow.from_row` reads it back."""
        return asdict(self)

    @staticmethod
    def from_row(row: Mapping[str, Any]) -> "DriftRow":
        """Rebuild a row from `row()`.

        Raises:
            KeyError, TypeError: the record is not one of ours.
        """
        pairs = tuple((str(name), float(value)) for name, value in row.get("representation", ()))
        return DriftRow(**{**row, "representation": pairs})
