"""A row of an audit: how far one condition moved the action on one frame."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

FLOOR = "floor"
"""Used in place of a condition: the clean view again, with other sampling noise."""


Key = tuple[str, str, int]
"""Identity of a measurement: frame, condition, seed."""


Source = Literal["start", "replay", "demo"]
"""Where a frame is from: first frame of an episode, frames the policy saw in its clean episodes, or a dataset."""


@dataclass(frozen=True, slots=True)
class DriftRow:
    """How far a condition moved the predicted chunk on one frame. Lengths and units as in `simeval.stats.drift`.

    Attributes:
        frame: id of the frame.
        source, cluster, step, suite, task, pair_id: properties of the frame.
        condition: canonical text; `none` is the repeat control, `FLOOR` the noise floor.
        seed: root of the random streams.
        drift_exec, drift_first, drift_chunk, l2_raw, xyz_sum, gripper_flip: the drift; `None` where infeasible.
        mean_abs, psnr: difference of the view's images to the clean ones (levels of 255; dB).
        instruction: the instruction the policy was given.
        infeasible: why the condition cannot be applied to the frame; empty if it can.
        representation: (name, distance) of internal features, where they were measured.
        reproduced: for `none`, whether the prediction is that of the rollout, bit for bit; `None` where unknown.
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
        """Identity of the measurement: frame, condition, seed."""
        return self.frame, self.condition, self.seed

    def row(self) -> dict[str, Any]:
        """A JSON-ready record; `DriftRow.from_row` reads it back."""
        return asdict(self)

    @staticmethod
    def from_row(row: Mapping[str, Any]) -> "DriftRow":
        """Rebuild a row from `row()`.

        Raises:
            KeyError, TypeError: the record is not a drift row.
        """
        pairs = tuple((str(name), float(value)) for name, value in row.get("representation", ()))
        return DriftRow(**{**row, "representation": pairs})
