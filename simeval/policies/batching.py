"""Batches of pending requests: one queue, and one thread in which the policy runs.

Non-obvious behaviour:
- A batch does not wait to be full. Requests that arrive while the network is busy form the next batch.
- The composition of a batch changes no result, because a policy's output for an input does not depend on the others.
- A policy with memory must have seen an episode from its start: after a restart in the middle, the rest is refused.
- Errors become text. An exception object may need torch to be unpickled, which the clients do not load.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from simeval.core.errors import EpisodeError, error_line, user_line
from simeval.policies.base import ActionChunk, Policy, PolicyInput, number_fault


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in place of an answer, as one line."""

    text: str


class BatchQueue:
    """Answers requests in batches. All methods run on one event loop; the policy runs in one separate thread."""

    def __init__(self, build: Callable[[], Policy], batch_size: int) -> None:
        self._build = build
        self._batch_size = batch_size
        self._policy: Policy | None = None
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: asyncio.Queue[tuple[PolicyInput, asyncio.Future[ActionChunk | Failure]]] = asyncio.Queue()
        self._consumer: asyncio.Task[None] | None = None
        self._chunks: dict[str, int] = {}

    async def load(self) -> Policy:
        """Build the policy, unless that was done before; raises what its builder does."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk | Failure]:
        """Queue the inputs and wait for their chunks, in order; those of a cancelled call are no longer computed."""
        loop = asyncio.get_running_loop()
        if self._consumer is None:
            self._consumer = loop.create_task(self._consume())
        answers: list[asyncio.Future[ActionChunk | Failure]] = [loop.create_future() for _ in inputs]
        for request in zip(inputs, answers, strict=True):
            self._pending.put_nowait(request)
        return list(await asyncio.gather(*answers))

    def close(self) -> None:
        """Answer nothing any more; a call of the policy that runs is not waited for."""
        if self._consumer is not None:
            self._consumer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _consume(self) -> None:
        while True:
            batch = [await self._pending.get()]
            while len(batch) < self._batch_size and not self._pending.empty():
                batch.append(self._pending.get_nowait())
            # A client that died has cancelled its request.
            batch = [request for request in batch if not request[1].done()]
            if not batch:
                continue
            inputs = [item for item, _ in batch]
            chunks = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, inputs)
            for (_, answer), chunk in zip(batch, chunks, strict=True):
                if not answer.done():
                    answer.set_result(chunk)

    def _load(self) -> Policy:
        if self._policy is None:
            self._policy = self._build()
        return self._policy

    def _answer(self, inputs: Sequence[PolicyInput]) -> Sequence[ActionChunk | Failure]:
        """Runs in the thread; never raises, because every client would then wait forever."""
        try:
            policy = self._load()
            if policy.spec.memory:
                self._require_whole_episodes(inputs)
            chunks = policy.act(inputs)
            if len(chunks) != len(inputs):
                raise ValueError(f"{len(chunks)} action chunks for {len(inputs)} inputs")
            for fault in filter(None, map(number_fault, chunks)):
                raise EpisodeError("policy", fault)
            # Copies: a policy may overwrite its array in the next call, while this answer is still on its way.
            return [np.array(chunk) for chunk in chunks]
        except BaseException as error:  # noqa: BLE001  the clients must get an answer in every case
            # A policy with memory has taken in these inputs, and must not get them twice.
            if len(inputs) == 1 or (self._policy is not None and self._policy.spec.memory):
                text = str(error) if isinstance(error, EpisodeError) else f"{error_line(error)}{user_line(error)}"
                return [Failure(text[:300])] * len(inputs)
        # One bad input must not make the others of its batch fail.
        return [self._answer([item])[0] for item in inputs]

    def _require_whole_episodes(self, inputs: Sequence[PolicyInput]) -> None:
        """Check that this process has seen the earlier requests of each episode.

        Raises:
            EpisodeError: it has not; its policy remembers nothing of them.
        """
        for item in inputs:
            if item.chunk_index != self._chunks.get(item.episode_id, -1) + 1 and item.chunk_index:
                raise EpisodeError("policy", "its server was restarted in the middle of the episode")
            self._chunks[item.episode_id] = item.chunk_index
