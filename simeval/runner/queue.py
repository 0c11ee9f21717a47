"""The queue that decides which episode a worker runs next.

Episodes run in rounds: one initial state of every task, then the next, in the order of `simeval.core.rounds`. So a run
that is not finished is about the same tasks as the finished one. As building a scene can take seconds, a few rounds
form a batch of each task, and a worker stays with a batch.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from simeval.core.rounds import in_rounds
from simeval.core.types import EpisodeSpec

BATCH = 16
"""Least number of episodes between two changes of scene. A change takes up to 1 s with LIBERO's own meshes, and an
episode rarely less than 3 s."""
SMALL_BATCH = 4
"""The same for a run that may end at any round: what has run ahead of the deciding round is not counted."""


class _Key(NamedTuple):
    block: int
    suite: str
    task: int


class EpisodeSource(Protocol):
    """Decides which episode runs next."""

    def next(self, last: EpisodeSpec | None) -> EpisodeSpec | None:
        """The next episode for a worker whose last one was `last`; `None` if there is none at present."""

    def requeue(self, spec: EpisodeSpec) -> None:
        """The worker of an episode died: it has to run again."""

    def __bool__(self) -> bool:
        """Whether there may be more episodes."""


def always(spec: EpisodeSpec) -> bool:
    """Every episode is to run."""
    del spec
    return True


class EpisodeQueue:
    """Episodes in batches. A worker keeps getting episodes of its batch while there are any."""

    def __init__(
        self, episodes: Sequence[EpisodeSpec], is_left: Callable[[EpisodeSpec], bool] = always, batch: int = BATCH
    ) -> None:
        """Form the batches.

        Args:
            episodes: of the whole plan, so that a run that goes on has the batches of one that was never interrupted.
            is_left: whether an episode has to run; asked when its turn comes.
            batch: least number of episodes of a batch.
        """
        self._is_left = is_left
        init_states = sorted({spec.init_state for spec in episodes})
        cells = len({(spec.suite, spec.task, spec.init_state) for spec in episodes})
        blocks = max(1, len(init_states) * len(episodes) // (batch * max(1, cells)))
        self._blocks = {init_state: i * blocks // len(init_states) for i, init_state in enumerate(init_states)}
        self._batches: dict[_Key, deque[EpisodeSpec]] = {}
        for spec in in_rounds(episodes):
            self._batches.setdefault(self._key(spec), deque()).append(spec)
        self._untouched = dict.fromkeys(sorted(self._batches, key=lambda key: key.block))

    def _key(self, spec: EpisodeSpec) -> _Key:
        return _Key(self._blocks[spec.init_state], spec.suite, spec.task)

    def next(self, last: EpisodeSpec | None) -> EpisodeSpec | None:
        """Remove and return the next episode for a worker whose last one was `last`; `None` if the queue is empty."""
        while batch := self._batch_of(last) or self._another_batch(last):
            # Also after one that is passed over, so that a run that goes on has the order of an undisturbed one.
            last = batch.popleft()
            if self._is_left(last):
                return last
        return None

    def _batch_of(self, last: EpisodeSpec | None) -> deque[EpisodeSpec] | None:
        return self._batches.get(self._key(last)) if last and last.init_state in self._blocks else None

    def __bool__(self) -> bool:
        """Whether there are episodes whose turn has not come."""
        return any(self._batches.values())

    def _another_batch(self, last: EpisodeSpec | None) -> deque[EpisodeSpec] | None:
        """One of the lowest block that no worker has started, of the same task if possible; else one to help with."""
        if not self._untouched:
            return max(self._batches.values(), key=len, default=None)
        first = next(iter(self._untouched))
        same_task = _Key(first.block, last.suite, last.task) if last else first
        key = same_task if same_task in self._untouched else first
        del self._untouched[key]
        return self._batches[key]

    def requeue(self, spec: EpisodeSpec) -> None:
        """Put an episode whose worker died at the head of its batch."""
        self._batches[self._key(spec)].appendleft(spec)
