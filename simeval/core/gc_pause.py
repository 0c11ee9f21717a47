"""Python's garbage collector, while many long-lived objects are created."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pause the collector: it would scan all live objects again and again, and free none."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def collect_rarely() -> None:
    """Make the collector run rarely, in a process of simeval's own.

    The libraries make half a million objects that stay, and it looks at many of them each time. An episode leaves about
    100 objects for it to free, without images.
    """
    gc.set_threshold(50_000)
