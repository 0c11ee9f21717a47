"""Counts of stages per condition, when perturbed episodes diverged from their twins, and the drift at that step."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from simeval.analysis.pair_drift import AuditedDrift, FrameDrift
from simeval.core.types import EpisodeResult
from simeval.store.stages import STAGES, EpisodeStage


@dataclass(frozen=True, slots=True)
class StageCount:
    """Failures of one condition that ended at one stage.

    Attributes:
        failures: all failures of the condition.
        stage: an entry of `STAGES`; empty for those that cannot be told.
        count: failures at this stage.
        object: the object that most of them concern; empty for those that cannot be told.
        of_object: how many concern it.
    """

    suite: str
    condition: str
    failures: int
    stage: str
    count: int
    object: str
    of_object: int


@dataclass(frozen=True, slots=True)
class ConditionDivergence:
    """When the perturbed episodes of a condition, failed or not, diverged from their unperturbed twins.

    Attributes:
        pairs: episodes whose motion could be compared with their twin's.
        diverged: those whose hand was away from the twin's at some step, see `stages.divergence`.
        median_step: median of the first such step; `None` if none was.
        audited: diverged episodes with an audited frame up to that step, see `pair_drift`.
        median_frame_step: median step of the last such frame; `None` without any, as the next two.
        median_drift: median drift at these frames (standard deviations).
        median_drift_all: that over all audited frames of the same episodes, earlier and later ones.
    """

    suite: str
    condition: str
    pairs: int
    diverged: int
    median_step: float | None
    audited: int = 0
    median_frame_step: float | None = None
    median_drift: float | None = None
    median_drift_all: float | None = None


@dataclass(frozen=True, slots=True)
class StageCounts:
    """How far the failures of a run got.

    Attributes:
        counts: by suite, condition and stage, in the order of the tables and of `STAGES`.
        divergences: by suite and perturbed condition.
        untold: reason and number of failures that cannot be told.
        missing: failures without an entry: their stages have not been computed.
        drift_note: why there is no drift at the divergence, or what it lacks; empty if nothing was audited.
    """

    counts: tuple[StageCount, ...]
    divergences: tuple[ConditionDivergence, ...]
    untold: tuple[tuple[str, int], ...]
    missing: int = 0
    drift_note: str = ""

    @property
    def failures(self) -> int:
        """All failures of the run."""
        return sum(row.count for row in self.counts) + self.missing


def count_stages(
    results: Sequence[EpisodeResult], stages: Mapping[str, EpisodeStage], drift: AuditedDrift | None = None
) -> StageCounts:
    """Count the stages of a run's failures.

    Args:
        results: of the run, in plan order.
        stages: those that are known, by episode.
        drift: what was audited on its episodes.
    """
    drift = drift or AuditedDrift()
    counts, divergences = list[StageCount](), list[ConditionDivergence]()
    by_condition: dict[tuple[str, str], list[EpisodeResult]] = {}
    for result in results:
        by_condition.setdefault((result.spec.suite, result.spec.condition), []).append(result)
    for (suite, condition), rows in by_condition.items():
        known = [stages[row.spec.id] for row in rows if row.outcome == "failure" and row.spec.id in stages]
        failures = sum(row.outcome == "failure" for row in rows)
        counts += _counts(suite, condition, failures, known)
        paired = [(row, stages[row.spec.id]) for row in rows if row.spec.id in stages]
        paired = [(row, stage) for row, stage in paired if stage.compared]
        if paired:
            divergences.append(_divergence(suite, condition, paired, drift))
    failed = [row.spec.id for row in results if row.outcome == "failure"]
    reasons = Counter(stages[name].reason for name in failed if name in stages and stages[name].stage is None)
    order = _in_order(by_condition)
    return StageCounts(
        tuple(sorted(counts, key=lambda row: order[row.suite, row.condition])),
        tuple(sorted(divergences, key=lambda row: order[row.suite, row.condition])),
        tuple(reasons.most_common()),
        sum(name not in stages for name in failed),
        drift.note if any(row.diverged for row in divergences) else "",
    )


def _divergence(
    suite: str, condition: str, paired: Sequence[tuple[EpisodeResult, EpisodeStage]], drift: AuditedDrift
) -> ConditionDivergence:
    """The row of a condition, from its episodes that were compared with their twins."""
    steps = [stage.divergence_step for _, stage in paired if stage.divergence_step is not None]
    there, everywhere = list[FrameDrift](), list[float]()
    for result, stage in paired:
        if frame := drift.at(result.spec.pair_id, condition, stage.divergence_step):
            there.append(frame)
            everywhere += [other.drift for other in drift.pairs[result.spec.pair_id, condition].frames]
    return ConditionDivergence(
        suite, condition, len(paired), len(steps),
        median_step=_median(steps),
        audited=len(there),
        median_frame_step=_median([frame.step for frame in there]),
        median_drift=_median([frame.drift for frame in there]),
        median_drift_all=_median(everywhere),
    )  # fmt: skip


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _counts(suite: str, condition: str, failures: int, known: Iterable[EpisodeStage]) -> Iterable[StageCount]:
    by_stage: dict[str, list[EpisodeStage]] = {}
    for entry in known:
        by_stage.setdefault(entry.stage or "", []).append(entry)
    for stage in (*STAGES, ""):
        if entries := by_stage.get(stage):
            ((name, of_object),) = Counter(entry.object for entry in entries).most_common(1)
            yield StageCount(suite, condition, failures, stage, len(entries), name, of_object)


def _in_order(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Place of each suite and condition: both in the order in which they occur first."""
    pairs = list(keys)
    suites = {suite: place for place, suite in enumerate(dict.fromkeys(suite for suite, _ in pairs))}
    conditions = {name: place for place, name in enumerate(dict.fromkeys(name for _, name in pairs))}
    return {(suite, name): (suites[suite], conditions[name]) for suite, name in pairs}
