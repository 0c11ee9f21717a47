"""The contract of a runner, and the one that runs episodes in this process."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from simeval.core.types import EpisodeSpec
from simeval.policies.base import WorkerFacts
from simeval.runner.queue import BATCH, EpisodeQueue, always
from simeval.runner.watchdog import StallTimer, stall_warnings
from simeval.runner.worker import EpisodeOutput, EpisodeWorker, WorkerSetup


class Runner(Protocol):
    """A place to run episodes."""

    def facts(self) -> WorkerFacts:
        """Load the policy; returns its spec, and the kernels that episodes run with.

        Raises:
            ConfigError: it cannot be loaded.
        """

    def run(
        self, episodes: Sequence[EpisodeSpec], is_left: Callable[[EpisodeSpec], bool] = always, batch: int = BATCH
    ) -> Iterator[Sequence[EpisodeOutput]]:
        """Run the episodes of a plan that are left; yields each once, in batches that finished at the same time.

        Args:
            episodes: of the whole plan.
            is_left: whether an episode has to run; asked when its turn comes.
            batch: see `EpisodeQueue`.
        """


class SerialRunner:
    """Runs everything in this process."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._worker = EpisodeWorker(setup)

    def facts(self) -> WorkerFacts:
        """See `Runner`."""
        return self._worker.facts()

    def run(
        self, episodes: Sequence[EpisodeSpec], is_left: Callable[[EpisodeSpec], bool] = always, batch: int = BATCH
    ) -> Iterator[Sequence[EpisodeOutput]]:
        """See `Runner`."""
        timer = StallTimer()
        with stall_warnings(timer, lambda: str(self._worker.status() or "it is being written")):
            queue, spec = EpisodeQueue(episodes, is_left, batch), None
            while spec := queue.next(spec):
                output = self._worker.run(spec)
                timer.reset()
                yield (output,)
