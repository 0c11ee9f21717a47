"""Progress of a search for thresholds: what is known of each axis so far."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from simeval.config.strengths import StrengthRange
from simeval.core.chances import counted
from simeval.core.json_output import emit
from simeval.core.types import EpisodeResult

if TYPE_CHECKING:
    from simeval.config.placement import Placement


class SearchProgress(Protocol):
    """Progress observer of a search for thresholds."""

    def start(self, placement: "Placement", folder: Path) -> None:
        """The search begins or resumes.

        Args:
            placement: follows the search; it is updated before `update` is called.
            folder: the run folder.
        """

    def update(self, result: EpisodeResult) -> None:
        """An episode finished."""

    def stop(self) -> None:
        """The search is over, or was interrupted."""


def _head(placement: "Placement", folder: Path) -> str:
    config = placement.config
    workers = counted(config.run.worker_count, "worker") if config.run.worker_count else "this process"
    return (
        f"{config.run.suite[0]}, {config.run.policy_name}: strength at which success falls to {100 * config.level:g} % "
        f"of clean, at most {config.max_episodes} episodes, {workers} -> {folder}"
    )


def _so_far(placement: "Placement", one: StrengthRange) -> str:
    found, placed = placement.estimate(one), placement.placed(one)
    ends = sorted(map(one.value, (found.interval.low, found.interval.high)))
    text = f"{one.label} {one.text(one.value(found.theta))} [{', '.join(map(one.text, ends))}]"
    if not found.is_reached:
        text = f"{one.label} beyond {one.text(one.value(found.at_least))}"
    return f"{text} after {placed}"


def _line(placement: "Placement") -> str:
    successes, episodes = placement.clean
    known = [_so_far(placement, one) for one in placement.config.ranges]
    return f"{placement.ran} episodes; " + "; ".join([f"clean {successes} of {episodes}", *known])


class PlainSearch:
    """Lines, for files and pipes: one at the start, one about every ten seconds, one per error."""

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self._console, self._every = console, every

    def start(self, placement: "Placement", folder: Path) -> None:
        """See `SearchProgress`."""
        self._placement, self._last = placement, time.monotonic()
        self._print(_head(placement, folder))

    def update(self, result: EpisodeResult) -> None:
        """See `SearchProgress`."""
        if result.outcome == "error":
            self._print(f"error in {result.spec.id} ({result.error_phase}): {result.error_text}")
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._print(_line(self._placement))

    def stop(self) -> None:
        """See `SearchProgress`."""
        self._print(_line(self._placement))

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class LiveSearch:
    """A few lines that are updated in place, for terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self, placement: "Placement", folder: Path) -> None:
        """See `SearchProgress`."""
        self._placement, self._head = placement, _head(placement, folder)
        self._live = Live(self, console=self._console, refresh_per_second=1, transient=True)
        self._live.start()

    def update(self, result: EpisodeResult) -> None:
        """See `SearchProgress`."""
        if result.outcome == "error":
            text = f"error in {result.spec.id} ({result.error_phase}): {result.error_text}"
            self._console.print(Text(text, "red"))

    def stop(self) -> None:
        """See `SearchProgress`."""
        self._live.stop()

    def __rich__(self) -> Group:
        lines = _line(self._placement).split("; ")
        return Group(Text(self._head, "dim"), *map(Text, lines))


class JsonSearch:
    """One JSON object per line on standard output."""

    def start(self, placement: "Placement", folder: Path) -> None:
        """See `SearchProgress`."""
        most = placement.config.max_episodes
        emit({"event": "start", "episodes": most, "finished": placement.ran, "note": _head(placement, folder)})

    def update(self, result: EpisodeResult) -> None:
        """See `SearchProgress`."""
        emit({"event": "episode", **result.row()})

    def stop(self) -> None:
        """See `SearchProgress`."""
