"""The workers of a run: rollout actors that are started, checked, loaded and replaced; see `WorkerState`.

Non-obvious behaviour:
- In a cluster each worker takes a CPU, and Ray places the workers. Those without a CPU wait until a node joins, also
  those that replace the workers of a node that died.
- A node is compared with this one before it runs anything. A node that differs stops the run if it is there from the
  start; one that joins later is left out.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from simeval.core.errors import ConfigError, RunError, first_line
from simeval.core.types import EpisodeSpec
from simeval.policies.base import WorkerFacts
from simeval.runner.nodes import NodeFacts, Nodes, inspection_error, requirements_of, worker_difference
from simeval.runner.replies import Replies
from simeval.runner.session import is_gone, process_environment
from simeval.runner.worker import EpisodeOutput, Placement, RemoteWorker, WorkerSetup

ATTEMPTS = 3
"""Workers that an episode may kill before it becomes an error row, and workers that may die in a row while starting."""

_STALL_WARNING_S = 60.0
"""Seconds without any worker before a warning says what the run is waiting for."""
_MAX_MISSED_CHECKS = 8
"""Checks in a row at which a cluster's central process may be missing."""

_log = logging.getLogger("simeval")


class WorkerState(Enum):
    """The states of a worker, in order: running and loaded alternate, and from any state it may be dropped."""

    STARTING = auto()
    """The actor is requested, and Ray has not placed it yet."""
    ARRIVED = auto()
    """The actor is on a node; on one that joined later it waits for the node's inspection."""
    CHECKED = auto()
    """The node may run episodes, as this machine always may, and the worker loads the policy."""
    LOADED = auto()
    """It has the policy and waits for an episode."""
    RUNNING = auto()
    """An episode is in flight."""
    DROPPED = auto()
    """It died, its node differs, or its episode was overdue; its replies no longer count."""


@dataclass(eq=False, slots=True)
class Worker:
    """A rollout actor, as the driver sees it.

    Attributes:
        actor: Ray's handle.
        state: see `WorkerState`.
        node: Ray's id of its node; empty while it is starting.
        slot: index of the worker on its node.
        running: the episode in flight; `None` in every state but running.
        since: when that episode was sent (monotonic clock, s).
        last: the previous episode, whose scene the worker has built.
    """

    actor: Any
    state: WorkerState = WorkerState.STARTING
    node: str = ""
    slot: int = 0
    running: EpisodeSpec | None = None
    since: float = 0.0
    last: EpisodeSpec | None = None


