"""Python's garbage collector, while many long-lived objects are created."""

import contextlib
import functools
import gc
from collections.abc import Iterator

_RARELY = 50_000
"""Objects more than before, at which the collector runs. Python's own number is 700."""


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
    gc.set_threshold(_RARELY)


def leave_alone() -> None:
    """In such a process, leave what lives now out of every later collection: it stays until the end.

    With lerobot and torch in memory, the collection after a scene has gone takes 0.3 s instead of 0.04. Only the first
    call does it: a later one would keep the scenes of workers that have gone, which only the collector frees.
    """
    if gc.get_threshold()[0] == _RARELY:
        _freeze_once()


@functools.cache
def _freeze_once() -> None:
    gc.freeze()
