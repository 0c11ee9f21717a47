"""Outcomes of a run and drift of an audit for the same conditions, as arrays; and the points of their correlation.

Rows are pairs (an unperturbed episode and its twins), columns are perturbed conditions; NaN marks missing values. One
study is one policy on one suite: drift of different policies is never pooled.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simeval.stats.drift import DriftMean, mean_drift
from simeval.stats.intervals import Interval
from simeval.stats.paired import PairedDrop, paired_drop
from simeval.stats.quantiles import normal_isf
from simeval.stats.resampling import Resampling
from simeval.stats.task_weights import task_weights

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Validity = Literal["kept", "changed", "not_applicable"]
"""An ideal policy's action under the condition: `kept`, it stays; `changed`, it must change; `not_applicable`, offline
drift is 0 or undefined while success may fall."""

MAX_MISSING = 0.02
"""Share of pairs that may be missing before a drop or a comparison is refused. Our choice."""

SEEN_OFFLINE = frozenset({"language", "scene", "image", "state"})
"""Channels that change the policy's input, so that a single frame shows the effect."""

FAMILY_KEY: Mapping[str, str] = {"key": "family"}
"""Metadata: files have the axis family of a condition under this key."""


def validity(meaning: str, channels: Collection[str]) -> Validity:
    """Class of a condition, from its effect on the instruction and from its channels.

    Args:
        meaning: `kept`, `changed`, or `not_applicable` for an instruction about nothing in the scene; the last two both
            call for another action.
        channels: channels of its effective parts; one that a frame cannot show makes the whole `not_applicable`.
    """
    if not set(channels) <= SEEN_OFFLINE:
        return "not_applicable"
    return "kept" if meaning == "kept" else "changed"


@dataclass(frozen=True, slots=True)
class ConditionInfo:
    """A perturbed condition.

    Attributes:
        name: canonical condition string.
        axis_family: the axis, or a wider group; conditions of one family are not independent and are resampled
            together.
        severity: strength within the family, higher is stronger; `None` where there is no order.
        validity: see `Validity`; only `kept` enters the correlation.
        identity: changes nothing by construction (an identity value, a repeat of `none`): plotted, never counted.
    """

    name: str
    axis_family: str = field(metadata=FAMILY_KEY)
    severity: float | None = None
    validity: Validity = "kept"
    identity: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FrameDrift:
    """Drift on frames that belong to no pair of the run, for instance of a dataset.

    Attributes:
        values: float64[frames, conditions]; NaN where not measured.
        clusters: int64[frames], episode of each frame.
    """

    values: Floats
    clusters: Integers


@dataclass(frozen=True, eq=False)
class DriftOutcomes:
    """One policy on one suite: outcomes and drift of the same conditions.

    Attributes:
        conditions: the columns, without the clean one.
        tasks: int64[pairs], task of each pair.
        init_states: int64[pairs], initial state of each pair within its task; pairs that share it are repeats.
        clean: float64[pairs], 1 success, 0 failure of the unperturbed episode; NaN where it broke.
        perturbed: float64[pairs, conditions], the same for the twins; NaN where one broke or was not run.
        drift: float64[pairs, conditions], one drift per pair: of its start frame, or over its replayed frames; `None`
            if drift was measured on other frames.
        frames: drift on frames of no pair; used where `drift` is `None`.
        infeasible: bool[pairs, conditions], pairs that the condition cannot be applied to: neither missing nor failed.
        floor: drift between two sampling noises on the clean frame; `None` if not measured.

    Raises:
        ValueError: shapes do not fit, an outcome is not 0, 1 or NaN, or a drift is negative or infinite.
    """

    conditions: tuple[ConditionInfo, ...]
    tasks: Integers
    init_states: Integers
    clean: Floats
    perturbed: Floats
    drift: Floats | None = None
    frames: FrameDrift | None = None
    infeasible: NDArray[np.bool_] | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        pairs, table = len(self.clean), (len(self.clean), len(self.conditions))
        shapes = {
            "tasks": (self.tasks.shape, (pairs,)),
            "init_states": (self.init_states.shape, (pairs,)),
            "perturbed": (self.perturbed.shape, table),
        }
        if self.drift is not None:
            shapes["drift"] = (self.drift.shape, table)
        if self.infeasible is not None:
            shapes["infeasible"] = (self.infeasible.shape, table)
        if self.frames is not None:
            shapes["frames"] = (self.frames.values.shape, (len(self.frames.clusters), len(self.conditions)))
        for name, (actual, expected) in shapes.items():
            if actual != expected:
                raise ValueError(f"{name} has shape {actual}, expected {expected}")
        names = [condition.name for condition in self.conditions]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"condition {min(twice)} occurs twice")
        if not all(np.isin(part[~np.isnan(part)], (0, 1)).all() for part in (self.clean, self.perturbed)):
            raise ValueError("an outcome is neither 0 nor 1")
        for values in (self.drift, self.frames.values if self.frames else None):
            if values is not None and not ((values >= 0) & (values < np.inf) | np.isnan(values)).all():
                raise ValueError("a drift is negative or infinite")

    @cached_property
    def units(self) -> Integers:
        """int64[pairs]: initial states, numbered over all tasks."""
        keys = np.stack([self.tasks, self.init_states], axis=1)
        return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1], dtype=np.int64).reshape(-1)

    @cached_property
    def pair_drops(self) -> Floats:
        """float64[pairs, conditions]: 1 harmed, -1 helped, 0 neither, NaN where a twin is missing."""
        return self.clean[:, None] - self.perturbed

    @cached_property
    def has_unequal_tasks(self) -> bool:
        """Whether the complete pairs of any condition would have unequal weights, were tasks weighed alike."""
        whole = ~np.isnan(self.pair_drops)
        return any(task_weights(self.tasks[rows], self.units[rows]) is not None for rows in whole.T)

    def select(self, columns: NDArray[np.integer]) -> "DriftOutcomes":
        """The same pairs with fewer conditions."""
        frames = self.frames and FrameDrift(self.frames.values[:, columns], self.frames.clusters)
        return DriftOutcomes(
            tuple(self.conditions[column] for column in columns),
            self.tasks,
            self.init_states,
            self.clean,
            self.perturbed[:, columns],
            None if self.drift is None else self.drift[:, columns],
            frames,
            None if self.infeasible is None else self.infeasible[:, columns],
            self.floor,
        )


