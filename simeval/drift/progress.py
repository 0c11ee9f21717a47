"""Progress of an audit: a bar, plain lines or JSON."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.text import Text

from simeval.core.json_output import emit

if TYPE_CHECKING:
    from simeval.core.progress_bar import Bar


@dataclass(frozen=True, slots=True)
class AuditOutline:
    """What an audit is about to do.

    Attributes:
        text: one line.
        notes: one line each.
        rows: rows of the whole audit.
        done: rows measured earlier.
    """

    text: str
    notes: tuple[str, ...]
    rows: int
    done: int


class AuditProgress(Protocol):
    """Progress observer."""

    def start(self, outline: AuditOutline) -> None:
        """The audit begins or resumes."""

    def advance(self, rows: int) -> None:
        """Called after `rows` more rows were written."""

    def stop(self) -> None:
        """The audit is over, or was interrupted."""


class Silent:
    """Shows nothing: for use from Python."""

    def start(self, outline: AuditOutline) -> None:
        """See `AuditProgress`."""

    def advance(self, rows: int) -> None:
        """See `AuditProgress`."""

    def stop(self) -> None:
        """See `AuditProgress`."""


class LiveBar:
    """The outline and a progress bar, for terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None

    def start(self, outline: AuditOutline) -> None:
        """See `AuditProgress`."""
        from simeval.core.progress_bar import Bar

        _print_outline(self._console, outline)
        self._bar = Bar(self._console, "views", total=outline.rows, done=outline.done)
        self._bar.start()

    def advance(self, rows: int) -> None:
        """See `AuditProgress`."""
        if self._bar is not None:
            self._bar.advance(rows)

    def stop(self) -> None:
        """See `AuditProgress`."""
        if self._bar is not None:
            self._bar.stop()


class Lines:
    """Lines for files and pipes: the outline, then one about every ten seconds."""

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self._console, self._every = console, every

    def start(self, outline: AuditOutline) -> None:
        """See `AuditProgress`."""
        _print_outline(self._console, outline)
        self._done, self._rows, self._last = outline.done, outline.rows, time.monotonic()

    def advance(self, rows: int) -> None:
        """See `AuditProgress`."""
        self._done += rows
        if time.monotonic() - self._last >= self._every or (rows and self._done == self._rows):
            self._last = time.monotonic()
            self._console.print(Text(f"{self._done}/{self._rows} views"), soft_wrap=True)

    def stop(self) -> None:
        """See `AuditProgress`."""


class JsonLines:
    """One JSON object on standard output when the audit begins."""

    def start(self, outline: AuditOutline) -> None:
        """See `AuditProgress`."""
        event: dict[str, Any] = {"event": "start", "rows": outline.rows, "done": outline.done, "note": outline.text}
        emit({**event, "notes": list(outline.notes)})

    def advance(self, rows: int) -> None:
        """See `AuditProgress`."""

    def stop(self) -> None:
        """See `AuditProgress`."""


def _print_outline(console: Console, outline: AuditOutline) -> None:
    console.print(Text(outline.text), soft_wrap=True)
    for note in outline.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