class Fleet:
    """Starts rollout actors in a Ray cluster, has their nodes checked, and replaces those that are lost.

    Attributes:
        workers: the workers that are not dropped.
        idle: the loaded ones among them; the one that was busy last is the last.
        facts: facts of the worker that loaded last, in which all agree; `None` until one has.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        workers: int | None,
        replies: Replies,
        on_idle: Callable[[], None],
        *,
        cluster: bool,
    ) -> None:
        """Start the actors; Ray must be running.

        Args:
            setup: shared by all workers.
            workers: number of workers; `None` for one per CPU there is now.
            replies: handles the replies of the actors.
            on_idle: called when a worker may be idle.
            cluster: whether Ray was running before this process.

        Raises:
            ConfigError: a node of the cluster differs from this one, or lacks what the run needs.
        """
        import ray

        self._setup, self._replies, self._on_idle = setup, replies, on_idle
        self.workers: set[Worker] = set()
        self.idle: list[Worker] = []
        self.facts: WorkerFacts | None = None
        cpus = float(ray.cluster_resources().get("CPU", 0.0))
        self._n_workers = max(1, int(cpus)) if workers is None else workers
        self._nodes = Nodes(requirements_of(setup.policy, setup.assets)) if cluster else None
        if self._nodes:
            self._nodes.check_all()
            # Workers on this machine inherit this process' environment; those of a running cluster do not.
            environment = {"env_vars": process_environment()}
            self._options: dict[str, Any] = {"runtime_env": environment, "scheduling_strategy": "SPREAD"}
            if self._n_workers > cpus:
                _log.warning("simeval: %d CPUs for %d workers: the others wait for nodes", int(cpus), self._n_workers)
        else:
            self._options = {"num_cpus": min(1.0, max(0.01, cpus / (self._n_workers + 1)))}
        self._rejected, self._working_nodes = set[str](), set[str]()
        self._uninspected: dict[str, list[Worker]] = {}
        self._failed_starts: list[str] = []
        self._last_failure = ""
        self._had_workers, self._missed_checks = time.monotonic(), 0
        self._start_missing()

    def run(
        self,
        spec: EpisodeSpec,
        on_output: Callable[[EpisodeSpec, EpisodeOutput], None],
        on_death: Callable[[EpisodeSpec, str, Exception], None],
    ) -> None:
        """Have the last idle worker run an episode.

        Args:
            spec: the episode.
            on_output: called with the episode and its output; the worker is idle again.
            on_death: called with the episode, the worker's node and the error if the worker dies; it is replaced.
        """
        worker = self.idle.pop()
        worker.state, worker.running, worker.since = WorkerState.RUNNING, spec, time.monotonic()

        def receive(reply: EpisodeOutput | str | Exception) -> None:
            if isinstance(reply, str):
                raise ConfigError(reply)
            if isinstance(reply, Exception):
                on_death(spec, worker.node, reply)
                self.replace(worker)
            else:
                on_output(spec, reply)
                worker.state, worker.running, worker.last = WorkerState.LOADED, None, spec
                self.idle.append(worker)
            self._on_idle()

        self._when_replied(worker, worker.actor.run.remote(spec), receive)

    def replace(self, worker: Worker) -> None:
        """Kill a worker and start another one."""
        self._drop(worker)
        self._start_worker()

    def is_alive(self, node: str) -> bool:
        """Whether a node is alive, so that its death does not explain a failure."""
        return self._nodes is None or not node or self._nodes.is_alive(node)

    def check(self, now: float) -> None:
        """Start missing workers again, and warn about lost nodes and about a lack of workers.

        Args:
            now: monotonic clock (s).

        Raises:
            RunError: Ray's central process is gone.
        """
        self._missed_checks = self._missed_checks + 1 if is_gone() else 0
        # That of a cluster may be restarted elsewhere; Ray waits for it for a minute.
        if self._missed_checks and (self._nodes is None or self._missed_checks > _MAX_MISSED_CHECKS):
            raise RunError("Ray's central process (GCS) is gone")
        self._start_missing()
        if self._nodes:
            for node in [node for node in self._working_nodes if not self._nodes.is_alive(node)]:
                self._working_nodes.discard(node)
                _log.warning("simeval: node %s is gone; its episodes run elsewhere", self._nodes.name(node))
        if any(worker.state in (WorkerState.LOADED, WorkerState.RUNNING) for worker in self.workers):
            self._had_workers = now
        elif now - self._had_workers > _STALL_WARNING_S:
            self._had_workers = now
            _log.warning("simeval: no worker is running; %s%s", _free_cpus(), self._last_failure)

    def _when_replied(self, worker: Worker, ref: Any, receive: Callable[[Any], None]) -> None:
        """Call back with the result of a worker's call, or with Ray's error, unless the worker is dropped by then."""

        def on_reply(reply: Any) -> None:
            if worker.state is not WorkerState.DROPPED:
                receive(reply)

        self._replies.when_done(ref, on_reply)

    def _start_missing(self) -> None:
        for _ in range(self._n_workers - len(self.workers)):
            self._start_worker()

    def _start_worker(self) -> None:
        """Request an actor: the worker is starting."""
        import ray

        options = {"num_cpus": 1, "max_restarts": 0, **self._options}
        if self._rejected:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._rejected))})"}
        worker = Worker(ray.remote(RemoteWorker).options(**options).remote(self._setup))
        self.workers.add(worker)
        self._when_replied(worker, worker.actor.node.remote(), functools.partial(self._on_arrived, worker))

    def _on_arrived(self, worker: Worker, node_id: bytes | Exception) -> None:
        """A worker has arrived on a node: load it, have the node inspected, or replace the worker."""
        if isinstance(node_id, Exception):
            self._on_failed_start(worker, node_id)
            return
        node = node_id.hex()
        taken = {other.slot for other in self.workers if other.node == node}
        worker.state, worker.node = WorkerState.ARRIVED, node
        worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        if self._nodes is None or self._nodes.admitted(node):
            self._load(worker)
        elif node in self._rejected:
            self.replace(worker)
        elif node in self._uninspected:
            self._uninspected[node].append(worker)
        else:
            self._uninspected[node] = [worker]
            self._replies.when_done(self._nodes.inspect(node), functools.partial(self._on_inspected, node, self._nodes))

    def _on_inspected(self, node: str, nodes: Nodes, facts: NodeFacts | Exception) -> None:
        """A node that joined has been inspected: load the workers on it, or replace them elsewhere."""
        reason = inspection_error(facts) if isinstance(facts, Exception) else nodes.admit(node, facts)
        if reason and nodes.is_alive(node):
            self._rejected.add(node)
            _log.warning("simeval: node %s is left out: %s", nodes.name(node), reason)
        for worker in self._uninspected.pop(node):
            if reason is None:
                self._load(worker)
            else:
                self.replace(worker)

    def _load(self, worker: Worker) -> None:
        """The node may run episodes: have the worker load the policy."""
        worker.state = WorkerState.CHECKED
        assets = self._nodes.assets(worker.node) if self._nodes else self._setup.assets
        ref = worker.actor.load.remote(Placement(assets, worker.slot))
        self._when_replied(worker, ref, functools.partial(self._on_loaded, worker))

    def _on_loaded(self, worker: Worker, facts: WorkerFacts | str | Exception) -> None:
        """A worker is loaded; `facts` is the reason if it could not load.

        Raises:
            ConfigError: it could not, or it computes otherwise than the first worker.
        """
        if isinstance(facts, Exception):
            self._on_failed_start(worker, facts)
            return
        reason = facts if isinstance(facts, str) else worker_difference(facts, self.facts or facts)
        if isinstance(facts, str) or reason:
            raise ConfigError(f"node {self._nodes.name(worker.node)}: {reason}" if self._nodes else str(reason))
        if self._nodes and worker.node not in self._working_nodes:
            self._working_nodes.add(worker.node)
            _log.warning("simeval: node %s works", self._nodes.name(worker.node))
        self.facts, worker.state, self._last_failure = facts, WorkerState.LOADED, ""
        self._failed_starts.clear()
        self.idle.append(worker)
        self._on_idle()

    def _on_failed_start(self, worker: Worker, error: Exception) -> None:
        """A worker died before it was loaded; `check` starts another one.

        Raises:
            ConfigError: too many workers died while starting.
        """
        self._failed_starts.append(worker.node)
        at_start = self.facts is None
        blamed = [node for node in self._failed_starts if self.is_alive(node) and (node or at_start)]
        if len(blamed) >= (1 if at_start and self._nodes is None else ATTEMPTS):
            raise ConfigError(f"a worker died while it loaded the policy: {first_line(error)}")
        # Not replaced at once: for a while Ray still places workers on a node that has just died.
        self._last_failure = f"; the last one did not start: {first_line(error)}"
        self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        import ray

        worker.state, worker.running = WorkerState.DROPPED, None
        self.workers.discard(worker)
        with contextlib.suppress(ValueError):
            self.idle.remove(worker)
        ray.kill(worker.actor)  # it may be alive, if only the connection broke


def _free_cpus() -> str:
    import ray

    total, free = (resources().get("CPU", 0.0) for resources in (ray.cluster_resources, ray.available_resources))
    return f"of the cluster's {total:g} CPUs {free:g} are free, and a worker takes one"
