"""A row of an audit: how far one condition moved the action on one frame."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

FLOOR = "floor"
"""Stands in place of a condition: the clean view again, with another sampling noise."""


Key = tuple[str, str, int]
"""What is measured once: frame, condition, seed."""


Source = Literal["start", "replay", "demo"]
"""Where frames are from: the first of an episode, those at which the policy looked in its clean episodes, a dataset."""


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
