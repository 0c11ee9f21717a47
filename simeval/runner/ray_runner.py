"""Runs episodes on Ray actors; yields results as they come and writes no file.

States of a worker, and the method that moves it on:

    starting -> arrived -> judged -> loaded -> running
                                       ^----------'

- starting: the actor is requested, and Ray has not placed it yet (`_start_worker`).
- arrived: the actor is on a node; on one that joined later it waits for the node's inspection (`_on_arrived`).
- judged: the node may run episodes, as this machine always may, and the worker loads the policy (`_on_inspected`,
  `_load`). On a node that differs the worker is replaced.
- loaded: it has the policy and waits for an episode (`_on_loaded`).
- running: an episode is in flight (`_dispatch`); its result makes the worker `loaded` again (`_on_result`).

From any state a worker may be lost (`_on_lost`): it is dropped, and another one takes its place.

Non-obvious behaviour:
- A worker stays with a task while the task has episodes left, because building a scene costs seconds. A worker without
  a task helps where most episodes are left.
- A worker that dies loses only its episode in flight, which runs again on another worker. An episode that has killed
  `ATTEMPTS` workers becomes an error row; workers that died with their whole node do not count.
- In a cluster each worker takes a CPU, and Ray places the workers. Those without a CPU wait until a node joins, also
  those that replace the workers of a node that died.
- A node is compared with this one before it runs anything. A node that differs stops the run if it is there from the
  start; one that joins later is left out.
- Replies arrive by callback: waiting for the first of thousands takes the driver about three times as long.
"""

import contextlib
import functools
import logging
import queue
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simeval.core import kernels
from simeval.core.errors import ConfigError, RunError, first_line
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.base import PolicySpec, WorkerFacts
from simeval.policies.server import RemotePolicy
from simeval.runner.heartbeat import EpisodeStatus, read_status
from simeval.runner.nodes import NodeFacts, Nodes, inspection_error, requirements_of
from simeval.runner.queue import EpisodeQueue
from simeval.runner.session import is_gone, process_environment
from simeval.runner.watchdog import StallTimer
from simeval.runner.worker import TIMEOUT, EpisodeOutput, Placement, RemoteWorker, WorkerSetup

ATTEMPTS = 3
"""Workers that an episode may kill before it becomes an error row, and workers that may die in a row while starting."""

_STALL_WARNING_S = 60.0
"""Seconds without any worker before a warning says what the run is waiting for."""
_POLL_S = 5.0
"""Seconds between checks of which nodes are alive, and which episodes are overdue."""
_MAX_MISSED_CHECKS = 8
"""Checks in a row at which a cluster's central process may be missing."""
_MAX_LISTED = 3
"""Most running episodes whose status a warning lists."""

_log = logging.getLogger("simeval")


@dataclass(eq=False, slots=True)
class _Worker:
    """A rollout actor, as the driver sees it; the module's docstring lists its states.

    Attributes:
        actor: Ray's handle.
        node: Ray's id of its node; empty while it is starting.
        slot: index of the worker on its node.
        loaded: whether it has loaded the policy.
        running: the episode in flight; `None` in every state but running.
        since: when that episode was sent (monotonic clock, s).
        last: the previous episode, whose scene the worker has built.
    """

    actor: Any
    node: str = ""
    slot: int = 0
    loaded: bool = False
    running: EpisodeSpec | None = None
    since: float = 0.0
    last: EpisodeSpec | None = None


