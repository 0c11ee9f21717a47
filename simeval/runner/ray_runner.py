"""Where episodes run: in this process, or on Ray actors. Both yield results as they come; neither writes a file.

Non-obvious behaviour:
- A worker stays with a task while it has episodes left, because building a scene costs seconds; a worker without a
  task helps where most is left.
- A worker that dies costs its episode in flight, which runs again elsewhere. An episode that has killed
  `ATTEMPTS` workers becomes an error row; workers that died with their whole node do not count.
- In a cluster each worker takes a CPU, and Ray places them. Workers without one wait until a node joins, also those
  that replace the workers of a node that died.
- A node is compared with this one before it runs anything. One that differs stops the run if it is there from the
  start; one that joins later is left out.
- Answers come in by callback: to wait for the first of thousands takes the driver about three times as long.
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
from simeval.runner.heartbeat import EpisodeStatus, read
from simeval.runner.nodes import NodeFacts, Nodes, inspection_error, needs_of
from simeval.runner.queue import EpisodeQueue
from simeval.runner.session import is_gone, process_environment
from simeval.runner.watchdog import Silence
from simeval.runner.worker import TIMEOUT, EpisodeOutput, Placement, RemoteWorker, WorkerSetup

ATTEMPTS = 3
"""How many workers an episode may kill before it counts as an error, and how many may die in a row as they start."""

_PATIENCE = 60.0
"""Seconds without any worker after which a person is told what the run is waiting for."""
_POLL_S = 5.0
"""Seconds between looks at which nodes are alive, and which episodes take too long."""
_MISSES = 8
"""Looks in a row at which a cluster's central process may be missing."""
_TOLD = 3
"""Of how many episodes at most a person is told what they are doing."""

_log = logging.getLogger("simeval")


@dataclass(eq=False, slots=True)
class _Worker:
    """A rollout actor, as seen from here.

    Attributes:
        actor: Ray's handle.
        node: Ray's id of its node; empty until it has one.
        slot: which of the node's workers it is.
        loaded: whether it has its policy.
        running: the episode in flight.
        since: when it was sent there (monotonic clock, s).
        last: the one before, whose scene it has built.
    """

    actor: Any
    node: str = ""
    slot: int = 0
    loaded: bool = False
    running: EpisodeSpec | None = None
    since: float = 0.0
    last: EpisodeSpec | None = None


