"""Renders views of a run's frames in Ray workers, ahead of the policy.

    with renderer_for(source, plugins, workers=3) as renderer:
        measure(source, policy, measurement, renderer=renderer)

Non-obvious behaviour:
- Views are returned in the order of the requests, whichever worker rendered them.
- One worker renders a whole block and keeps one scene and one replayed episode. Blocks of the same episode, or else of
  the same task, go to the same worker unless it is `MAX_PENDING_VIEWS` ahead of the policy.
- A dead worker is replaced, and its requests are sent again. Otherwise the repeat control is rendered by the same
  worker as the conditions before it.
- A dying worker loses its pending replies. So its replacement gets only the request that failed, and the others after
  the reply to it: a request that breaks the new worker as well is the culprit.
- Ray's own restarts are not used: they report every pending request as failed when a run is interrupted.
- Views are pickled by us: Ray's serialisation gives read-only arrays and holds them in its small object store.
- Errors are sent as text: unpickling an exception may need a user's plugin.
"""

import contextlib
import math
import os
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

from envs.sim.opengl import take_device
from simeval.core.errors import ConfigError, first_line
from simeval.core.plugins import Plugin, load
from simeval.drift.frames.base import Frame, FrameSource, PolicyView, Renderer, RenderJob, ViewRequest
from simeval.runner.session import ray_session

ATTEMPTS = 3
"""Number of workers that a request may break before it fails."""
MIN_VIEWS = 1000
"""Views from which workers are started by default. They start within 5 to 15 s and save 10 to 20 ms per view."""
MAX_WORKERS = 8
"""Maximum number of workers by default: each renders 100 views of bundled scenes per second and uses 0.2 GB."""
MAX_PENDING_VIEWS = 256
"""A worker with this many unused views gets no further block: 100 MB with two cameras of 256 px."""


class RenderWorker:
    """Body of a Ray actor with its own copy of the frames, loaded at the first request so that errors are replies."""

    def __init__(self, slot: int) -> None:
        """Args: slot: index of the worker."""
        self._source: FrameSource | None = None
        take_device(slot)

    def render(self, stored: Sequence[Any], request: ViewRequest) -> bytes | str:
        """Render the views of a request.

        Args:
            stored: Ray's references to the user-defined axes and to the frame source.
            request: for the views.

        Returns:
            A pickled list of views, or the text of a `ConfigError`.
        """
        import ray

        try:
            if self._source is None:
                load(ray.get(stored[0]))
                self._source = ray.get(stored[1])
            views = self._source.views(request.frames, request.condition, request.seed, floor=request.floor)
            return pickle.dumps(list(views))
        except ConfigError as error:
            return str(error)


@dataclass(eq=False, slots=True)
class _Worker:
    """The driver's record of a worker.

    Attributes:
        slot: index of the worker.
        actor: Ray's handle.
        pending_views: requested views that the policy has not used yet.
        last_frame: a frame of the block assigned last.
        suspicious: it replaces a worker that died over a pending request, and gets no other until the reply to that.
    """

    slot: int
    actor: Any = None
    pending_views: int = 0
    last_frame: Frame | None = None
    suspicious: bool = False

    def affinity(self, frame: Frame) -> tuple[bool, bool]:
        """Whether it has replayed the frame's episode, and whether it has built the frame's scene."""
        if self.last_frame is None:
            return False, False
        same_scene = (self.last_frame.suite, self.last_frame.task) == (frame.suite, frame.task)
        return same_scene and self.last_frame.cluster == frame.cluster, same_scene


@dataclass(eq=False, slots=True)
class _Pending:
    """A pending request, its reply, and the number of workers that it broke."""

    request: ViewRequest
    worker: _Worker
    reply: "SimpleQueue[bytes | str | Exception]" = field(default_factory=SimpleQueue)
    workers_broken: int = 0


