"""The contract of a runner, and the one that runs episodes in this process."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from simeval.policies.base import WorkerFacts
from simeval.runner.queue import EpisodeSource
from simeval.runner.watchdog import StallTimer, stall_warnings
from simeval.runner.worker import EpisodeOutput, EpisodeWorker, WorkerSetup


class Runner(Protocol):
    """A place to run episodes."""

    def facts(self) -> WorkerFacts:
        """Load the policy; returns its spec, and the kernels that episodes run with.

        Raises:
            ConfigError: it cannot be loaded.
        """

    def run(self, source: EpisodeSource) -> Iterator[Sequence[EpisodeOutput]]:
        """Run what a source hands out; yields each episode once, in batches that finished at the same time."""


class SerialRunner:
    """Runs everything in this process."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._worker = EpisodeWorker(setup)

    def facts(self) -> WorkerFacts:
        """See `Runner`."""
        return self._worker.facts()

    def run(self, source: EpisodeSource) -> Iterator[Sequence[EpisodeOutput]]:
        """See `Runner`."""
        timer = StallTimer()
        with stall_warnings(timer, lambda: str(self._worker.status() or "it is being written")):
            spec = None
            while spec := source.next(spec):
                output = self._worker.run(spec)
                timer.reset()
                yield (output,)