class RayRunner:
    """Rollout actors in a Ray cluster."""

    def __init__(self, setup: WorkerSetup, workers: int | None, *, cluster: bool) -> None:
        """Start the actors; Ray must be running.

        Args:
            setup: shared by all workers; a `PolicyChoice` is loaded inside each.
            workers: how many; on this machine more than it has CPUs share them, in a cluster they wait for nodes.
                `None` for as many as there are CPUs now.
            cluster: whether Ray was running before this process.

        Raises:
            ConfigError: a node of the cluster differs from this one, or lacks what the run needs.
        """
        import ray

        cpus = float(ray.cluster_resources().get("CPU", 0.0))
        self._wanted = max(1, int(cpus)) if workers is None else workers
        self._nodes = Nodes(needs_of(setup.policy, setup.assets)) if cluster else None
        self._setup, self._left_out = setup, set[str]()
        if self._nodes:
            self._nodes.check_all()
            # Workers started here inherit this process' environment; those of a running cluster have to be told.
            told = {"env_vars": process_environment()}
            self._options: dict[str, Any] = {"runtime_env": told, "scheduling_strategy": "SPREAD"}
            if self._wanted > cpus:
                _log.warning("simeval: %d CPUs for %d workers: the others wait for nodes", int(cpus), self._wanted)
        else:
            self._options = {"num_cpus": min(1.0, max(0.01, cpus / (self._wanted + 1)))}
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._workers: set[_Worker] = set()
        self._unseen: dict[str, list[_Worker]] = {}
        self._slots: dict[str, set[int]] = {}
        self._idle: list[_Worker] = []
        self._known: set[str] = set()
        self._failed_starts: list[str] = []
        self._trouble = ""
        self._facts: WorkerFacts | None = None
        self._queue = EpisodeQueue(())
        self._deaths: dict[EpisodeSpec, list[str]] = {}
        self._looked = self._worked = time.monotonic()
        self._timeout, self._silence = setup.timeout, Silence()
        self._glance = _POLL_S if setup.timeout is None else min(_POLL_S, setup.timeout / 2)
        self._finished: list[EpisodeOutput] = []
        self._missed = 0
        for _ in range(self._wanted):
            self._start()

    def facts(self) -> WorkerFacts:
        """See `Runner`."""
        while self._facts is None:
            self._listen()
        return self._facts

    def run(self, episodes: Sequence[EpisodeSpec]) -> Generator[Sequence[EpisodeOutput]]:
        """See `Runner`."""
        self._queue, left = EpisodeQueue(episodes), len(episodes)
        self._silence.heard()
        self._dispatch()
        while left:
            try:
                self._listen()
            finally:
                finished, self._finished = self._finished, []
                if finished:
                    self._silence.heard()
                    left -= len(finished)
                    yield finished

    def _listen(self) -> None:
        """Wait a while for news and act on all there are."""
        with contextlib.suppress(queue.Empty):
            first = self._events.get(timeout=self._glance)
            first()
            for _ in range(self._events.qsize()):  # not until there are none: fast workers send without end
                self._events.get_nowait()()
        if time.monotonic() - self._looked > self._glance:
            self._check_cluster()

    def _check_cluster(self) -> None:
        """Try again what did not start, and tell a person what became of the cluster."""
        self._looked = time.monotonic()
        self._missed = self._missed + 1 if is_gone() else 0
        # A cluster's may be started again elsewhere; Ray waits for it for a minute.
        if self._missed and (self._nodes is None or self._missed > _MISSES):
            raise RunError("Ray's central process (GCS) is gone")
        for _ in range(self._wanted - len(self._workers)):
            self._start()
        if self._nodes:
            for node in [node for node in self._known if not self._nodes.is_alive(node)]:
                self._known.discard(node)
                _log.warning("simeval: node %s is gone; its episodes run elsewhere", self._nodes.name(node))
        if any(worker.loaded for worker in self._workers):
            self._worked = self._looked
        elif self._looked - self._worked > _PATIENCE:
            self._worked = self._looked
            _log.warning("simeval: no worker is running; %s%s", _free(), self._trouble)
        self._look_at_episodes()

    def _look_at_episodes(self) -> None:
        """Stop episodes that take too long, and tell a person what the others do if none finishes."""
        busy = [(worker, worker.running) for worker in self._workers if worker.running]
        busy.sort(key=lambda pair: pair[0].since)
        for worker, spec in busy:
            if self._timeout is not None and self._looked - worker.since > self._timeout:
                self._stop(worker, spec)
        quiet = self._silence.lasted()
        if quiet is not None and busy:
            _log.warning("simeval: no episode has finished for %d s; %d are running", quiet, len(busy))
            for worker, spec in busy[:_TOLD]:
                where = _where(worker) or f"{spec.id} is somewhere; its worker does not say"
                _log.warning("simeval: %s, since %d s", where, self._looked - worker.since)

    def _stop(self, worker: _Worker, spec: EpisodeSpec) -> None:
        """An episode takes too long: its worker is killed, and the policy's servers if it waits for one of them."""
        text = f"Overdue: it took longer than {self._timeout:g} s ({TIMEOUT}); its worker was killed"
        where = _where(worker)
        phase, steps = (where.phase, where.steps) if where else ("worker", 0)
        if phase == "policy" and isinstance(self._setup.policy, RemotePolicy):
            self._setup.policy.restart()
        worker.running = None
        self._finished.append(EpisodeOutput(EpisodeResult(spec, "error", steps, error_phase=phase, error_text=text)))
        self._replace(worker)
        self._dispatch()

    def _ask(self, reply: Any, then: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        """Call back in `_listen` with what a remote call answers."""
        import ray

        def act(done: Any) -> None:
            try:
                answer = done.result()
            except ray.exceptions.RayError as error:
                failed(error)
            else:
                then(answer)

        reply.future().add_done_callback(lambda done: self._events.put(functools.partial(act, done)))

    def _start(self) -> None:
        import ray

        options = {"num_cpus": 1, "max_restarts": 0, **self._options}
        if self._left_out:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._left_out))})"}
        worker = _Worker(ray.remote(RemoteWorker).options(**options).remote(self._setup))
        self._workers.add(worker)
        self._ask(
            worker.actor.node.remote(),
            lambda node: self._arrived(worker, node.hex()),
            lambda error: self._lost(worker, error),
        )

    def _arrived(self, worker: _Worker, node: str) -> None:
        """A worker has got its place."""
        taken = self._slots.setdefault(node, set())
        worker.node, worker.slot = node, next(slot for slot in range(len(taken) + 1) if slot not in taken)
        taken.add(worker.slot)
        if self._nodes is None or self._nodes.admitted(node):
            self._load(worker)
        elif node in self._left_out:
            self._replace(worker)
        elif node in self._unseen:
            self._unseen[node].append(worker)
        else:
            self._unseen[node] = [worker]
            judge = functools.partial(self._judge, node, self._nodes)
            self._ask(self._nodes.ask(node), judge, judge)

    def _judge(self, node: str, nodes: Nodes, answer: NodeFacts | Exception) -> None:
        """A node that joined has been looked at."""
        reason = inspection_error(answer) if isinstance(answer, Exception) else nodes.judge(node, answer)
        if reason and nodes.is_alive(node):
            self._left_out.add(node)
            _log.warning("simeval: node %s is left out: %s", nodes.name(node), reason)
        for worker in self._unseen.pop(node):
            if reason is None:
                self._load(worker)
            elif worker in self._workers:
                self._replace(worker)

    def _load(self, worker: _Worker) -> None:
        assets = self._nodes.assets(worker.node) if self._nodes else self._setup.assets
        self._ask(
            worker.actor.load.remote(Placement(assets, worker.slot)),
            lambda facts: self._loaded(worker, facts),
            lambda error: self._lost(worker, error),
        )

    def _loaded(self, worker: _Worker, facts: WorkerFacts | str) -> None:
        reason = facts if isinstance(facts, str) else _other(facts, self._facts or facts)
        if isinstance(facts, str) or reason:
            raise ConfigError(f"node {self._nodes.name(worker.node)}: {reason}" if self._nodes else str(reason))
        if self._nodes and worker.node not in self._known:
            self._known.add(worker.node)
            _log.warning("simeval: node %s works", self._nodes.name(worker.node))
        self._facts, worker.loaded, self._trouble = facts, True, ""
        self._failed_starts.clear()
        self._idle.append(worker)
        self._dispatch()

    def _dispatch(self) -> None:
        while self._idle:
            worker = self._idle[-1]
            worker.running = self._queue.take(worker.last)
            if worker.running is None:
                return
            worker.since = time.monotonic()
            self._idle.pop()
            self._run(worker, worker.running)

    def _run(self, worker: _Worker, spec: EpisodeSpec) -> None:
        self._ask(
            worker.actor.run.remote(spec),
            lambda finished: self._ended(worker, spec, finished),
            lambda error: self._lost(worker, error),
        )

    def _ended(self, worker: _Worker, spec: EpisodeSpec, finished: EpisodeOutput | str) -> None:
        if isinstance(finished, str):
            raise ConfigError(finished)
        worker.last, worker.running = spec, None
        # The copy that came back would double the memory of a large plan.
        self._finished.append(replace(finished, result=replace(finished.result, spec=spec)))
        self._idle.append(worker)
        self._dispatch()

    def _lost(self, worker: _Worker, error: Exception) -> None:
        """A worker is gone, or the way to it."""
        if worker not in self._workers:
            return
        spec = worker.running
        if spec is not None:
            deaths = self._deaths.setdefault(spec, [])
            deaths.append(worker.node)
            # Judged by all deaths so far: that a node died may become known after its workers are missed.
            if sum(map(self._is_alive, deaths)) < ATTEMPTS:
                self._queue.requeue(spec)
            else:
                self._finished.append(EpisodeOutput(_broken(spec, error)))
        elif not worker.loaded:
            self._failed_starts.append(worker.node)
            at_start = self._facts is None
            blamed = [node for node in self._failed_starts if self._is_alive(node) and (node or at_start)]
            if len(blamed) >= (1 if at_start and self._nodes is None else ATTEMPTS):
                raise ConfigError(f"a worker died while it loaded the policy: {first_line(error)}")
            # Not at once: Ray goes on for a while to place workers on a node that has just died.
            self._trouble = f"; the last one did not start: {first_line(error)}"
            self._drop(worker)
            return
        self._replace(worker)
        self._dispatch()

    def _is_alive(self, node: str) -> bool:
        """Whether what went wrong on a node cannot be put down to the node."""
        return self._nodes is None or not node or self._nodes.is_alive(node)

    def _replace(self, worker: _Worker) -> None:
        self._drop(worker)
        self._start()

    def _drop(self, worker: _Worker) -> None:
        import ray

        self._workers.discard(worker)
        self._slots.get(worker.node, set()).discard(worker.slot)
        with contextlib.suppress(ValueError):
            self._idle.remove(worker)
        ray.kill(worker.actor)  # it may be alive, if what broke was the way to it


