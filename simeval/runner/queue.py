"""Which episode a worker runs next."""

from collections import deque
from collections.abc import Sequence

from simeval.core.types import EpisodeSpec

_Key = tuple[str, int]


class EpisodeQueue:
    """Episodes by task; hands a worker the next one of its own task as long as there is one."""

    def __init__(self, episodes: Sequence[EpisodeSpec]) -> None:
        self._groups: dict[_Key, deque[EpisodeSpec]] = {}
        for spec in episodes:
            self._groups.setdefault((spec.suite, spec.task), deque()).append(spec)
        self._untouched = deque(self._groups)

    def take(self, last: EpisodeSpec | None) -> EpisodeSpec | None:
        """The next episode for a worker whose last one was `last`; `None` when nothing is left."""
        own = self._groups.get((last.suite, last.task)) if last else None
        group = own or self._another()
        return group.popleft() if group else None

    def _another(self) -> deque[EpisodeSpec] | None:
        """A task that no worker has had; else the one with most left."""
        if self._untouched:
            return self._groups[self._untouched.popleft()]
        return max(self._groups.values(), key=len, default=None)

    def requeue(self, spec: EpisodeSpec) -> None:
        """Return an episode whose worker died; it is next."""
        self._groups[spec.suite, spec.task].appendleft(spec)
