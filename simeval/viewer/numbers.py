"""The tables of a run, computed in the background: those of a large run take longer than a page may."""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass

from simeval.analysis.success import EQUIVALENCE_MARGIN, RunAnalysis, drop_table, overall_table, success_table
from simeval.core.errors import SimevalError, error_line
from simeval.core.types import CLEAN
from simeval.viewer.index import Rows, Stamp
from simeval.viewer.library import StoredRun

BRIEF = 0.4
"""How long a page waits for numbers (s); later ones come when it asks again."""


@dataclass(frozen=True)
class Numbers:
    """What can be said of the rows of a run.

    Attributes:
        stamp: of the file of rows, see `RunIndex.stamp`.
        episodes: number of the rows.
        headline: the result in one sentence.
        results: of a search its results, a line each.
        cautions: how far the tables can be trusted.
        analysis: rates and drops; of a search those that its choices have not touched. `None` if there are none.
    """

    stamp: Stamp
    episodes: int
    headline: str
    results: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    analysis: RunAnalysis | None = None


class Calculator:
    """Computes the tables of runs, one run after the other, and keeps the latest of each. For several threads."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._thread = ThreadPoolExecutor(1, "numbers")
        self._lock = threading.Lock()
        self._done: dict[str, Numbers] = {}
        self._running: dict[str, Future[Numbers]] = {}

    def get(self, stored: StoredRun, *, wait: float = BRIEF) -> Numbers | None:
        """The latest numbers of a run, maybe of fewer rows than it has by now; `None` if there are none yet.

        Args:
            stored: the run.
            wait: how long to wait for the numbers of all rows (s).
        """
        # A run that was made anew under the same name, or grew, has another manifest.
        key = f"{stored.created}/{stored.run.manifest['episodes']}/{stored.name}"
        with self._lock:
            done = self._done.get(key)
            if done is not None and done.stamp == stored.index.stamp():
                return done
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = self._thread.submit(self._compute, key, stored)
        try:
            return running.result(wait)
        except Late:
            return done

    def _compute(self, key: str, stored: StoredRun) -> Numbers:
        stamp = stored.index.stamp()
        try:
            done = compute(stored, stored.index.rows(), stamp)
        except SimevalError as error:
            done = Numbers(stamp, 0, str(error))
        except Exception as error:  # a page says it; the others still work
            logging.getLogger(__name__).exception("the numbers of %s", stored.name)
            done = Numbers(stamp, 0, f"the numbers cannot be computed: {error_line(error)}")
        with self._lock:
            self._done[key] = done
            del self._running[key]
        return done


def compute(stored: StoredRun, rows: Rows, stamp: Stamp) -> Numbers:
    """The numbers of a run, as `simeval show` prints them."""
    from simeval.analysis.sequential import sequential
    from simeval.analysis.thresholds import thresholds
    from simeval.analysis.worst import confirmation, worst
    from simeval.report.cautions import cautions, unfinished
    from simeval.report.format import headline

    if not len(rows):
        return Numbers(stamp, 0, "no episode has run yet")
    manifest, episodes = stored.run.manifest, rows.table()
    followed, searched = sequential(manifest, episodes), thresholds(manifest, episodes)
    results = tuple(axis.text for axis in searched.axes) if searched else ()
    if searched:
        episodes = episodes[episodes["condition"] == CLEAN]
    found = worst(manifest, episodes)
    if found:
        results, episodes = (found.text,), confirmation(manifest, episodes)
    lines = (*unfinished(stored.planned, len(rows), followed), *cautions(stored.run, episodes))
    counted = followed.counted if followed else episodes
    analysis = RunAnalysis(
        rates=success_table(counted),
        drops=drop_table(counted, *((followed.margin, followed.drops) if followed else ())),
        tasks=(),
        language=(),
        overall=overall_table(counted),
        margin=followed.margin if followed else EQUIVALENCE_MARGIN,
        inference="anytime" if followed else "fixed",
    )
    return Numbers(stamp, len(rows), headline(stored.policy, analysis), results, lines, analysis)
