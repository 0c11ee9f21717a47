"""What takes too long: a person is told."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from simeval.core.time_limit import _log

PATIENCE = 60.0
"""Seconds without a finished episode after which a person is told what is going on; told again after twice as many."""


class Silence:
    """When a person is to be told that nothing has finished for long."""

    def __init__(self) -> None:
        self.heard()

    def heard(self) -> None:
        """Something has finished."""
        self._since, self._next = time.monotonic(), PATIENCE

    def lasted(self) -> float | None:
        """Seconds since something finished if it is time to tell, else `None`."""
        seconds = time.monotonic() - self._since
        if seconds < self._next:
            return None
        self._next *= 2
        return seconds


@contextlib.contextmanager
def reminding(silence: Silence, where: Callable[[], str]) -> Iterator[None]:
    """Tell a person, while the body runs in this process, what it is doing when nothing finishes for long.

    Args:
        silence: is told by the body what has finished.
        where: says what the body is doing; called in another thread.
    """
    over = threading.Event()

    def remind() -> None:
        while not over.wait(1.0):
            seconds = silence.lasted()
            if seconds is not None:
                _log.warning("simeval: no episode has finished for %d s; %s", seconds, where())

    threading.Thread(target=remind, name="simeval-reminder", daemon=True).start()
    try:
        yield
    finally:
        over.set()
