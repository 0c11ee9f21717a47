"""Warnings about runs in which no episode finishes for long."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from simeval.core.time_limit import _log

PATIENCE = 60.0
"""Seconds without a finished episode before the first warning; each further one waits twice as long."""


class Silence:
    """Decides when a warning about a lack of finished episodes is due."""

    def __init__(self) -> None:
        self.heard()

    def heard(self) -> None:
        """Note that an episode has finished."""
        self._since, self._next = time.monotonic(), PATIENCE

    def lasted(self) -> float | None:
        """Seconds since an episode finished if a warning is due, else `None`; the next one is due later."""
        seconds = time.monotonic() - self._since
        if seconds < self._next:
            return None
        self._next *= 2
        return seconds


@contextlib.contextmanager
def reminding(silence: Silence, where: Callable[[], str]) -> Iterator[None]:
    """Log a warning while the body runs in this process and no episode finishes for long.

    Args:
        silence: the body calls its `heard` for every finished episode.
        where: describes what the body is doing; called in another thread.
    """
    done = threading.Event()

    def remind() -> None:
        while not done.wait(1.0):
            seconds = silence.lasted()
            if seconds is not None:
                _log.warning("simeval: no episode has finished for %d s; %s", seconds, where())

    threading.Thread(target=remind, name="simeval-reminder", daemon=True).start()
    try:
        yield
    finally:
        done.set()