def _other(there: WorkerFacts, elsewhere: WorkerFacts) -> str | None:
    """In what a worker computes otherwise than the others."""
    numerics = kernels.difference({"numerics": elsewhere.kernels}, {"numerics": there.kernels})
    return f"other numerics than elsewhere: {numerics}" if numerics else _other_policy(there.policy, elsewhere.policy)


def _other_policy(there: PolicySpec, elsewhere: PolicySpec) -> str | None:
    """In what the policy of a worker is another than that of the others."""
    if there == elsewhere:
        return None
    found, other = dict(there.fingerprint), dict(elsewhere.fingerprint)
    changed = [
        f"{key} {found.get(key)} there, {value} elsewhere" for key, value in other.items() if found.get(key) != value
    ]
    return f"the policy runs otherwise than elsewhere: {'; '.join(changed)}; --device says where it runs"


def _broken(spec: EpisodeSpec, error: Exception) -> EpisodeResult:
    reason = first_line(error)
    return EpisodeResult(spec, "error", error_phase="worker", error_text=f"broke {ATTEMPTS} workers: {reason[:300]}")


def _where(worker: _Worker) -> EpisodeStatus | None:
    """What a worker wrote about the episode that it runs."""
    note = read(worker.actor._actor_id.hex())
    return note if note and worker.running and note.id == worker.running.id else None


def _free() -> str:
    import ray

    total, free = (found().get("CPU", 0.0) for found in (ray.cluster_resources, ray.available_resources))
    return f"of the cluster's {total:g} CPUs {free:g} are free, and a worker takes one"
