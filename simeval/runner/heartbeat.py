"""Notes that workers leave about episodes that take long, where the driver of the run can read them.

Non-obvious behaviour:
- Ray's own key-value store holds them: a worker cannot answer a call while it runs an episode, unless episodes leave
  its main thread, where they would miss signals.
- A note is written once an episode has taken so long that somebody may ask, so that usual episodes cost nothing.
- Code that holds Python's lock keeps a worker from writing one.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from simeval.core.errors import Phase

AFTER = 30.0
"""Seconds after which an episode is written about."""
_AGAIN = 5.0
"""Seconds between two notes about the same episode."""

_log = logging.getLogger("simeval")


@dataclass(frozen=True, slots=True)
class EpisodeStatus:
    """What an episode is doing.

    Attributes:
        id: of the episode.
        phase: of the loop.
        steps: control steps executed.
    """

    id: str
    phase: Phase
    steps: int

    def __str__(self) -> str:
        return f"{self.id} is in its {self.phase} phase after {self.steps} control steps"


def _key(actor: str) -> bytes:
    return f"simeval:{actor}".encode()


def read(actor: str) -> EpisodeStatus | None:
    """The latest note of a worker, by the hex id of its actor; `None` if there is none or Ray does not answer."""
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


def keep_writing(where: Callable[[], EpisodeStatus | None], after: float) -> None:
    """Write about the episodes of this process from now on; for a Ray worker.

    Args:
        where: what the running episode is doing, `None` between episodes; called in another thread.
        after: seconds after which an episode is written about.
    """
    import ray
    from ray.experimental.internal_kv import _internal_kv_put

    key = _key(ray.get_runtime_context().get_actor_id())

    def write() -> None:
        last, since = None, 0.0
        while True:
            found = where()
            id_ = found.id if found else None
            if id_ != last:
                last, since = id_, time.monotonic()
            elif found is not None and time.monotonic() - since >= after:
                _internal_kv_put(key, f"{found.id}\t{found.phase}\t{found.steps}".encode())
                time.sleep(_AGAIN)
                continue
            time.sleep(min(1.0, after / 2))

    threading.Thread(target=write, name="simeval-notices", daemon=True).start()
