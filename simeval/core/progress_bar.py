"""The progress bar of runs and audits, for terminals. Imported when one is shown: rich.progress takes a while."""

from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text


class TimeLeft(ProgressColumn):
    """Time left at the mean rate of this session; rich's own column forgets all that is older than 30 s."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        fresh = task.completed - task.fields["earlier"]
        if fresh <= 0 or task.remaining is None or task.elapsed is None:
            return Text("starting")
        return Text(f"{timedelta(seconds=round(task.elapsed / fresh * task.remaining))} left")


class Bar:
    """A bar as wide as the terminal: done of total, unit, time left."""

    def __init__(self, console: Console, unit: str, *, total: int, done: int) -> None:
        """Show nothing yet.

        Args:
            console: the terminal.
            unit: plural of what is counted.
            total: count at the end.
            done: count of earlier sessions, which says nothing about the rate of this one.
        """
        columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn(unit), TimeLeft())
        self._progress = Progress(*columns, console=console, transient=True, expand=True)
        self._task = self._progress.add_task("", total=total, completed=done, earlier=done)

    def start(self) -> None:
        """Show it until `stop`."""
        self._progress.start()

    def stop(self) -> None:
        """Remove it from the terminal."""
        self._progress.stop()

    def advance(self, count: int) -> None:
        """Count on."""
        self._progress.advance(self._task, count)

    def __rich__(self) -> Progress:
        return self._progress
