"""Status notes that workers write about long episodes, for the driver of the run to read.

Non-obvious behaviour:
- They are in Ray's internal key-value store: a worker cannot answer a call while it runs an episode, unless episodes
  leave its main thread, where they would miss signals.
- The first note is written when an episode has run for a while, so that ordinary episodes cost nothing.
- Code that holds Python's interpreter lock keeps a worker from writing notes.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from simeval.core.errors import Phase

FIRST_NOTE_S = 30.0
"""Seconds that an episode runs before its first note."""
_NOTE_INTERVAL_S = 5.0
"""Seconds between two notes about the same episode."""

_log = logging.getLogger("simeval")


@dataclass(frozen=True, slots=True)
class EpisodeStatus:
    """What an episode is doing.

    Attributes:
        id: id of the episode.
        phase: current phase of the loop.
        steps: control steps executed.
    """

    id: str
    phase: Phase
    steps: int

    def __str__(self) -> str:
        return f"{self.id} is in its {self.phase} phase after {self.steps} control steps"


def _key(actor: str) -> bytes:
    return f"simeval:{actor}".encode()


def read_status(actor: str) -> EpisodeStatus | None:
    """The latest note of a worker, by the hex id of its actor; `None` without one, or if Ray does not answer."""
    from ray.experimental.internal_kv import _internal_kv_get

    try:
        text = _internal_kv_get(_key(actor))
    except Exception as error:  # noqa: BLE001  Ray raises many types here, and a note is not worth a run
        _log.debug("no note of %s: %s", actor, error)
        return None
    if text is None:
        return None
    id_, phase, steps = text.decode().split("\t")
    return EpisodeStatus(id_, cast("Phase", phase), int(steps))


def start_writing(status_of: Callable[[], EpisodeStatus | None], after: float) -> None:
    """Start a thread that writes notes about the episodes of this process, a Ray worker.

    Args:
        status_of: status of the running episode, `None` between episodes; called in another thread.
        after: seconds that an episode runs before its first note.
    """
    import ray
    from ray.experimental.internal_kv import _internal_kv_put

    key = _key(ray.get_runtime_context().get_actor_id())

    def write() -> None:
        last, since = None, 0.0
        while True:
            status = status_of()
            id_ = status.id if status else None
            if id_ != last:
                last, since = id_, time.monotonic()
            elif status is not None and time.monotonic() - since >= after:
                _internal_kv_put(key, f"{status.id}\t{status.phase}\t{status.steps}".encode())
                time.sleep(_NOTE_INTERVAL_S)
                continue
            time.sleep(min(1.0, after / 2))

    threading.Thread(target=write, name="simeval-notices", daemon=True).start()
