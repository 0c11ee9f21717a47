"""What latency cost: how a policy was executed under each latency, and up to which latency its success holds.

Drops and success are those of `simeval.analysis.success`; nothing is tested again here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from envs.goals import EnvError
from envs.suites import find_suite, is_suite
from simeval.analysis.grouping import groups
from simeval.stats.intervals import Interval

EXECUTION = ("latencies", "replans", "stale_steps", "idle_steps")
"""Columns of `simeval.store.run.Run.episodes` that `latency_table` reads; empty in runs without latency."""


class Rated(Protocol):
    """What is read of a `simeval.analysis.success.ConditionRate`."""

    @property
    def suite(self) -> str:
        """Name of the suite."""

    @property
    def condition(self) -> str:
        """Canonical text."""

    @property
    def rate(self) -> float | None:
        """Success rate."""

    @property
    def interval(self) -> Interval:
        """Its interval."""


class Dropped(Protocol):
    """What is read of a `simeval.analysis.success.ConditionDrop`."""

    @property
    def suite(self) -> str:
        """Name of the suite."""

    @property
    def condition(self) -> str:
        """Canonical text."""

    @property
    def drop(self) -> float | None:
        """Against none."""

    @property
    def interval(self) -> Interval | None:
        """Its interval."""

    @property
    def verdict(self) -> str | None:
        """See `Verdict`."""


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """How a policy was executed under one condition with latency, over all episodes that ran to their end.

    Attributes:
        way: the mode, its settings, and the condition's other parts.
        steps: latency of the condition (control steps); `None` where it differs from question to question.
        mean_steps: mean latency of its questions (control steps).
        step_ms: length of a control step (ms); `None`, like the two rates, for a suite that is not known here.
        asked_hz: questions per simulated second.
        control_hz: actions of the policy executed per simulated second.
        idle, stale: share of control steps that held the arm, or executed the last chunk while an answer was awaited.
        replans: answers per episode that took over while the last chunk had actions left.
        rate, interval: success, as in `ConditionRate`.
    """

    suite: str
    condition: str
    way: str
    steps: float | None
    mean_steps: float
    step_ms: float | None
    asked_hz: float | None
    control_hz: float | None
    idle: float
    stale: float
    replans: float
    rate: float | None
    interval: Interval


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """The largest tested latency up to which success stays within the margin. 0 where the smallest one is too much.

    Attributes:
        way: as in `LatencyRow`.
        tested: the latencies (control steps), ascending.
        step_ms: length of a control step (ms); `None` for a suite that is not known here.
        largest: up to it, every tested latency has a drop of at most the margin.
        low: up to it, every tested latency is shown to be within the margin (its verdict).
        high: up to it, no tested latency is shown to drop by more than the margin (its interval's lower limit).
    """

    suite: str
    way: str
    tested: tuple[float, ...]
    step_ms: float | None
    largest: float
    low: float
    high: float


def latency_table(episodes: pd.DataFrame, rates: Sequence[Rated]) -> tuple[LatencyRow, ...]:
    """One row per suite and condition with latency; empty without `EXECUTION` columns."""
    if any(column not in episodes for column in EXECUTION):
        return ()
    success = {(row.suite, row.condition): row for row in rates}
    ran = episodes[episodes["latencies"].notna()]
    table = []
    for (suite, condition), rows in groups(ran, "suite", "condition"):
        way, steps = _way(str(condition)) or (str(condition), None)
        rate, hz = success[str(suite), str(condition)], _control_hz(str(suite))
        executed = int(rows["steps"].sum())
        latencies = [latency for text in rows["latencies"] for latency in json.loads(text)]
        idle, stale = (float(rows[name].sum()) / executed for name in ("idle_steps", "stale_steps"))
        table.append(
            LatencyRow(
                suite=str(suite),
                condition=str(condition),
                way=way,
                steps=steps,
                mean_steps=sum(latencies) / len(latencies),
                step_ms=1000 / hz if hz else None,
                asked_hz=hz * len(latencies) / executed if hz else None,
                control_hz=hz * (1 - idle) if hz else None,
                idle=idle,
                stale=stale,
                replans=float(rows["replans"].mean()),
                rate=rate.rate,
                interval=rate.interval,
            )
        )
    return tuple(table)


def latency_limits(table: Sequence[LatencyRow], drops: Sequence[Dropped], margin: float) -> tuple[LatencyLimit, ...]:
    """One row per suite and way of execution.

    Args:
        table: from `latency_table`.
        drops: of the same episodes.
        margin: the drop that still counts as robust (fraction).
    """
    by_condition = {(row.suite, row.condition): row for row in drops}
    ways: dict[tuple[str, str], list[tuple[float, LatencyRow]]] = {}
    for row in table:
        if row.steps is not None:
            ways.setdefault((row.suite, row.way), []).append((row.steps, row))
    limits = []
    for (suite, way), rows in ways.items():
        rows.sort(key=lambda pair: pair[0])
        tested = tuple(steps for steps, _ in rows)
        found = [by_condition[suite, row.condition] for _, row in rows]
        within = [drop.drop is not None and drop.drop <= margin for drop in found]
        shown = [drop.verdict == "within margin" for drop in found]
        possible = [drop.interval is None or drop.interval.low <= margin for drop in found]
        largest, low, high = (_up_to(tested, flags) for flags in (within, shown, possible))
        limits.append(LatencyLimit(suite, way, tested, rows[0][1].step_ms, largest, low, high))
    return tuple(limits)


def _up_to(tested: Sequence[float], holds: Sequence[bool]) -> float:
    """The last latency before the first at which it does not hold."""
    count = next((place for place, held in enumerate(holds) if not held), len(holds))
    return (0.0, *tested)[count]


def _way(condition: str) -> tuple[str, float | None] | None:
    """The way of execution and the latency of a condition; `None` if it has none, or its axes are not known here."""
    from perturbations.base import SpecError  # not above: all axes take 0.1 s, and most runs have no latency
    from perturbations.spec import parse
    from perturbations.units import STEPS

    try:
        parsed = parse(condition)
    except SpecError:
        return None
    term = parsed.latency
    if term is None:
        return None
    settings = [f"{name} {value}" for name, value in term.options if name != "mode"]
    axis = [] if term.axis == "latency" else [term.axis]
    others = [f"with {other}" for other in parsed.terms if other is not term]
    way = ", ".join([*axis, term.option("mode") or "block", *settings, *others])
    in_steps = term.info.unit.name == STEPS.name and not isinstance(term.value, str)
    return way, float(term.value) if in_steps else None


def _control_hz(suite: str) -> int | None:
    try:
        return find_suite(suite).interface.control_hz if is_suite(suite) else None
    except EnvError:
        return None
