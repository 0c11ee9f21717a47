"""The thresholds of a search, from its manifest and its rows; needs no simulator and no registered axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from simeval.config.decisions import FINISHED
from simeval.config.layout import SEARCH, verb_of
from simeval.config.placement import is_settled, posterior_of
from simeval.config.strengths import StrengthRange
from simeval.config.threshold import ranges_of
from simeval.core.types import CLEAN
from simeval.stats.threshold import CREDIBLE, ThresholdEstimate, ThresholdPosterior

SCHEMA_VERSION = 1
COLUMNS = ("id", "suite", "task", "init_state", "repeat", "condition", "outcome")
"""Columns that `thresholds` reads."""


@dataclass(frozen=True, slots=True)
class PlacedStrength:
    """A strength at which episodes ran: its condition, its value, and how many of the episodes succeeded."""

    condition: str
    value: float
    successes: int
    episodes: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Success at a value: posterior mean and pointwise 95 % credible limits."""

    value: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AxisThreshold:
    """The threshold of one axis. Values are in the unit of the axis.

    Attributes:
        label: the condition without its value.
        unit: of the values.
        identity: the value that changes nothing.
        stop: the far end of the range.
        is_ratio: whether strengths are compared by their ratio.
        is_reached: whether the threshold is not beyond the range.
        value: posterior median; `None` if the threshold is beyond the range or before its weakest strength.
        low, high: 95 % credible interval, `low` is the smaller number; `None` as `value`.
        width: of the interval, as a share of the range.
        beyond: probability that the threshold is beyond the range.
        not_before: with 95 % probability the threshold is beyond this value.
        is_settled: whether the search had ended when these rows were read, for this axis.
        episodes: perturbed episodes that count.
        errors: perturbed episodes that broke or could not be made, which do not count.
        placed: the strengths that were tried, from weak to strong.
        curve: from `identity` to `stop`.
        text: the result in a few words.
    """

    label: str
    unit: str
    identity: float
    stop: float
    is_ratio: bool
    is_reached: bool
    value: float | None
    low: float | None
    high: float | None
    width: float
    beyond: float
    not_before: float
    is_settled: bool
    episodes: int
    errors: int
    placed: tuple[PlacedStrength, ...]
    curve: tuple[CurvePoint, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The result of a search.

    Attributes:
        suite: suite.
        level: share of the clean success rate that was searched for.
        width: an axis was done at an interval as narrow as this share of its range.
        clean_successes, clean_episodes: of the clean arm, which all axes share.
        axes: one for each axis, in the order of the request.
    """

    suite: str
    level: float
    width: float
    clean_successes: int
    clean_episodes: int
    axes: tuple[AxisThreshold, ...]

    @property
    def episodes(self) -> int:
        """Episodes that count, clean ones included."""
        return self.clean_episodes + sum(axis.episodes for axis in self.axes)

    @property
    def line(self) -> str:
        """All thresholds in one line: `noise 0.71 [0.64, 0.80], light 0.63 [0.60, 0.66]`."""
        return ", ".join(axis.text for axis in self.axes)


def thresholds(manifest: Mapping[str, Any], episodes: pd.DataFrame) -> Thresholds | None:
    """The thresholds of a run; `None` if it was no search for any.

    Args:
        manifest: the run's.
        episodes: its rows, with `COLUMNS`.
    """
    if verb_of(manifest) != SEARCH:
        return None
    record = manifest[SEARCH]
    counts = {str(name): rows["outcome"].value_counts() for name, rows in episodes.groupby("condition", observed=True)}
    clean = _finished(counts, CLEAN)
    return Thresholds(
        suite=str(manifest["config"]["suite"][0]),
        level=float(record["level"]),
        width=float(record["width"]),
        clean_successes=clean[0],
        clean_episodes=sum(clean),
        axes=tuple(_axis(one, counts, record["level"], record["width"]) for one in ranges_of(record)),
    )


def _finished(counts: Mapping[str, Any], condition: str) -> tuple[int, int]:
    """Successes and failures of a condition."""
    found = counts.get(condition)
    successes, failures = (0 if found is None else int(found.get(outcome, 0)) for outcome in FINISHED)
    return successes, failures


def _axis(one: StrengthRange, counts: Mapping[str, Any], level: float, width: float) -> AxisThreshold:
    posterior = posterior_of(one, level)
    finished = [_finished(counts, name) for name in (CLEAN, *one.conditions)]
    _fill(posterior, finished)
    found, curve = posterior.estimate(), posterior.curve()
    tried = zip(one.conditions, one.values, finished[1:], strict=True)
    placed = tuple(PlacedStrength(name, value, k, k + failed) for name, value, (k, failed) in tried if k + failed)
    rows = sum(int(counts[name].sum()) for name in one.conditions if name in counts)
    episodes = sum(row.episodes for row in placed)
    ends = sorted(map(one.value, (found.interval.low, found.interval.high)))
    is_inside = found.is_reached and not _is_before(one, found)
    low, high = ends if is_inside else (None, None)
    return AxisThreshold(
        label=one.label,
        unit=one.unit,
        identity=one.identity,
        stop=one.stop,
        is_ratio=one.is_ratio,
        is_reached=found.is_reached,
        value=one.value(found.theta) if is_inside else None,
        low=low,
        high=high,
        width=found.width,
        beyond=found.beyond,
        not_before=one.value(found.at_least),
        is_settled=is_settled(found, episodes, width),
        episodes=episodes,
        errors=rows - episodes,
        placed=placed,
        curve=tuple(
            CurvePoint(one.value(float(x)), float(rate), float(low), float(high))
            for x, rate, low, high in zip(curve.x, curve.rate, curve.low, curve.high, strict=True)
        ),
        text=_text(one, found),
    )


def _fill(posterior: ThresholdPosterior, finished: Sequence[tuple[int, int]]) -> None:
    for strength, (successes, failures) in enumerate(finished):
        for _ in range(successes):
            posterior.add(strength, success=True)
        for _ in range(failures):
            posterior.add(strength, success=False)


def _is_before(one: StrengthRange, found: ThresholdEstimate) -> bool:
    """Whether the threshold is before the weakest strength: nothing was tried there, so a value would be a guess."""
    return found.is_reached and found.interval.high <= one.share(one.values[0])


def _text(one: StrengthRange, found: ThresholdEstimate) -> str:
    if _is_before(one, found):
        return f"{one.label} before {one.values[0]:g}, the weakest strength of the range"
    if found.is_reached:
        ends = sorted(map(one.value, (found.interval.low, found.interval.high)))
        return f"{one.label} {one.text(one.value(found.theta))} [{', '.join(map(one.text, ends))}]"
    after, end = one.text(one.value(found.at_least)), f"not reached up to {one.stop:g} (probability {found.beyond:.2f})"
    return f"{one.label} {end}" if found.beyond >= CREDIBLE else f"{one.label} beyond {after}, perhaps {end}"
