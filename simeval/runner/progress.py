"""Progress of a run while it goes on: a live table, plain lines, or JSON.

Success rates are taken over each task's longest finished prefix of the plan, never over the episodes that finished
first: successes end sooner than failures, so the first finished episodes look better than the run will be.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simeval.config.plan import Plan
from simeval.core.json_output import emit
from simeval.core.types import CLEAN, EpisodeResult, EpisodeSpec

if TYPE_CHECKING:
    from simeval.config.decisions import RunDecisions
    from simeval.stats.anytime import SequentialTest


class Progress(Protocol):
    """Progress observer of a run."""

    def start(
        self, plan: Plan, finished: list[EpisodeResult], note: str, decisions: "RunDecisions | None" = None
    ) -> None:
        """The run begins or resumes.

        Args:
            plan: what runs at most.
            finished: what has run.
            note: what runs, for people.
            decisions: follows the run, if its size depends on its outcomes; it is updated before `update` is called.
        """

    def update(self, result: EpisodeResult) -> None:
        """An episode finished."""

    def stop(self) -> None:
        """The run is over, or was interrupted."""


class Silent:
    """Shows no progress: for use from Python."""

    def start(
        self, plan: Plan, finished: list[EpisodeResult], note: str, decisions: "RunDecisions | None" = None
    ) -> None:
        """See `Progress`."""

    def update(self, result: EpisodeResult) -> None:
        """See `Progress`."""

    def stop(self) -> None:
        """See `Progress`."""


@dataclass
class RunCounts:
    """Episode counts and success rates of a run that goes on.

    Attributes:
        plan: the plan.
        decisions: follows the run, if its size depends on its outcomes.
        total, done, errors: episodes planned, finished (errors included), in error.
        fresh: episodes that finished in this session.
        outcomes: outcome of every finished episode.
        started: when this session started (monotonic clock, s).
    """

    plan: Plan
    decisions: "RunDecisions | None" = None
    total: int = 0
    done: int = 0
    errors: int = 0
    fresh: int = 0
    outcomes: dict[EpisodeSpec, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.total = len(self.plan.episodes)
        self._by_task: dict[tuple[str, int], list[EpisodeSpec]] = defaultdict(list)
        for spec in self.plan.episodes:
            self._by_task[spec.suite, spec.task].append(spec)
        self._suites = tuple(dict.fromkeys(suite for suite, _ in self._by_task))
        self._decided: set[tuple[str, str]] = set()
        self.newly_decided()  # by what ran before
        self._prefix: dict[tuple[str, int], int] = dict.fromkeys(self._by_task, 0)
        self._counts: dict[str, list[int]] = {name: [0, 0] for name in self.plan.conditions}

    def add(self, result: EpisodeResult, *, fresh: bool) -> None:
        """Count a finished episode and advance its task's prefix."""
        self.done += 1
        self.fresh += fresh
        self.errors += result.outcome == "error"
        self.outcomes[result.spec] = result.outcome
        key = (result.spec.suite, result.spec.task)
        specs = self._by_task[key]
        while self._prefix[key] < len(specs) and specs[self._prefix[key]] in self.outcomes:
            spec = specs[self._prefix[key]]
            outcome = self.outcomes[spec]
            if outcome in ("success", "failure"):
                self._counts[spec.condition][0] += outcome == "success"
                self._counts[spec.condition][1] += 1
            self._prefix[key] += 1

    def prefix_counts(self) -> dict[str, tuple[int, int]]:
        """Per condition: successes and episodes within the finished prefixes."""
        return {name: (k, n) for name, (k, n) in self._counts.items()}

    @property
    def per_minute(self) -> float:
        """Episodes per minute of this session."""
        return 60.0 * self.fresh / max(1e-9, time.monotonic() - self.started)

    @property
    def eta(self) -> float | None:
        """Seconds left at the present rate, at most; `None` before the first episode of this session."""
        return 60.0 * (self.most - self.done) / self.per_minute if self.fresh else None

    @property
    def most(self) -> int:
        """Episodes of the run, at most: those planned, without those that no decision needs any more."""
        return self.total if self.decisions is None else self.done + self.decisions.most_left()

    def evidence(self, condition: str) -> str:
        """How far a condition is from a decision, for people; empty for a run of fixed size."""
        if self.decisions is None or condition == CLEAN:
            return ""
        tests = (self.decisions.test(suite) for suite in self._suites)
        return "; ".join(_evidence(test, condition) for test in tests if condition in test.conditions)

    def newly_decided(self) -> list[tuple[str, str]]:
        """Suites and conditions that were decided since the last call."""
        tests = {suite: self.decisions.test(suite) for suite in self._suites} if self.decisions else {}
        new = [(suite, name) for suite, test in tests.items() for name in test.decisions]
        new = [found for found in new if found not in self._decided]
        self._decided.update(new)
        return new


