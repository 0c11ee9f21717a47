"""Policy actors: one Ray actor per GPU that batches the pending requests of many rollout workers (`batching`).

Non-obvious behaviour:
- Any actor can answer any request. So all must run the same policy on the same kind of GPU. A policy with memory is
  asked by one actor per episode.
- An actor whose machine is down is skipped while it is gone; a killed one is restarted, any number of times.
- They are plain actors, because Ray Serve's batching answers a quarter of the requests per second and takes three
  times the CPU for each (`tests/benchmarks/serve_batching.py`).
- The policy is loaded at the first call, not in the actor's constructor: Ray would report a failed constructor as a
  dead actor, and a restarted actor loads the policy again by itself.
"""

import random
import socket
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simeval.core import provenance
from simeval.core.errors import ConfigError, EpisodeError, error_line, first_line
from simeval.core.gc_pause import collect_rarely
from simeval.policies.base import ActionChunk, Policy, PolicyInput, PolicySpec
from simeval.policies.batching import BatchQueue, Failure

_ATTEMPTS = 3
"""Retries of a request after its server was killed. Limited, because the request may be what kills the server."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a server's answers depend on besides the policy (GPU and package versions), and its host name."""

    host: str
    gpu: str | None
    versions: tuple[tuple[str, str | None], ...]


class PolicyActor:
    """The actor's class. All methods run on one event loop; the policy runs in one separate thread."""

    def __init__(self, build: Callable[[], Policy], batch_size: int) -> None:
        collect_rarely()
        self._queue = BatchQueue(build, batch_size)

    async def spec(self) -> PolicySpec | Failure:
        """Load the policy and return its spec."""
        try:
            return (await self._queue.load()).spec
        except ConfigError as error:
            return Failure(str(error))
        except BaseException as error:  # noqa: BLE001  SystemExit would end the actor, and Ray would restart it
            return Failure(f"the policy does not load: {error_line(error)}")

    async def facts(self) -> "_Facts":
        """Where it runs; call it after the policy is loaded."""
        torch, versions = sys.modules.get("torch"), provenance.versions(learned_policy=True)
        gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
        return _Facts(socket.gethostname(), gpu, tuple(versions.items()))

    async def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk | Failure]:
        """Queue the inputs and wait for their chunks, in order."""
        return await self._queue.act(inputs)


class ActorPolicy:
    """Client of the `PolicyActor`s; cheap to pickle, and needs no torch. Made by `start`."""

    def __init__(self, servers: Sequence[Any], spec: PolicySpec) -> None:
        self.spec = spec
        self._servers = tuple(servers)

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Ask one of the servers; if it is gone, ask the others.

        Raises:
            EpisodeError: the policy failed on an input, or no server is left.
        """
        import ray

        reason: Exception = RuntimeError("there is none")
        # Random order: it changes no answer, while clients with a fixed rotation could synchronise.
        order = random.SystemRandom().sample(self._servers, len(self._servers))
        if self.spec.memory:
            order = [self._servers[zlib.crc32(inputs[0].episode_id.encode()) % len(self._servers)]]
        for server in order:
            try:
                answers = ray.get(server.act.remote(list(inputs)))
            except ray.exceptions.RayError as error:
                reason = error
                continue
            chunks: list[ActionChunk] = []
            for answer in answers:
                if isinstance(answer, Failure):
                    raise EpisodeError("policy", answer.text)
                chunks.append(answer)
            return chunks
        raise EpisodeError("policy", f"the policy server is gone: {first_line(reason)}") from reason

    def restart(self) -> None:
        """Kill every server because one does not answer; Ray restarts them and repeats the pending requests."""
        import ray

        for server in self._servers:
            ray.kill(server, no_restart=False)


def start(
    build: Callable[[], Policy],
    *,
    batch_size: int,
    num_gpus: float = 1.0,
    environment: Mapping[str, str] | None = None,
) -> ActorPolicy:
    """Start a server on every free GPU of the running Ray cluster and wait until their policies are loaded.

    Args:
        build: makes the policy, in the actor's process; picklable.
        batch_size: largest number of inputs per call of the policy.
        num_gpus: share of a GPU to reserve; 0 for one server on any machine, as in tests without a GPU.
        environment: variables for the servers' processes, if they do not inherit those of this process.

    Raises:
        ConfigError: the policy cannot be loaded, the servers would give different answers, or the cluster has no such
            GPU (Ray would wait for one forever).
    """
    import ray

    if ray.cluster_resources().get("GPU", 0.0) < num_gpus:
        raise ConfigError(f"the policy server wants {num_gpus:g} GPUs, this Ray cluster has none that large")
    number = servers_for(ray.available_resources().get("GPU", 0.0), num_gpus)
    # No CPU is reserved: with every core reserved by a rollout worker the server would never be scheduled.
    options: dict[str, Any] = {"num_gpus": num_gpus, "num_cpus": 0}
    options |= {"max_restarts": -1, "max_task_retries": _ATTEMPTS}
    if environment is not None:
        options["runtime_env"] = {"env_vars": dict(environment)}
    remote = ray.remote(PolicyActor).options(scheduling_strategy="SPREAD", **options)
    servers = [remote.remote(build, batch_size) for _ in range(number)]
    try:
        specs = ray.get([server.spec.remote() for server in servers])
        facts = ray.get([server.facts.remote() for server in servers])
    except ray.exceptions.RayError as error:
        raise ConfigError(f"a policy server died while it loaded the policy: {first_line(error)}") from None
    _refuse_unequal(specs, facts)
    return ActorPolicy(servers, specs[0])


def _refuse_unequal(specs: Sequence[PolicySpec | Failure], facts: Sequence[_Facts]) -> None:
    first = facts[0]
    for spec, server in zip(specs, facts, strict=True):
        if isinstance(spec, Failure):
            raise ConfigError(spec.text if len(specs) == 1 else f"node {server.host}: {spec.text}")
        local = provenance.versions(learned_policy=True)
        there = dict(server.versions)
        other = [
            f"{name} {there.get(name)}, here {local.get(name)}"
            for name in dict.fromkeys([*there, *local])
            if there.get(name) != local.get(name)
        ]
        if other:
            raise ConfigError(f"node {server.host}: {'; '.join(other)}; its GPU needs the same image or lock as this")
        if (spec, server.gpu) != (specs[0], first.gpu):
            gpus = f"{server.gpu} there, {first.gpu} on node {first.host}"
            what = gpus if server.gpu != first.gpu else "other weights"
            raise ConfigError(f"node {server.host}: its policy would answer otherwise than the others' ({what})")


def servers_for(free: float, num_gpus: float) -> int:
    """Number of servers that fit on the free GPUs; at least one, which then waits for its GPU."""
    return max(1, int(free / num_gpus)) if num_gpus else 1
