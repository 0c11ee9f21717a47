"""One policy on a GPU for many rollout workers: a Ray actor that batches whatever requests are waiting.

Non-obvious behaviour:
- Nothing waits for a batch to fill. Requests that arrive while the network is busy form the next batch.
- Batch make-up changes no result, since a policy's answer to an input does not depend on its neighbours.
- The policy is loaded on the first call, not in the actor's constructor: Ray would report a failed constructor as a
  dead actor, and a killed and restarted actor loads it again by itself.
- Errors travel as text. An exception object may need torch to be unpickled, which the workers do not load.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from simeval.errors import ConfigError, EpisodeError
from simeval.policies.base import ActionChunk, Policy, PolicyInput, PolicySpec

_RESTARTS = 3
"""How often a killed server is started again before its clients get errors."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why there is no answer, in one line."""

    text: str


class BatchServer:
    """The body of the actor. All methods run on one event loop; the policy runs in one thread beside it."""

    def __init__(self, build: Callable[[], Policy], batch_size: int) -> None:
        self._build = build
        self._batch_size = batch_size
        self._policy: Policy | None = None
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._waiting: asyncio.Queue[tuple[PolicyInput, asyncio.Future[ActionChunk | _Failure]]] = asyncio.Queue()
        self._consumer: asyncio.Task[None] | None = None

    async def spec(self) -> PolicySpec | _Failure:
        """Load the policy and say what it is."""
        try:
            policy = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        except ConfigError as error:
            return _Failure(str(error))
        return policy.spec

    async def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk | _Failure]:
        """Queue the inputs and wait for their chunks, in order."""
        loop = asyncio.get_running_loop()
        if self._consumer is None:
            self._consumer = loop.create_task(self._consume())
        answers: list[asyncio.Future[ActionChunk | _Failure]] = [loop.create_future() for _ in inputs]
        for request in zip(inputs, answers, strict=True):
            self._waiting.put_nowait(request)
        return list(await asyncio.gather(*answers))

    async def _consume(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._batch_size and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            inputs = [item for item, _ in batch]
            chunks = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, inputs)
            for (_, answer), chunk in zip(batch, chunks, strict=True):
                # A client that died has cancelled its request.
                if not answer.done():
                    answer.set_result(chunk)

    def _load(self) -> Policy:
        if self._policy is None:
            self._policy = self._build()
        return self._policy

    def _answer(self, inputs: Sequence[PolicyInput]) -> Sequence[ActionChunk | _Failure]:
        """Runs in the thread; never raises, or every client would wait for ever."""
        try:
            return self._load().act(inputs)
        except Exception as error:  # noqa: BLE001  whatever broke, the clients must hear of it
            if len(inputs) == 1:
                return [_Failure(" ".join(f"{type(error).__name__}: {error}".split())[:300])]
        # One bad input must not take its neighbours along.
        return [self._answer([item])[0] for item in inputs]


class RemotePolicy:
    """A policy that runs in a `BatchServer`; cheap to pickle, and needs no torch. Made by `start`."""

    def __init__(self, server: Any, spec: PolicySpec) -> None:
        self.spec = spec
        self._server = server

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Ask the server.

        Raises:
            EpisodeError: the policy broke on an input, or the server died for good.
        """
        import ray

        try:
            answers = ray.get(self._server.act.remote(list(inputs)))
        except ray.exceptions.RayError as error:
            raise EpisodeError("policy", f"the policy server is gone: {str(error).splitlines()[0]}") from error
        chunks: list[ActionChunk] = []
        for answer in answers:
            if isinstance(answer, _Failure):
                raise EpisodeError("policy", answer.text)
            chunks.append(answer)
        return chunks


def start(build: Callable[[], Policy], *, batch_size: int, num_gpus: float = 1.0) -> RemotePolicy:
    """Start a server in the running Ray cluster and wait until its policy is loaded.

    Args:
        build: makes the policy, in the actor's process; picklable.
        batch_size: how many inputs to hand the policy at once, at most.
        num_gpus: share of a GPU to reserve; 0 for tests on machines without one.

    Raises:
        ConfigError: the policy cannot be loaded, or the cluster has no such GPU (Ray would wait for one for ever).
    """
    import ray

    if ray.cluster_resources().get("GPU", 0.0) < num_gpus:
        raise ConfigError(f"the policy server wants {num_gpus:g} GPUs, this Ray cluster has none that large")
    # No CPU is reserved: with every core taken by a rollout worker the server would never be scheduled.
    options = {"num_gpus": num_gpus, "num_cpus": 0, "max_restarts": _RESTARTS, "max_task_retries": _RESTARTS}
    server = ray.remote(BatchServer).options(**options).remote(build, batch_size)
    spec = ray.get(server.spec.remote())
    if isinstance(spec, _Failure):
        raise ConfigError(spec.text)
    return RemotePolicy(server, spec)
