"""Progress of a search: what is known so far."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from simeval.core.json_output import emit
from simeval.core.types import EpisodeResult

if TYPE_CHECKING:
    from simeval.config.searches import Placing


class SearchProgress(Protocol):
    """Progress observer of a search."""

    def start(self, placement: "Placing", folder: Path) -> None:
        """The search begins or resumes.

        Args:
            placement: follows the search; it is updated before `update` is called.
            folder: the run folder.
        """

    def update(self, result: EpisodeResult) -> None:
        """An episode finished."""

    def stop(self) -> None:
        """The search is over, or was interrupted."""


def search_progress(console: Console, *, as_json: bool) -> SearchProgress:
    """The observer that fits where the output goes."""
    if as_json:
        return JsonSearch()
    return LiveSearch(console) if console.is_terminal else PlainSearch(console)


def _head(placement: "Placing", folder: Path) -> str:
    return f"{placement.headline} -> {folder}"


def _line(placement: "Placing") -> str:
    return f"{placement.ran} episodes; " + "; ".join(placement.so_far)


class PlainSearch:
    """Lines, for files and pipes: one at the start, one about every ten seconds, one per error."""

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self._console, self._every = console, every

    def start(self, placement: "Placing", folder: Path) -> None:
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

    def start(self, placement: "Placing", folder: Path) -> None:
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

    def start(self, placement: "Placing", folder: Path) -> None:
        """See `SearchProgress`."""
        most = placement.most
        emit({"event": "start", "episodes": most, "finished": placement.ran, "note": _head(placement, folder)})

    def update(self, result: EpisodeResult) -> None:
        """See `SearchProgress`."""
        emit({"event": "episode", **result.row()})

    def stop(self) -> None:
        """See `SearchProgress`."""
