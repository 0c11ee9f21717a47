"""What a person or a machine sees while an audit goes on."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from simeval.core.json_output import emit


@dataclass(frozen=True, slots=True)
class AuditOutline:
    """What an audit is about to do.

    Attributes:
        text: in one line.
        notes: what to know about it, a line each.
        rows, done: rows of the whole audit, and those of them that are there already.
    """

    text: str
    notes: tuple[str, ...]
    rows: int
    done: int


class AuditProgress(Protocol):
    """Told about an audit as it goes on."""

    def start(self, outlook: AuditOutline) -> None:
        """The audit begins or resumes."""

    def advance(self, rows: int) -> None:
        """So many rows more are there."""

    def stop(self) -> None:
        """The audit is over, or was interrupted."""


class Silent:
    """No progress: for use from Python."""

    def start(self, outlook: AuditOutline) -> None:
        """See `AuditProgress`."""

    def advance(self, rows: int) -> None:
        """See `AuditProgress`."""

    def stop(self) -> None:
        """See `AuditProgress`."""


class LiveBar:
    """The outlook, and a bar that moves, for terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("views,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
        )

    def start(self, outlook: AuditOutline) -> None:
        """See `AuditProgress`."""
        _tell(self._console, outlook)
        self._task = self._bar.add_task("", total=outlook.rows, completed=outlook.done)
        self._bar.start()

    def advance(self, rows: int) -> None:
        """See `AuditProgress`."""
        self._bar.advance(self._task, rows)

    def stop(self) -> None:
        """See `AuditProgress`."""
        self._bar.stop()


class Lines:
    """Lines, for files and pipes: the outlook, and one about every ten seconds."""

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self._console, self._every = console, every

    def start(self, outlook: AuditOutline) -> None:
        """See `AuditProgress`."""
        _tell(self._console, outlook)
        self._done, self._rows, self._last = outlook.done, outlook.rows, time.monotonic()

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

    def start(self, outlook: AuditOutline) -> None:
        """See `AuditProgress`."""
        event: dict[str, Any] = {"event": "start", "rows": outlook.rows, "done": outlook.done, "note": outlook.text}
        emit({**event, "notes": list(outlook.notes)})

    def advance(self, rows: int) -> None:
        """See `AuditProgress`."""

    def stop(self) -> None:
        """See `AuditProgress`."""


def _tell(console: Console, outlook: AuditOutline) -> None:
    console.print(Text(outlook.text), soft_wrap=True)
    for note in outlook.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
