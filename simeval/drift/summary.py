"""Summarise the rows of an audit: one line per condition. Plots nothing, reads no file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simeval.core.drift_row import FLOOR, DriftRow
from simeval.core.types import CLEAN
from simeval.stats.drift import PRIMARY, DriftMean, mean_drift


@dataclass(frozen=True, slots=True)
class ConditionDrift:
    """Drift of the action under one condition. Numbers are `None` where nothing was measured.

    Attributes:
        condition: canonical text, or `FLOOR`.
        drift: mean of the primary drift over independent units.
        largest: largest drift of a frame.
        gripper_flip: mean share of the executed steps with the opposite gripper command.
        mean_abs: mean absolute change of the images (levels of 255).
        infeasible: number of frames to which the condition cannot be applied.
    """

    condition: str
    drift: DriftMean
    largest: float | None
    gripper_flip: float | None
    mean_abs: float | None
    infeasible: int


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """Summary of an audit's rows.

    Attributes:
        conditions: without `none`, the noise floor last.
        floor: mean drift between two sampling noises on clean frames; `None` before any was measured.
        repeats: clean frames predicted twice, all without drift.
        compared: those of them with a chunk recorded in the rollout.
        reproduced: those whose prediction equals the recorded chunk bit for bit.
    """

    conditions: tuple[ConditionDrift, ...]
    floor: float | None
    repeats: int
    reproduced: int
    compared: int


def summarise(rows: Sequence[DriftRow]) -> AuditSummary:
    """One line per condition, in the order of the rows."""
    names = [name for name in dict.fromkeys(row.condition for row in rows) if name not in (CLEAN, FLOOR)]
    floor = _mean([row for row in rows if row.condition == FLOOR]).mean
    clean = [row for row in rows if row.condition == CLEAN]
    compared = [row for row in clean if row.reproduced is not None]
    conditions = [_condition(name, [row for row in rows if row.condition == name], floor) for name in (*names, FLOOR)]
    return AuditSummary(
        conditions=tuple(conditions),
        floor=floor,
        repeats=len(clean),
        reproduced=sum(bool(row.reproduced) for row in compared),
        compared=len(compared),
    )


def _condition(name: str, rows: Sequence[DriftRow], floor: float | None) -> ConditionDrift:
    measured = [row for row in rows if not row.infeasible]
    return ConditionDrift(
        condition=name,
        drift=_mean(rows, None if name == FLOOR else floor),
        largest=max((row.drift_exec for row in measured if row.drift_exec is not None), default=None),
        gripper_flip=_mean_of_known([row.gripper_flip for row in measured]),
        mean_abs=_mean_of_known([row.mean_abs for row in measured]),
        infeasible=len({row.frame for row in rows if row.infeasible}),
    )


def _mean(rows: Sequence[DriftRow], floor: float | None = None) -> DriftMean:
    values = [np.nan if getattr(row, PRIMARY) is None else getattr(row, PRIMARY) for row in rows]
    clusters = {name: number for number, name in enumerate(dict.fromkeys(row.cluster for row in rows))}
    return mean_drift(values, [clusters[row.cluster] for row in rows], floor=floor)


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
