"""Reports a run to experiment trackers while it goes on: one observer for all of them.

Non-obvious behaviour:
- A tracker that fails after the start (a network that breaks) is named in one warning and left out from then on. The
  run goes on: episodes cost hours, a curve can be drawn from the run folder.
- Curves show the rates of `RunCounts`: over each task's finished prefix, never over the episodes that finished first.
- The trackers' ids are kept in the run folder, so that a resumed run goes on with the same curves.
"""

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simeval.core.errors import ConfigError, error_line
from simeval.core.files import read_regular, replace_file
from simeval.core.types import EpisodeResult
from simeval.exchange.trackers import TrackedRun, Tracker, quiet, tracker
from simeval.runner.progress import Progress, RunCounts

if TYPE_CHECKING:
    from simeval.config.decisions import RunDecisions
    from simeval.config.plan import Plan

IDS_FILE = "trackers.json"
"""File in the run folder with the ids that trackers gave the run."""

_log = logging.getLogger("simeval")


@dataclass(frozen=True)
class Tracked:
    """What is tracked, and where.

    Attributes:
        names: trackers, as `--track` takes them.
        project: the trackers' project or experiment.
        folder: the run folder, which may not exist yet.
        config: settings of the run, JSON-ready.
    """

    names: Sequence[str]
    project: str
    folder: Path
    config: Mapping[str, Any]


@dataclass
class Tracking:
    """A progress observer that passes everything on to another one, and reports to trackers.

    Attributes:
        inner: the other observer.
        trackers: open trackers, by name; one that fails is dropped.
        ids: the run's ids in all trackers that it was ever reported to, by name.
        folder: the run folder.
        every: seconds between two points of a curve.
    """

    inner: Progress
    trackers: dict[str, Tracker]
    ids: Mapping[str, str]
    folder: Path
    every: float = 10.0
    _summary: dict[str, float] = field(default_factory=dict)
    _complete: bool = False

    def start(
        self, plan: "Plan", finished: list[EpisodeResult], note: str, decisions: "RunDecisions | None" = None
    ) -> None:
        """See `Progress`."""
        self._store_ids()
        self._counts, self._last = RunCounts(plan, decisions), time.monotonic()
        for result in finished:
            self._counts.add(result, fresh=False)
        self.inner.start(plan, finished, note, decisions)

    def update(self, result: EpisodeResult) -> None:
        """See `Progress`."""
        self.inner.update(result)
        self._counts.add(result, fresh=True)
        if time.monotonic() - self._last >= self.every:
            self._log()

    def stop(self) -> None:
        """See `Progress`."""
        self.inner.stop()
        if self._counts.fresh:
            self._log()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Report the final numbers of a run, when it is left.

        Args:
            summary: as `simeval show --json` prints it.
        """
        self._store_ids()  # not by `start` if all episodes had run before
        self._summary, self._complete = final_numbers(summary), True

    def close(self) -> None:
        """End the run in all trackers."""
        for name in tuple(self.trackers):
            with self._kept(name) as opened:
                opened.close(self._summary, complete=self._complete)

    def _store_ids(self) -> None:
        replace_file(self.folder / IDS_FILE, json.dumps(dict(self.ids), indent=1).encode())

    def _log(self) -> None:
        self._last = time.monotonic()
        rates = self._counts.prefix_counts().items()
        values = {f"success/{name}": k / n for name, (k, n) in rates if n}
        values |= {"episodes/finished": float(self._counts.done), "episodes/errors": float(self._counts.errors)}
        for name in tuple(self.trackers):
            with self._kept(name) as opened:
                opened.log(values, self._counts.done)

    @contextmanager
    def _kept(self, name: str) -> Iterator[Tracker]:
        """Drop the tracker if it fails."""
        try:
            with quiet():
                yield self.trackers[name]
        except Exception as error:  # noqa: BLE001 - any package may fail in any way
            del self.trackers[name]
            _log.warning("simeval: --track %s failed, the run goes on without it: %s", name, error_line(error))


@contextmanager
def tracking(tracked: Tracked, inner: Progress) -> Iterator[Tracking]:
    """Open the trackers, before anything slow starts, and end the run in them on the way out.

    Args:
        tracked: what is tracked.
        inner: the observer that shows the run.

    Raises:
        ConfigError: a tracker is unknown, not installed, or refuses the run.
    """
    made = {name: tracker(name) for name in dict.fromkeys(tracked.names)}
    ids = _stored_ids(tracked.folder)
    observer = Tracking(inner, {}, ids, tracked.folder)
    try:
        for name, opening in made.items():
            run = TrackedRun(tracked.project, tracked.folder.name, uuid.uuid4().hex[:12], ids.get(name), tracked.config)
            try:
                with quiet():
                    ids[name] = opening.open(run)
            except Exception as error:  # noqa: BLE001 - any package may fail in any way
                again = f"; {tracked.folder / IDS_FILE} says which run it was: remove it to track anew" * (name in ids)
                raise ConfigError(f"--track {name}: it refuses the run: {error_line(error)}{again}") from None
            observer.trackers[name] = opening
        yield observer
    finally:
        observer.close()


def final_numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a run's tables by name, in [0, 1]: `final/libero_spatial/noise:0.1/success`, `.../drop_high`."""
    numbers: dict[str, float | None] = {}
    for table, name in (("rates", "success"), ("drops", "drop")):
        for row in summary.get(table, ()):
            key = f"final/{row['suite']}/{row['condition']}/{name}"
            interval = row["interval"] or {}
            numbers |= {key: row["rate" if table == "rates" else "drop"]}
            numbers |= {f"{key}_{end}": interval.get(end) for end in ("low", "high")}
    return {name: float(value) for name, value in numbers.items() if value is not None}


def _stored_ids(folder: Path) -> dict[str, str]:
    path = folder / IDS_FILE
    if not path.exists():
        return {}
    try:
        stored = json.loads(read_regular(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--track: {path} cannot be read ({error_line(error)}); remove it to track anew") from None
    if not isinstance(stored, dict) or not all(isinstance(value, str) for value in stored.values()):
        raise ConfigError(f"--track: {path} does not hold ids of trackers; remove it to track anew")
    return stored
