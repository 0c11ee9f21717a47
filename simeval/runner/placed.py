"""The source of episodes of a search: each is chosen by the results so far."""

from typing import TYPE_CHECKING

from simeval.core.types import EpisodeSpec

if TYPE_CHECKING:
    from simeval.config.searches import Placing


class PlacedEpisodes:
    """Hands out what a placement chooses; see `simeval.runner.queue.EpisodeSource`.

    A worker waits until the result of its last episode is recorded, so that the choice can use it.
    """

    def __init__(self, placement: "Placing", workers: int | None) -> None:
        """Start.

        Args:
            placement: chooses; whoever runs the source records the results.
            workers: most episodes that run at once; `None` if it is not known.
        """
        self._placement, self._workers = placement, workers

    def next(self, last: EpisodeSpec | None) -> EpisodeSpec | None:
        """The next episode; `None` if there is none at present."""
        del last  # a batch of one task would not be about the same tasks as the whole
        if self._workers is not None and self._placement.running >= self._workers:
            return None
        return self._placement.next()

    def requeue(self, spec: EpisodeSpec) -> None:
        """The worker of an episode died: it has to run again."""
        self._placement.requeue(spec)

    def __bool__(self) -> bool:
        """Whether there may be more episodes."""
        return self._placement.has_next
