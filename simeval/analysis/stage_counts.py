"""Counts of stages per condition, and when perturbed episodes parted from their twins."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

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
class Parting:
    """When the perturbed episodes of a condition, failed or not, parted from their unperturbed twins.

    Attributes:
        pairs: episodes whose motion could be compared with their twin's.
        parted: those whose hand was away from the twin's at some step, see `stages.DIVERGED_M`.
        median_step: median of the first such step; `None` if none was.
    """

    suite: str
    condition: str
    pairs: int
    parted: int
    median_step: float | None


@dataclass(frozen=True, slots=True)
class StageCounts:
    """How far the failures of a run got.

    Attributes:
        counts: by suite, condition and stage, in the order of the tables and of `STAGES`.
        partings: by suite and perturbed condition.
        untold: reason and number of failures that cannot be told.
        missing: failures without an entry: their stages have not been computed.
    """

    counts: tuple[StageCount, ...]
    partings: tuple[Parting, ...]
    untold: tuple[tuple[str, int], ...]
    missing: int = 0

    @property
    def failures(self) -> int:
        """All failures of the run."""
        return sum(row.count for row in self.counts) + self.missing


def count_stages(results: Sequence[EpisodeResult], stages: Mapping[str, EpisodeStage]) -> StageCounts:
    """Count the stages of a run's failures.

    Args:
        results: of the run, in plan order.
        stages: those that are known, by episode.
    """
    counts, partings = list[StageCount](), list[Parting]()
    by_condition: dict[tuple[str, str], list[EpisodeResult]] = {}
    for result in results:
        by_condition.setdefault((result.spec.suite, result.spec.condition), []).append(result)
    for (suite, condition), rows in by_condition.items():
        known = [stages[row.spec.id] for row in rows if row.outcome == "failure" and row.spec.id in stages]
        failures = sum(row.outcome == "failure" for row in rows)
        counts += _counts(suite, condition, failures, known)
        paired = [stages[row.spec.id] for row in rows if row.spec.id in stages]
        paired = [stage for stage in paired if stage.compared]
        steps = [stage.divergence_step for stage in paired if stage.divergence_step is not None]
        if paired:
            partings.append(Parting(suite, condition, len(paired), len(steps), median(steps) if steps else None))
    failed = [row.spec.id for row in results if row.outcome == "failure"]
    reasons = Counter(stages[name].reason for name in failed if name in stages and stages[name].stage is None)
    order = _in_order(by_condition)
    return StageCounts(
        tuple(sorted(counts, key=lambda row: order[row.suite, row.condition])),
        tuple(sorted(partings, key=lambda row: order[row.suite, row.condition])),
        tuple(reasons.most_common()),
        sum(name not in stages for name in failed),
    )


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
