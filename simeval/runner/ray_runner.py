"""Runs episodes on Ray actors; yields results as they come and writes no file.

Episodes go from an `EpisodeQueue` to the workers of a `Fleet`, one at a time.

Non-obvious behaviour:
- A worker stays with a task for some rounds, because building a scene costs seconds; see `EpisodeQueue`.
- A worker that dies loses only its episode in flight, which runs again on another worker. An episode that has killed
  `ATTEMPTS` workers becomes an error row; workers that died with their whole node do not count.
"""

import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import replace

from msgspec import structs

from simeval.core.errors import first_line
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.actor import ActorPolicy
from simeval.policies.base import WorkerFacts
from simeval.runner.fleet import ATTEMPTS, Fleet, Worker
from simeval.runner.heartbeat import EpisodeStatus, read_status
from simeval.runner.queue import EpisodeQueue, EpisodeSource
from simeval.runner.replies import Replies
from simeval.runner.watchdog import StallTimer
from simeval.runner.worker import TIMEOUT, EpisodeOutput, WorkerSetup

_POLL_S = 5.0
"""Seconds between checks of which nodes are alive, and which episodes are overdue."""
_MAX_LISTED = 3
"""Most running episodes whose status a warning lists."""

_log = logging.getLogger("simeval")


class RayRunner:
    """Runs episodes on rollout actors in a Ray cluster: the loop that hands them out and takes the results."""

    def __init__(self, setup: WorkerSetup, workers: int | None, *, cluster: bool) -> None:
        """Start the actors; Ray must be running.

        Args:
            setup: shared by all workers; a `PolicyChoice` is loaded inside each.
            workers: number of workers. If there are more than CPUs, they share the CPUs on this machine, and wait for
                nodes in a cluster. `None` for one per CPU there is now.
            cluster: whether Ray was running before this process.

        Raises:
            ConfigError: a node of the cluster differs from this one, or lacks what the run needs.
        """
        self._policy, self._timeout = setup.policy, setup.timeout
        self._source: EpisodeSource = EpisodeQueue(())
        self._deaths: dict[EpisodeSpec, list[str]] = {}
        self._outputs: list[EpisodeOutput] = []
        self._poll = _POLL_S if setup.timeout is None else min(_POLL_S, setup.timeout / 2)
        self._checked, self._stall_timer = time.monotonic(), StallTimer()
        self._replies = Replies()
        self._fleet = Fleet(setup, workers, self._replies, self._dispatch, cluster=cluster)

    def facts(self) -> WorkerFacts:
        """See `Runner`."""
        while self._fleet.facts is None:
            self._wait()
        return self._fleet.facts

    def run(self, source: EpisodeSource) -> Generator[Sequence[EpisodeOutput]]:
        """See `Runner`."""
        self._source = source
        self._stall_timer.reset()
        self._dispatch()
        while self._source or self._is_busy():
            try:
                self._wait()
            finally:
                outputs, self._outputs = self._outputs, []
                if outputs:
                    self._stall_timer.reset()
                    yield outputs
            self._dispatch()  # a source may have waited for these results

    def _wait(self) -> None:
        """Wait a while for replies of workers and handle them; check the workers now and then."""
        self._replies.handle(self._poll)
        if time.monotonic() - self._checked > self._poll:
            self._checked = time.monotonic()
            self._fleet.check(self._checked)
            self._check_episodes()

    def _is_busy(self) -> bool:
        return bool(self._outputs) or any(worker.running for worker in self._fleet.workers)

    def _dispatch(self) -> None:
        """Send episodes to idle workers until either runs out."""
        while self._fleet.idle:
            spec = self._source.next(self._fleet.idle[-1].last)
            if spec is None:
                return
            self._fleet.run(spec, self._on_output, self._on_death)

    def _on_output(self, spec: EpisodeSpec, output: EpisodeOutput) -> None:
        """An episode has ended."""
        # The copy of the spec that came back would double the memory of a large plan.
        self._outputs.append(replace(output, result=structs.replace(output.result, spec=spec)))

    def _on_death(self, spec: EpisodeSpec, node: str, error: Exception) -> None:
        """The worker of an episode died, or the connection to it broke: requeue or fail the episode."""
        deaths = self._deaths.setdefault(spec, [])
        deaths.append(node)
        # All deaths are counted again: Ray may report a dead node later than its dead workers.
        if sum(map(self._fleet.is_alive, deaths)) < ATTEMPTS:
            self._source.requeue(spec)
            return
        text = f"broke {ATTEMPTS} workers: {first_line(error)[:300]}"
        self._outputs.append(EpisodeOutput(EpisodeResult(spec, "error", error_phase="worker", error_text=text)))

    def _check_episodes(self) -> None:
        """Stop overdue episodes, and warn with the status of the others if none finishes."""
        busy = [(worker, worker.running) for worker in self._fleet.workers if worker.running]
        busy.sort(key=lambda pair: pair[0].since)
        for worker, spec in busy:
            if self._timeout is not None and self._checked - worker.since > self._timeout:
                self._stop_overdue(worker, spec)
        seconds = self._stall_timer.due()
        if seconds is not None and busy:
            _log.warning("simeval: no episode has finished for %d s; %d are running", seconds, len(busy))
            for worker, spec in busy[:_MAX_LISTED]:
                status = _status(worker) or f"{spec.id} is somewhere; its worker does not say"
                _log.warning("simeval: %s, since %d s", status, self._checked - worker.since)

    def _stop_overdue(self, worker: Worker, spec: EpisodeSpec) -> None:
        """Kill the worker of an overdue episode, and restart the policy servers if it waits for one of them."""
        text = f"Overdue: it took longer than {self._timeout:g} s ({TIMEOUT}); its worker was killed"
        status = _status(worker)
        phase, steps = (status.phase, status.steps) if status else ("worker", 0)
        if phase == "policy" and isinstance(self._policy, ActorPolicy):
            self._policy.restart()
        self._outputs.append(EpisodeOutput(EpisodeResult(spec, "error", steps, error_phase=phase, error_text=text)))
        self._fleet.replace(worker)
        self._dispatch()


def _status(worker: Worker) -> EpisodeStatus | None:
    """The status that a worker wrote about the episode it runs; `None` if it wrote none."""
    note = read_status(worker.actor._actor_id.hex())
    return note if note and worker.running and note.id == worker.running.id else None