def _evidence(test: "SequentialTest", condition: str) -> str:
    if decision := test.decisions.get(condition):
        words = "drop" if decision.verdict == "drop" else f"costs less than {100 * test.margin:g} points"
        return f"{words}, after {decision.pairs} pairs"
    value, needed = test.e_value(condition)
    left = test.expected_left(condition)
    guess = "" if left is None else f", about {left:.0f} pairs left"
    return f"e {value:.3g} of {needed:.0f}{guess}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _line(counts: RunCounts) -> str:
    errors = f", {counts.errors} errors" if counts.errors else ""
    rate = f"{counts.per_minute:.1f} per minute, {_clock(counts.eta)} left" if counts.fresh else "starting"
    total = f"{counts.total}" if counts.decisions is None else f"at most {counts.most}"
    return f"{counts.done}/{total} episodes{errors}, {rate}"


class LiveProgress:
    """A bar and a table of success rates that are updated in place, for terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def start(
        self, plan: Plan, finished: list[EpisodeResult], note: str, decisions: "RunDecisions | None" = None
    ) -> None:
        """See `Progress`."""
        from simeval.core.progress_bar import Bar

        self._counts, self._note = RunCounts(plan, decisions), note
        for result in finished:
            self._counts.add(result, fresh=False)
        self._bar = Bar(self._console, "episodes", total=self._counts.total, done=self._counts.done)
        self._live = Live(self, console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def update(self, result: EpisodeResult) -> None:
        """See `Progress`."""
        self._counts.add(result, fresh=True)
        self._bar.advance(1)
        if result.outcome == "error":
            self._console.print(Text(f"error in {result.spec.id} ({result.error_phase}): {result.error_text}", "red"))

    def stop(self) -> None:
        """See `Progress`."""
        if self._live is not None:
            self._live.stop()

    def __rich__(self) -> Group:
        counts = self._counts
        pace = Text(f"{counts.per_minute:.1f} per minute" if counts.fresh else "", "dim")
        if counts.errors:
            pace.append(f"  {counts.errors} in error", "red")
        rows = [
            (condition, f"{k}/{n}", f"{100 * k / n:.1f}" if n else "-", self._counts.evidence(condition))
            for condition, (k, n) in counts.prefix_counts().items()
        ]
        # Above the table there are the note (one line or two), the bar, the pace, and the table's head.
        fits = len(rows) + 6 <= self._console.height
        return Group(Text(self._note, "dim"), self._bar, pace, _table(rows) if fits else _side_by_side(rows))


type _Row = tuple[str, str, str, str]
"""Condition, episodes, success, evidence."""


def _table(rows: list[_Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("condition")
    table.add_column("so far", justify="right")
    table.add_column("success %", justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(*row)
    return table


def _side_by_side(rows: list[_Row]) -> Columns:
    """As many columns as fit, for more conditions than the terminal has lines."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {so_far:>{widths[1]}}  {rate:>{widths[2]}}{' %' if rate != '-' else '  '}  {evidence}"
        for name, so_far, rate, evidence in rows
    ]
    return Columns(
        [Text(line.rstrip(), no_wrap=True, overflow="ellipsis") for line in lines], (0, 3), column_first=True
    )


class PlainProgress:
    """Lines, for files and pipes: one at the start, one about every ten seconds, one per error."""

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self._console, self._every = console, every

    def start(
        self, plan: Plan, finished: list[EpisodeResult], note: str, decisions: "RunDecisions | None" = None
    ) -> None:
        """See `Progress`."""
        self._counts = RunCounts(plan, decisions)
        for result in finished:
            self._counts.add(result, fresh=False)
        self._last = time.monotonic()
        self._console.print(Text(note), soft_wrap=True)

    def update(self, result: EpisodeResult) -> None:
        """See `Progress`."""
        self._counts.add(result, fresh=True)
        if result.outcome == "error":
            text = f"error in {result.spec.id} ({result.error_phase}): {result.error_text}"
            self._console.print(Text(text), soft_wrap=True)
        now = time.monotonic()
        if now - self._last >= self._every or self._counts.done == self._counts.total:
            self._last = now
            counts = self._counts.prefix_counts().items()
            rates = "  ".join(f"{name} {100 * k / n:.1f} %" for name, (k, n) in counts if n)
            self._console.print(Text(f"{_line(self._counts)}  {rates}"), soft_wrap=True)
        for suite, condition in self._counts.newly_decided():
            self._console.print(Text(f"{condition} on {suite}: {self._counts.evidence(condition)}"), soft_wrap=True)

    def stop(self) -> None:
        """See `Progress`."""


class JsonProgress:
    """One JSON object per line on standard output."""

    def start(
        self, plan: Plan, finished: list[EpisodeResult], note: str, decisions: "RunDecisions | None" = None
    ) -> None:
        """See `Progress`."""
        self._counts = RunCounts(plan, decisions)
        emit({"event": "start", "episodes": len(plan.episodes), "finished": len(finished), "note": note})

    def update(self, result: EpisodeResult) -> None:
        """See `Progress`."""
        emit({"event": "episode", **result.row()})
        for suite, condition in self._counts.newly_decided():
            emit({"event": "decided", "suite": suite, "condition": condition, "text": self._counts.evidence(condition)})

    def stop(self) -> None:
        """See `Progress`."""