@dataclass(frozen=True, slots=True)
class Point:
    """Drift and drop of one condition.

    Attributes:
        condition, axis_family, severity, validity: as in `ConditionInfo`.
        pairs: complete pairs.
        missing: pairs without an outcome, in the tasks that the condition was run on.
        drift: mean drift with standard error and interval.
        drop: clean minus perturbed success rate over the complete pairs; `None` without pairs.
        drop_se: standard error of `drop` by Bonett and Price.
        drop_interval: their interval.
        drop_p: exact McNemar p-value, not adjusted.
        harmed, helped: pairs that only the clean, only the perturbed episode solved.
        clean_rate, rate: success rates of the complete pairs.
        relative_drop: `drop` over `clean_rate`; `None` where no clean episode succeeded.
        reason: why the condition is left out of the correlation; empty if it is included.
    """

    condition: str
    axis_family: str = field(metadata=FAMILY_KEY)
    severity: float | None
    validity: Validity
    pairs: int
    missing: int
    drift: DriftMean
    drop: float | None
    drop_se: float | None
    drop_interval: Interval
    drop_p: float | None
    harmed: int
    helped: int
    clean_rate: float | None
    rate: float | None
    relative_drop: float | None
    reason: str

    @property
    def excluded(self) -> bool:
        """Whether it is left out of the correlation."""
        return bool(self.reason)


def condition_points(study: DriftOutcomes, resampling: Resampling | None = None) -> tuple[Point, ...]:
    """One point per condition, in the order of the columns; excluded points have a reason."""
    chosen = resampling or Resampling()
    return tuple(_point(study, column, chosen) for column in range(len(study.conditions)))


def _point(study: DriftOutcomes, column: int, resampling: Resampling) -> Point:
    condition, pair_drops = study.conditions[column], study.pair_drops[:, column]
    complete = ~np.isnan(pair_drops)
    paired = paired_drop(
        study.clean[complete] == 1,
        study.perturbed[complete, column] == 1,
        units=study.units[complete],
        level=resampling.level,
    )
    planned = np.isin(study.tasks, study.tasks[~np.isnan(study.perturbed[:, column])])
    if study.infeasible is not None:
        planned &= ~study.infeasible[:, column]
    missing = int((planned & ~complete).sum())
    drift = _drift_of(study, column, resampling.level)
    too_many_missing = missing > MAX_MISSING * int(planned.sum())
    clean_rate = paired.clean_rate
    return Point(
        condition=condition.name,
        axis_family=condition.axis_family,
        severity=condition.severity,
        validity=condition.validity,
        pairs=paired.n,
        missing=missing,
        drift=drift,
        drop=paired.drop,
        drop_se=_standard_error(paired.interval) if paired.n else None,
        drop_interval=paired.interval,
        drop_p=paired.p,
        harmed=paired.n10,
        helped=paired.n01,
        clean_rate=clean_rate,
        rate=paired.perturbed_rate,
        relative_drop=paired.drop / clean_rate if clean_rate and paired.drop is not None else None,
        reason=_exclusion(condition, paired, drift, too_many_missing=too_many_missing),
    )


def _drift_of(study: DriftOutcomes, column: int, level: float) -> DriftMean:
    if study.drift is not None:
        return mean_drift(study.drift[:, column], study.units, floor=study.floor, level=level)
    if study.frames is not None:
        frames = study.frames
        return mean_drift(frames.values[:, column], frames.clusters, floor=study.floor, level=level)
    return mean_drift(np.empty(0), np.empty(0))


def _exclusion(condition: ConditionInfo, paired: PairedDrop, drift: DriftMean, *, too_many_missing: bool) -> str:
    """Why a condition is left out of the correlation; empty if it is included."""
    if condition.identity:
        return "changes nothing: it lies at (0, 0) by construction"
    if condition.validity == "changed":
        return "meaning changed: here a good policy drifts"
    if condition.validity == "not_applicable":
        return "drift cannot see it: offline, the policy is shown the same"
    if not paired.n:
        return "no complete pair"
    if too_many_missing:
        return f"more than {100 * MAX_MISSING:.0f} % of pairs missing"
    if drift.mean is None:
        return "no drift was measured"
    return ""


def _standard_error(interval: Interval) -> float:
    """Standard error from the width of an interval; only intervals of very few pairs are clipped at 1 or -1."""
    return (interval.high - interval.low) / (2 * normal_isf((1 - interval.level) / 2))
