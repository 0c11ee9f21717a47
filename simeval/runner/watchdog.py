"""Warnings about runs in which no episode finishes for long."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from simeval.core.time_limit import _log

PATIENCE = 60.0
"""Seconds without a finished episode before the first warning; each further one waits twice as long."""


class StallTimer:
    """Decides when a warning about a lack of finished episodes is due."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Note that an episode has finished."""
        self._since, self._next = time.monotonic(), PATIENCE

    def due(self) -> float | None:
        """Seconds since an episode finished if a warning is due, else `None`; the next one is due later."""
        seconds = time.monotonic() - self._since
        if seconds < self._next:
            return None
        self._next *= 2
        return seconds


@contextlib.contextmanager
def stall_warnings(timer: StallTimer, status_text: Callable[[], str]) -> Iterator[None]:
    """Log a warning while the body runs in this process and no episode finishes for long.

    Args:
        timer: the body calls its `reset` for every finished episode.
        status_text: describes what the body is doing; called in another thread.
    """
    done = threading.Event()

    def remind() -> None:
        while not done.wait(1.0):
            seconds = timer.due()
            if seconds is not None:
                _log.warning("simeval: no episode has finished for %d s; %s", seconds, status_text())

    threading.Thread(target=remind, name="simeval-reminder", daemon=True).start()
    try:
        yield
    finally:
        done.set()
