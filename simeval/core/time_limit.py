"""Code that takes longer than it may is stopped.

Non-obvious behaviour:
- Code is stopped by an exception between two of its Python instructions. A call into native code that never returns
  cannot be stopped from inside its process; a person is told so. A worker's process can be killed from outside.
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
"""Seconds in which stopped code has to give way before a person is told that it does not."""


_log = logging.getLogger("simeval")


class Overdue(BaseException):
    """Raised in code that took longer than it may. No `Exception`: foreign code catches those."""


@contextlib.contextmanager
def time_limit(seconds: float | None, what: str) -> Iterator[None]:
    """Stop the body if it takes longer.

    Args:
        seconds: how long it may take; `None` for as long as it likes.
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
            watchdog.rest()
        finally:
            watchdog.rest()  # the first may be where the exception was raised


class _Watchdog:
    """Raises `Overdue` in the thread that made it, from another one, until it is told to rest."""

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds, self._text = seconds, f"it took longer than {seconds:g} s ({what})"
        self._target, self._lock, self._over = threading.get_ident(), threading.Lock(), threading.Event()
        self._main = threading.current_thread() is threading.main_thread()
        # A signal, unlike an exception set from outside, also ends a wait for the system.
        self._before = (self._main and signal.signal(signal.SIGALRM, self._ring)) or signal.SIG_DFL
        threading.Thread(target=self._watch, name="simeval-watchdog", daemon=True).start()

    def rest(self) -> None:
        """From here on nothing is raised."""
        with self._lock:
            self._over.set()
        if self._main:
            signal.signal(signal.SIGALRM, self._before)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._target), None)

    def _watch(self) -> None:
        wait, began = self._seconds, time.monotonic()
        told = False
        while not self._over.wait(wait):
            with self._lock:
                if not self._over.is_set():
                    self._interrupt()
            if not told and time.monotonic() - began > self._seconds + _GRACE:
                told = True
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