class RenderPool:
    """Workers with their own copies of the frames; Ray must be running."""

    def __init__(self, source: FrameSource, plugins: Sequence[Plugin], workers: int) -> None:
        """Start the workers.

        Args:
            source: of the frames; is pickled.
            plugins: user-defined axes.
            workers: number of workers, at least 1.
        """
        import ray

        self._stored = ray.put(tuple(plugins)), ray.put(source)
        self._workers = [_Worker(slot) for slot in range(workers)]
        for worker in self._workers:
            self._start(worker)

    def render(self, blocks: Sequence[RenderJob], /) -> Iterator[PolicyView]:
        """See `Renderer`; exhaust one call before the next."""
        blocks_left, pending = deque(blocks), deque[_Pending]()
        share = math.ceil(sum(len(request.frames) for block in blocks for request in block) / len(self._workers))
        while blocks_left or pending:
            while blocks_left and (
                worker := _pick_worker(self._workers, blocks_left[0], min(MAX_PENDING_VIEWS, share))
            ):
                pending.extend(self._assign(worker, blocks_left.popleft()))
            reply = pending[0].reply.get()
            if isinstance(reply, str):
                raise ConfigError(reply)
            if isinstance(reply, Exception):
                self._retry(pending, reply)
                continue
            views: list[PolicyView] = pickle.loads(reply)
            worker = pending.popleft().worker
            worker.pending_views -= len(views)
            if worker.suspicious:
                worker.suspicious = False
                self._send(item for item in pending if item.worker is worker)
            yield from views

    def _start(self, worker: _Worker) -> None:
        import ray

        # Nothing else runs in this session, and there may be more workers than cores: no core is reserved.
        worker.actor = ray.remote(RenderWorker).options(num_cpus=0, max_restarts=0).remote(worker.slot)

    def _assign(self, worker: _Worker, block: RenderJob) -> list[_Pending]:
        pending = [_Pending(request, worker) for request in block]
        if not worker.suspicious:
            self._send(pending)
        worker.last_frame = block[0].frames[0]
        worker.pending_views += sum(len(request.frames) for request in block)
        return pending

    def _send(self, pending: Iterable[_Pending]) -> None:
        for item in pending:
            item.reply = SimpleQueue()
            reference = item.worker.actor.render.remote(self._stored, item.request)
            # Only the reply is kept: the future would hold it in Ray's store as well.
            reference.future().add_done_callback(partial(_keep, item.reply))

    def _retry(self, pending: Sequence[_Pending], error: Exception) -> None:
        """Replace the dead worker of the first pending request, and send that request again.

        Raises:
            ConfigError: the request has broken `ATTEMPTS` workers.
        """
        import ray

        first, worker = pending[0], pending[0].worker
        first.workers_broken += 1
        if first.workers_broken == ATTEMPTS:
            raise ConfigError(
                f"{first.request.frames[0].id}, {first.request.condition}: broke {ATTEMPTS} workers: "
                f"{first_line(error)}; what was measured before is kept"
            )
        ray.kill(worker.actor)  # it may be alive if only the connection broke
        self._start(worker)
        worker.suspicious = True
        self._send([first])


def _keep(reply: "SimpleQueue[bytes | str | Exception]", done: Any) -> None:
    reply.put(done.exception() or done.result())


def _pick_worker(workers: Sequence[_Worker], block: RenderJob, limit: int) -> _Worker | None:
    """The worker for a block: the one with the least to build and replay for it, then the least busy."""
    free = [worker for worker in workers if worker.pending_views < limit]
    return max(free, key=lambda worker: (worker.affinity(block[0].frames[0]), -worker.pending_views), default=None)


def default_workers(views: int, *, gpu: bool) -> int:
    """Default number of workers.

    Args:
        views: number of views to render.
        gpu: whether the policy runs on a GPU and leaves all cores free.
    """
    if views < MIN_VIEWS:
        return 0
    return min(MAX_WORKERS, (os.cpu_count() or 1) - (not gpu))


@contextlib.contextmanager
def renderer_for(source: FrameSource, plugins: Sequence[Plugin], workers: int) -> Iterator[Renderer | None]:
    """The renderer for `measure`: a pool of workers, or `None` for 0 workers."""
    if not workers:
        yield None
        return
    with ray_session(None, workers):
        yield RenderPool(source, plugins, workers).render
