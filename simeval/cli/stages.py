"""`simeval show RUN --stages`: computes how far failures got where that is not stored yet, and prints it."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from simeval.core.json_output import emit
from simeval.core.texts import escaped

if TYPE_CHECKING:
    from rich.console import Console

    from simeval.analysis.stage_counts import StageCounts
    from simeval.store.run import Run


def show_stages(run: "Run", *, by_task: bool, as_json: bool) -> None:
    """Print the tables of a run, and how far its failures got.

    Raises:
        ConfigError: the stages cannot be kept in the folder, or the run's scenes are not available.
    """
    from simeval.core.console import PlainConsole
    from simeval.report.terminal.run import print_tables, summarise
    from simeval.report.terminal.stages import render_stages, stages_record
    from simeval.report.terminal.tables import ROOMY

    counts = _counted(run)
    if as_json:
        emit({**summarise(run), "stages": stages_record(counts)})
        return
    console = PlainConsole()
    print_tables(console, run, tasks=by_task)
    console.print()
    console.print(render_stages(counts, roomy=console.width >= ROOMY))


def _counted(run: "Run") -> "StageCounts":
    from simeval.analysis.pair_drift import audited_drift
    from simeval.analysis.stage_counts import count_stages
    from simeval.analysis.staging import stages_of
    from simeval.store.stages import twin_digests

    with _Progress() as progress:
        stages = stages_of(run, progress.begin, _note)
    drift = audited_drift(run, twin_digests(run.results))
    return count_stages(run.results, {stage.id: stage for stage in stages}, drift)


def _note(line: str) -> None:
    print(f"simeval: {escaped(line)}", file=sys.stderr, flush=True)


class _Progress:
    """On standard error: a bar on a terminal, else one line; nothing if all stages are stored."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._stop()

    def begin(self, episodes: int) -> Callable[[], None]:
        """See `simeval.analysis.staging.stages_of`."""
        console = self._console()
        if not console.is_terminal:
            print(f"reading the states of {episodes} episodes", file=sys.stderr, flush=True)
            return lambda: None
        from simeval.core.progress_bar import Bar

        bar = Bar(console, "episodes", total=episodes, done=0)
        bar.start()
        self._stop = bar.stop
        return lambda: bar.advance(1)

    @staticmethod
    def _console() -> "Console":
        from rich.console import Console

        return Console(stderr=True)
