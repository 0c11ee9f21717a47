"""Stops code that takes too long.

Non-obvious behaviour:
- Code is stopped by an exception between two Python instructions. A call into native code that never returns cannot be
  stopped from inside its process, and a warning says so. A worker's process can be killed from outside.
- The exception is raised again every second, because foreign code may catch it.
"""

import contextlib
import ctypes
import logging
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

_GRACE = 10.0
"""Seconds that code has to stop before a warning says that it does not."""


_log = logging.getLogger("simeval")


class Overdue(BaseException):
    """Raised in code that took too long. Not an `Exception`, because foreign code catches those."""


@contextlib.contextmanager
def time_limit(seconds: float | None, what: str) -> Iterator[None]:
    """Stop the body if it takes longer.

    Args:
        seconds: the limit; `None` for no limit.
        what: what was exceeded, for the exception's text.

    Raises:
        Overdue: it took longer.
    """
    if seconds is None:
        yield
        return
    watchdog = _Watchdog(seconds, what)
    try:
        yield
    finally:
        try:
            watchdog.stop()
        finally:
            watchdog.stop()  # the exception may have been raised in the first call


class _Watchdog:
    """Raises `Overdue` in the thread that created it, from another thread, until it is stopped."""

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds, self._text = seconds, f"it took longer than {seconds:g} s ({what})"
        self._target, self._lock, self._over = threading.get_ident(), threading.Lock(), threading.Event()
        self._main = threading.current_thread() is threading.main_thread()
        # A signal, unlike an exception set from another thread, also interrupts a system call.
        self._before = (self._main and signal.signal(signal.SIGALRM, self._ring)) or signal.SIG_DFL
        threading.Thread(target=self._watch, name="simeval-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Raise nothing any more."""
        with self._lock:
            self._over.set()
        if self._main:
            signal.signal(signal.SIGALRM, self._before)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._target), None)

    def _watch(self) -> None:
        wait, began = self._seconds, time.monotonic()
        warned = False
        while not self._over.wait(wait):
            with self._lock:
                if not self._over.is_set():
                    self._interrupt()
            if not warned and time.monotonic() - began > self._seconds + _GRACE:
                warned = True
                _log.warning(
                    "simeval: %s and does not stop, for it is in native code or catches whatever is raised in it; "
                    "with --workers of at least 1 its process would be killed",
                    self._text,
                )
            wait = 1.0

    def _interrupt(self) -> None:
        if self._main:
            signal.pthread_kill(self._target, signal.SIGALRM)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._target), ctypes.py_object(Overdue))

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if not self._over.is_set():
            raise Overdue(self._text)
