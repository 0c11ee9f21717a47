"""Replies of remote calls, handled one after another in the driver's thread.

They arrive by callback: waiting for the first of thousands takes the driver about three times as long.
"""

import contextlib
import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Replies:
    """The replies that have arrived, in order, each with the function that handles it."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[tuple[Future[Any], Callable[[Any], None]]] = queue.SimpleQueue()

    def when_done(self, ref: Any, on_reply: Callable[[Any], None]) -> None:
        """Have `handle` call back with the result of a remote call, or with Ray's error."""
        ref.future().add_done_callback(lambda done: self._arrived.put((done, on_reply)))

    def handle(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for replies, and handle all that have arrived."""
        with contextlib.suppress(queue.Empty):
            _handle(*self._arrived.get(timeout=timeout))
            for _ in range(self._arrived.qsize()):  # not until it is empty: fast workers never stop sending
                _handle(*self._arrived.get_nowait())


def _handle(done: Future[Any], on_reply: Callable[[Any], None]) -> None:
    import ray

    try:
        reply = done.result()
    except ray.exceptions.RayError as error:
        reply = error
    on_reply(reply)
