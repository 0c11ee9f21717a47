"""Whether somebody pressed Ctrl-C, also where foreign code made another exception of it.

Non-obvious behaviour:
- An extension module that is being imported when Ctrl-C arrives may drop the `KeyboardInterrupt` and raise an
  `ImportError` without a context (NumPy's `import_array` does). So the signal itself is noted, not only the exception.
- SIGTERM counts as Ctrl-C where it has this handler.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_noted = threading.Event()


def note_and_raise(number: int, frame: FrameType | None) -> None:
    """Handle a signal as Python handles Ctrl-C, and note it.

    Raises:
        KeyboardInterrupt: always.
    """
    _noted.set()
    signal.default_int_handler(number, frame)


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """Note Ctrl-C inside this context; not in other threads than the main one, which get no signals."""
    _noted.clear()
    mine = threading.current_thread() is threading.main_thread()
    replaced = mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if replaced:
        signal.signal(signal.SIGINT, note_and_raise)
    try:
        yield
    finally:
        _noted.clear()
        if replaced:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an exception is, or stands for, a Ctrl-C: one was noted, or is among the exceptions that led to it."""
    if _noted.is_set():
        return True
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