class RayRunner:
    """Runs episodes on rollout actors in a Ray cluster: starts them, dispatches episodes and replaces lost actors."""

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
        import ray

        cpus = float(ray.cluster_resources().get("CPU", 0.0))
        self._n_workers = max(1, int(cpus)) if workers is None else workers
        self._nodes = Nodes(requirements_of(setup.policy, setup.assets)) if cluster else None
        self._setup, self._rejected = setup, set[str]()
        if self._nodes:
            self._nodes.check_all()
            # Workers on this machine inherit this process' environment; those of a running cluster do not.
            environment = {"env_vars": process_environment()}
            self._options: dict[str, Any] = {"runtime_env": environment, "scheduling_strategy": "SPREAD"}
            if self._n_workers > cpus:
                _log.warning("simeval: %d CPUs for %d workers: the others wait for nodes", int(cpus), self._n_workers)
        else:
            self._options = {"num_cpus": min(1.0, max(0.01, cpus / (self._n_workers + 1)))}
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._workers: set[_Worker] = set()
        self._uninspected: dict[str, list[_Worker]] = {}
        self._slots: dict[str, set[int]] = {}
        self._idle: list[_Worker] = []
        self._working_nodes: set[str] = set()
        self._failed_starts: list[str] = []
        self._last_failure = ""
        self._facts: WorkerFacts | None = None
        self._queue = EpisodeQueue(())
        self._deaths: dict[EpisodeSpec, list[str]] = {}
        self._checked = self._had_workers = time.monotonic()
        self._timeout, self._stall_timer = setup.timeout, StallTimer()
        self._poll = _POLL_S if setup.timeout is None else min(_POLL_S, setup.timeout / 2)
        self._outputs: list[EpisodeOutput] = []
        self._missed_checks = 0
        for _ in range(self._n_workers):
            self._start_worker()

    def facts(self) -> WorkerFacts:
        """See `Runner`."""
        while self._facts is None:
            self._process_events()
        return self._facts

    def run(self, episodes: Sequence[EpisodeSpec]) -> Generator[Sequence[EpisodeOutput]]:
        """See `Runner`."""
        self._queue, left = EpisodeQueue(episodes), len(episodes)
        self._stall_timer.reset()
        self._dispatch()
        while left:
            try:
                self._process_events()
            finally:
                outputs, self._outputs = self._outputs, []
                if outputs:
                    self._stall_timer.reset()
                    left -= len(outputs)
                    yield outputs

    def _process_events(self) -> None:
        """Wait a while for events and handle all that have arrived."""
        with contextlib.suppress(queue.Empty):
            first = self._events.get(timeout=self._poll)
            first()
            for _ in range(self._events.qsize()):  # not until it is empty: fast workers never stop sending
                self._events.get_nowait()()
        if time.monotonic() - self._checked > self._poll:
            self._check_cluster()

    def _check_cluster(self) -> None:
        """Start missing workers again, and warn about lost nodes and stalls.

        Raises:
            RunError: Ray's central process is gone.
        """
        self._checked = time.monotonic()
        self._missed_checks = self._missed_checks + 1 if is_gone() else 0
        # That of a cluster may be restarted elsewhere; Ray waits for it for a minute.
        if self._missed_checks and (self._nodes is None or self._missed_checks > _MAX_MISSED_CHECKS):
            raise RunError("Ray's central process (GCS) is gone")
        for _ in range(self._n_workers - len(self._workers)):
            self._start_worker()
        if self._nodes:
            for node in [node for node in self._working_nodes if not self._nodes.is_alive(node)]:
                self._working_nodes.discard(node)
                _log.warning("simeval: node %s is gone; its episodes run elsewhere", self._nodes.name(node))
        if any(worker.loaded for worker in self._workers):
            self._had_workers = self._checked
        elif self._checked - self._had_workers > _STALL_WARNING_S:
            self._had_workers = self._checked
            _log.warning("simeval: no worker is running; %s%s", _free_cpus(), self._last_failure)
        self._check_episodes()

    def _check_episodes(self) -> None:
        """Stop overdue episodes, and warn with the status of the others if none finishes."""
        busy = [(worker, worker.running) for worker in self._workers if worker.running]
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

    def _stop_overdue(self, worker: _Worker, spec: EpisodeSpec) -> None:
        """Kill the worker of an overdue episode, and restart the policy servers if it waits for one of them."""
        text = f"Overdue: it took longer than {self._timeout:g} s ({TIMEOUT}); its worker was killed"
        status = _status(worker)
        phase, steps = (status.phase, status.steps) if status else ("worker", 0)
        if phase == "policy" and isinstance(self._setup.policy, RemotePolicy):
            self._setup.policy.restart()
        worker.running = None
        self._outputs.append(EpisodeOutput(EpisodeResult(spec, "error", steps, error_phase=phase, error_text=text)))
        self._replace(worker)
        self._dispatch()

    def _when_done(self, ref: Any, on_result: Callable[[Any], None], on_error: Callable[[Exception], None]) -> None:
        """Have `_process_events` call back with the result of a remote call, or with Ray's error."""
        import ray

        def call_back(done: Any) -> None:
            try:
                result = done.result()
            except ray.exceptions.RayError as error:
                on_error(error)
            else:
                on_result(result)

        ref.future().add_done_callback(lambda done: self._events.put(functools.partial(call_back, done)))

    def _start_worker(self) -> None:
        """Request an actor: the worker is starting."""
        import ray

        options = {"num_cpus": 1, "max_restarts": 0, **self._options}
        if self._rejected:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._rejected))})"}
        worker = _Worker(ray.remote(RemoteWorker).options(**options).remote(self._setup))
        self._workers.add(worker)
        self._when_done(
            worker.actor.node.remote(),
            lambda node: self._on_arrived(worker, node.hex()),
            lambda error: self._on_lost(worker, error),
        )

    def _on_arrived(self, worker: _Worker, node: str) -> None:
        """A worker has arrived on a node: load it, have the node inspected, or replace the worker."""
        slots = self._slots.setdefault(node, set())
        worker.node, worker.slot = node, next(slot for slot in range(len(slots) + 1) if slot not in slots)
        slots.add(worker.slot)
        if self._nodes is None or self._nodes.admitted(node):
            self._load(worker)
        elif node in self._rejected:
            self._replace(worker)
        elif node in self._uninspected:
            self._uninspected[node].append(worker)
        else:
            self._uninspected[node] = [worker]
            on_inspected = functools.partial(self._on_inspected, node, self._nodes)
            self._when_done(self._nodes.inspect(node), on_inspected, on_inspected)

    def _on_inspected(self, node: str, nodes: Nodes, facts: NodeFacts | Exception) -> None:
        """A node that joined has been inspected: load the workers on it, or replace them elsewhere."""
        reason = inspection_error(facts) if isinstance(facts, Exception) else nodes.admit(node, facts)
        if reason and nodes.is_alive(node):
            self._rejected.add(node)
            _log.warning("simeval: node %s is left out: %s", nodes.name(node), reason)
        for worker in self._uninspected.pop(node):
            if reason is None:
                self._load(worker)
            elif worker in self._workers:
                self._replace(worker)

    def _load(self, worker: _Worker) -> None:
        """The node has been judged fit: have the worker load the policy."""
        assets = self._nodes.assets(worker.node) if self._nodes else self._setup.assets
        self._when_done(
            worker.actor.load.remote(Placement(assets, worker.slot)),
            lambda facts: self._on_loaded(worker, facts),
            lambda error: self._on_lost(worker, error),
        )

    def _on_loaded(self, worker: _Worker, facts: WorkerFacts | str) -> None:
        """A worker is loaded; `facts` is the reason if it could not load.

        Raises:
            ConfigError: it could not, or it computes otherwise than the first worker.
        """
        reason = facts if isinstance(facts, str) else _difference(facts, self._facts or facts)
        if isinstance(facts, str) or reason:
            raise ConfigError(f"node {self._nodes.name(worker.node)}: {reason}" if self._nodes else str(reason))
        if self._nodes and worker.node not in self._working_nodes:
            self._working_nodes.add(worker.node)
            _log.warning("simeval: node %s works", self._nodes.name(worker.node))
        self._facts, worker.loaded, self._last_failure = facts, True, ""
        self._failed_starts.clear()
        self._idle.append(worker)
        self._dispatch()

    def _dispatch(self) -> None:
        """Send episodes to idle workers until either runs out."""
        while self._idle:
            worker = self._idle[-1]
            worker.running = self._queue.next(worker.last)
            if worker.running is None:
                return
            worker.since = time.monotonic()
            self._idle.pop()
            self._run(worker, worker.running)

    def _run(self, worker: _Worker, spec: EpisodeSpec) -> None:
        self._when_done(
            worker.actor.run.remote(spec),
            lambda output: self._on_result(worker, spec, output),
            lambda error: self._on_lost(worker, error),
        )

    def _on_result(self, worker: _Worker, spec: EpisodeSpec, output: EpisodeOutput | str) -> None:
        """An episode has ended; `output` is the reason if no episode can be carried out.

        Raises:
            ConfigError: none can.
        """
        if isinstance(output, str):
            raise ConfigError(output)
        worker.last, worker.running = spec, None
        # The copy of the spec that came back would double the memory of a large plan.
        self._outputs.append(replace(output, result=replace(output.result, spec=spec)))
        self._idle.append(worker)
        self._dispatch()

    def _on_lost(self, worker: _Worker, error: Exception) -> None:
        """A worker died, or the connection to it broke: requeue or fail its episode, and replace it.

        Raises:
            ConfigError: too many workers died while starting.
        """
        if worker not in self._workers:
            return
        spec = worker.running
        if spec is not None:
            deaths = self._deaths.setdefault(spec, [])
            deaths.append(worker.node)
            # All deaths are counted again: Ray may report a dead node later than its dead workers.
            if sum(map(self._is_alive, deaths)) < ATTEMPTS:
                self._queue.requeue(spec)
            else:
                self._outputs.append(EpisodeOutput(_error_result(spec, error)))
        elif not worker.loaded:
            self._failed_starts.append(worker.node)
            at_start = self._facts is None
            blamed = [node for node in self._failed_starts if self._is_alive(node) and (node or at_start)]
            if len(blamed) >= (1 if at_start and self._nodes is None else ATTEMPTS):
                raise ConfigError(f"a worker died while it loaded the policy: {first_line(error)}")
            # Not replaced at once: for a while Ray still places workers on a node that has just died.
            self._last_failure = f"; the last one did not start: {first_line(error)}"
            self._drop(worker)
            return
        self._replace(worker)
        self._dispatch()

    def _is_alive(self, node: str) -> bool:
        """Whether a node is alive, so that its death does not explain a failure."""
        return self._nodes is None or not node or self._nodes.is_alive(node)

    def _replace(self, worker: _Worker) -> None:
        self._drop(worker)
        self._start_worker()

    def _drop(self, worker: _Worker) -> None:
        import ray

        self._workers.discard(worker)
        self._slots.get(worker.node, set()).discard(worker.slot)
        with contextlib.suppress(ValueError):
            self._idle.remove(worker)
        ray.kill(worker.actor)  # it may be alive, if only the connection broke


