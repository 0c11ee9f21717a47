"""Where episodes run: in this process, or on Ray actors. Both yield results as they come; neither writes a file.

Non-obvious behaviour:
- A worker stays with a task while it has episodes left, because building a scene costs seconds; a worker without a
  task helps where most is left.
- A worker that dies costs its episode in flight, which runs again elsewhere. An episode that has killed
  `ATTEMPTS` workers becomes an error row.
"""

import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from simeval.errors import ConfigError
from simeval.policies.base import PolicySpec
from simeval.policies.registry import PolicyChoice
from simeval.types import EpisodeResult, EpisodeSpec
from simeval.worker import ONE_THREAD, EpisodeWorker, Finished, RemoteWorker, WorkerSetup

ATTEMPTS = 3
"""How many workers an episode may kill before it counts as an error."""


class Runner(Protocol):
    """A place to run episodes."""

    def policy_spec(self) -> PolicySpec:
        """Load the policy and say what it is.

        Raises:
            ConfigError: it cannot be loaded.
        """

    def run(self, episodes: Sequence[EpisodeSpec]) -> Iterator[Finished]:
        """Run episodes; yields each once, in any order."""


class SerialRunner:
    """Everything in this process."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._worker = EpisodeWorker(setup)

    def policy_spec(self) -> PolicySpec:
        """See `Runner`."""
        return self._worker.policy_spec()

    def run(self, episodes: Sequence[EpisodeSpec]) -> Iterator[Finished]:
        """See `Runner`."""
        for spec in episodes:
            yield self._worker.run(spec)


class _Queue:
    """Episodes by task; hands a worker the next one of its own task as long as there is one."""

    def __init__(self, episodes: Sequence[EpisodeSpec]) -> None:
        self._groups: dict[tuple[str, int], deque[EpisodeSpec]] = {}
        for spec in episodes:
            self._groups.setdefault((spec.suite, spec.task), deque()).append(spec)
        self._taken: set[tuple[str, int]] = set()

    def take(self, last: EpisodeSpec | None) -> EpisodeSpec | None:
        """The next episode for a worker whose last one was `last`; `None` when nothing is left."""
        waiting = {key: group for key, group in self._groups.items() if group}
        if not waiting:
            return None
        key = (last.suite, last.task) if last else None
        if key not in waiting:
            fresh = [k for k in waiting if k not in self._taken]
            key = fresh[0] if fresh else max(waiting, key=lambda k: len(waiting[k]))
        assert key is not None, "a non-empty dict has keys"
        self._taken.add(key)
        return waiting[key].popleft()

    def put_back(self, spec: EpisodeSpec) -> None:
        """Return an episode whose worker died; it is next."""
        self._groups[spec.suite, spec.task].appendleft(spec)


class RayRunner:
    """Rollout actors in a Ray cluster, and one policy actor where the policy needs a GPU."""

    def __init__(self, setup: WorkerSetup, workers: int, *, cluster: bool) -> None:
        """Start the actors; Ray must be running.

        Args:
            setup: shared by all workers; a `PolicyChoice` is loaded inside each.
            workers: how many; more than the cluster has CPUs share them.
            cluster: whether Ray was running before this process.
        """
        import ray

        cpus = float(ray.cluster_resources().get("CPU", 1.0))
        share = min(1.0, max(0.01, cpus / (workers + 1)))
        # Workers started here inherit this process' environment; those of a running cluster have to be told.
        told = {"runtime_env": {"env_vars": ONE_THREAD}} if cluster else {}
        actor = ray.remote(RemoteWorker).options(num_cpus=share, max_restarts=0, **told)
        self._start: Callable[[], Any] = lambda: actor.remote(setup)
        self._workers = [self._start() for _ in range(workers)]

    def policy_spec(self) -> PolicySpec:
        """See `Runner`."""
        import ray

        try:
            spec = ray.get(self._workers[0].policy_spec.remote())
        except ray.exceptions.RayError as error:
            raise ConfigError(f"a worker died while it loaded the policy: {_first_line(error)}") from None
        if isinstance(spec, str):
            raise ConfigError(spec)
        return spec  # type: ignore[no-any-return]  # Ray's types stop at the actor

    def run(self, episodes: Sequence[EpisodeSpec]) -> Generator[Finished]:
        """See `Runner`."""
        import ray

        queue = _Queue(episodes)
        running: dict[Any, tuple[Any, EpisodeSpec]] = {}
        attempts: dict[EpisodeSpec, int] = {}

        def hand_out(worker: Any, last: EpisodeSpec | None) -> None:
            spec = queue.take(last)
            if spec is not None:
                running[worker.run.remote(spec)] = (worker, spec)

        for worker in self._workers:
            hand_out(worker, None)
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            worker, spec = running.pop(done)
            try:
                finished = ray.get(done)
            except ray.exceptions.RayError as error:
                attempts[spec] = attempts.get(spec, 0) + 1
                worker = self._replace(worker)
                if attempts[spec] < ATTEMPTS:
                    queue.put_back(spec)
                else:
                    yield Finished(_lost(spec, error))
                hand_out(worker, None)
                continue
            if isinstance(finished, str):
                raise ConfigError(finished)
            hand_out(worker, spec)
            yield finished

    def _replace(self, dead: Any) -> Any:
        import ray

        ray.kill(dead)  # it may be alive, if what broke was the way to it
        fresh = self._start()
        self._workers[self._workers.index(dead)] = fresh
        return fresh


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _lost(spec: EpisodeSpec, error: Exception) -> EpisodeResult:
    reason = _first_line(error)
    return EpisodeResult(spec, "error", error_phase="worker", error_text=f"broke {ATTEMPTS} workers: {reason[:300]}")


@contextlib.contextmanager
def ray_session(address: str | None, workers: int) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine with room for `workers`.

    Raises:
        ConfigError: there is no cluster at that address.
    """
    if address:
        _refuse_silent(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_enable_metrics_collection", "0")
    if address and Path("~/.ray/auth_token").expanduser().exists():
        # `ray start` turns token authentication on; ray.init(HOST:PORT) does not look for the token by itself.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            os.environ.update(ONE_THREAD)
            cpus = max(os.cpu_count() or 1, workers)
            own = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 200_000_000}
            # Without "local" Ray would join whatever cluster happens to run on this machine, or RAY_ADDRESS names.
            ray.init(address="local", **own, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        what = f"--ray-address {address}" if address else "Ray does not start here"
        raise ConfigError(f"{what}: {_first_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_silent(address: str) -> None:
    """Ray itself tries for many minutes to reach a host where nobody listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--ray-address {address}: {getattr(error, 'strerror', None) or error}") from None


def use_actor(choice: PolicyChoice, inference: str) -> bool:
    """Whether the policy runs once, batched, rather than inside each worker."""
    if choice.scripted or inference == "worker":
        return False
    return inference == "actor" or has_gpu(choice.device)


def has_gpu(device: str) -> bool:
    """Whether the policy will run on a GPU, found out without importing torch."""
    if device in ("cuda", "mps"):
        return True
    return device == "auto" and any(os.path.exists(f"/dev/{name}") for name in ("nvidia0", "dxg"))  # noqa: PTH110
