"""The queue that decides which episode a worker runs next."""

from collections import deque
from collections.abc import Sequence

from simeval.core.types import EpisodeSpec

_Key = tuple[str, int]


class EpisodeQueue:
    """Episodes grouped by task. A worker keeps getting episodes of its task while there are any."""

    def __init__(self, episodes: Sequence[EpisodeSpec]) -> None:
        self._groups: dict[_Key, deque[EpisodeSpec]] = {}
        for spec in episodes:
            self._groups.setdefault((spec.suite, spec.task), deque()).append(spec)
        self._untouched = deque(self._groups)

    def next(self, last: EpisodeSpec | None) -> EpisodeSpec | None:
        """Remove and return the next episode for a worker whose last one was `last`; `None` if the queue is empty."""
        same_task = self._groups.get((last.suite, last.task)) if last else None
        group = same_task or self._another_task()
        return group.popleft() if group else None

    def _another_task(self) -> deque[EpisodeSpec] | None:
        """A task that no worker has started; else the one with most episodes left."""
        if self._untouched:
            return self._groups[self._untouched.popleft()]
        return max(self._groups.values(), key=len, default=None)

    def requeue(self, spec: EpisodeSpec) -> None:
        """Put an episode whose worker died at the head of its task."""
        self._groups[spec.suite, spec.task].appendleft(spec)