def _difference(worker: WorkerFacts, first: WorkerFacts) -> str | None:
    """How a worker computes otherwise than the first one; `None` if it does not."""
    numerics = kernels.difference({"numerics": first.kernels}, {"numerics": worker.kernels})
    return f"other numerics than elsewhere: {numerics}" if numerics else _policy_difference(worker.policy, first.policy)


def _policy_difference(worker: PolicySpec, first: PolicySpec) -> str | None:
    """How the policy of a worker differs from that of the first one; `None` if it does not."""
    if worker == first:
        return None
    values, expected = dict(worker.fingerprint), dict(first.fingerprint)
    changed = [
        f"{key} {values.get(key)} there, {value} elsewhere"
        for key, value in expected.items()
        if values.get(key) != value
    ]
    return f"the policy runs otherwise than elsewhere: {'; '.join(changed)}; --device says where it runs"


def _error_result(spec: EpisodeSpec, error: Exception) -> EpisodeResult:
    """The error row of an episode that killed too many workers."""
    reason = first_line(error)
    return EpisodeResult(spec, "error", error_phase="worker", error_text=f"broke {ATTEMPTS} workers: {reason[:300]}")


def _status(worker: _Worker) -> EpisodeStatus | None:
    """The status that a worker wrote about the episode it runs; `None` if it wrote none."""
    note = read_status(worker.actor._actor_id.hex())
    return note if note and worker.running and note.id == worker.running.id else None


def _free_cpus() -> str:
    import ray

    total, free = (resources().get("CPU", 0.0) for resources in (ray.cluster_resources, ray.available_resources))
    return f"of the cluster's {total:g} CPUs {free:g} are free, and a worker takes one"
