"""Views of a run's frames, drawn by Ray workers ahead of the policy that looks at them.

    with drawing(source, plugins, workers=3) as draw:
        measure(source, policy, wanted, draw=draw)

Non-obvious behaviour:
- Views come in the order in which they were asked for, whoever drew them.
- A block is drawn by one worker, which keeps one scene built and one episode executed again; blocks of the same
  episode, or else the same task, go to the same worker as long as it is not `MAX_PENDING_VIEWS` ahead of the policy.
- A worker that is killed is replaced and the new one asked again. But for that, the repeat control is drawn by the very
  worker that drew the conditions before it.
- A worker that dies takes answers with it that were on their way. So the new one gets the request that failed alone,
  and the others once that is answered: who breaks a worker again is the one to blame.
- Ray itself could restart and ask again, but reports every request on its way as failed when a run is interrupted.
- Views travel pickled: Ray's own way gives arrays that cannot be written, and holds them in its small store.
- Errors travel as text. An exception object may need a user's plugin to be unpickled.
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
"""How many workers a request may kill."""
MIN_VIEWS = 1000
"""Views from which on workers are started unasked. They are ready after 5 to 15 s, and take 10 to 20 ms off a view."""
MAX_WORKERS = 8
"""So many at most are started unasked: each draws 100 views of bundled scenes a second, and has 0.2 GB to itself."""
MAX_PENDING_VIEWS = 256
"""A worker with so many views that nobody has looked at gets no other block: 100 MB with two cameras of 256 px."""


class DrawingWorker:
    """The body of an actor: frames of its own. Loading waits for the first request, so that errors are answers."""

    def __init__(self, slot: int) -> None:
        """Args: slot: which of the workers it is, from 0."""
        self._source: FrameSource | None = None
        take_device(slot)

    def draw(self, stored: Sequence[Any], request: ViewRequest) -> bytes | str:
        """Draw some views.

        Args:
            stored: Ray's references to the axes of the user's own, and to the source of the frames.
            request: for the views.

        Returns:
            A pickled list of them; a text instead of a `ConfigError`.
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
    """A worker, as seen from here.

    Attributes:
        slot: which of them it is, from 0.
        actor: Ray's handle.
        waiting: views asked of it that nobody has looked at.
        last: a frame of the block that it was given last.
        suspicious: it replaces one that died over a request that is still on its way, and gets no other until then.
    """

    slot: int
    actor: Any = None
    waiting: int = 0
    last: Frame | None = None
    suspicious: bool = False

    def nearness(self, frame: Frame) -> tuple[bool, bool]:
        """Whether it has executed the frame's episode, and whether it has built the frame's scene."""
        if self.last is None:
            return False, False
        here = (self.last.suite, self.last.task) == (frame.suite, frame.task)
        return here and self.last.cluster == frame.cluster, here


@dataclass(eq=False, slots=True)
class _Asked:
    """A request on its way, what comes back, and how many workers it broke."""

    request: ViewRequest
    worker: _Worker
    answer: "SimpleQueue[bytes | str | Exception]" = field(default_factory=SimpleQueue)
    broke: int = 0


class RenderPool:
    """Workers with frames of their own; Ray must be running."""

    def __init__(self, source: FrameSource, plugins: Sequence[Plugin], workers: int) -> None:
        """Start the workers.

        Args:
            source: of the frames; is pickled.
            plugins: axes of the user's own.
            workers: how many, at least 1.
        """
        import ray

        self._stored = ray.put(tuple(plugins)), ray.put(source)
        self._workers = [_Worker(slot) for slot in range(workers)]
        for worker in self._workers:
            self._start(worker)

    def draw(self, blocks: Sequence[RenderJob], /) -> Iterator[PolicyView]:
        """See `Draw`; one call after the other, each to its end."""
        left, asked = deque(blocks), deque[_Asked]()
        share = math.ceil(sum(len(request.frames) for block in blocks for request in block) / len(self._workers))
        while left or asked:
            while left and (worker := _free(self._workers, left[0], min(MAX_PENDING_VIEWS, share))):
                asked.extend(self._ask(worker, left.popleft()))
            answer = asked[0].answer.get()
            if isinstance(answer, str):
                raise ConfigError(answer)
            if isinstance(answer, Exception):
                self._ask_again(asked, answer)
                continue
            views: list[PolicyView] = pickle.loads(answer)
            worker = asked.popleft().worker
            worker.waiting -= len(views)
            if worker.suspicious:
                worker.suspicious = False
                self._send(one for one in asked if one.worker is worker)
            yield from views

    def _start(self, worker: _Worker) -> None:
        import ray

        # Nothing else runs in this session, and there may be more workers than cores: no core is reserved.
        worker.actor = ray.remote(DrawingWorker).options(num_cpus=0, max_restarts=0).remote(worker.slot)

    def _ask(self, worker: _Worker, block: RenderJob) -> list[_Asked]:
        asked = [_Asked(request, worker) for request in block]
        if not worker.suspicious:
            self._send(asked)
        worker.last = block[0].frames[0]
        worker.waiting += sum(len(request.frames) for request in block)
        return asked

    def _send(self, asked: Iterable[_Asked]) -> None:
        for one in asked:
            one.answer = SimpleQueue()
            reply = one.worker.actor.draw.remote(self._stored, one.request)
            # Only the answer is kept: the future would hold it in Ray's store as well.
            reply.future().add_done_callback(partial(_keep, one.answer))

    def _ask_again(self, asked: Sequence[_Asked], error: Exception) -> None:
        """The worker of the first of them is gone.

        Raises:
            ConfigError: it has broken others before.
        """
        import ray

        first, worker = asked[0], asked[0].worker
        first.broke += 1
        if first.broke == ATTEMPTS:
            raise ConfigError(
                f"{first.request.frames[0].id}, {first.request.condition}: broke {ATTEMPTS} workers: "
                f"{first_line(error)}; what was measured before is kept"
            )
        ray.kill(worker.actor)  # it may be alive, if what broke was the way to it
        self._start(worker)
        worker.suspicious = True
        self._send([first])


def _keep(answer: "SimpleQueue[bytes | str | Exception]", done: Any) -> None:
    answer.put(done.exception() or done.result())


def _free(workers: Sequence[_Worker], block: RenderJob, most: int) -> _Worker | None:
    """Who draws a block: one that has least to build and to execute for it, and of those one that has least to do."""
    free = [worker for worker in workers if worker.waiting < most]
    return max(free, key=lambda worker: (worker.nearness(block[0].frames[0]), -worker.waiting), default=None)


def usual_workers(views: int, *, gpu: bool) -> int:
    """How many workers draw unless somebody says otherwise.

    Args:
        views: to be drawn.
        gpu: whether the policy leaves all cores to others.
    """
    if views < MIN_VIEWS:
        return 0
    return min(MAX_WORKERS, (os.cpu_count() or 1) - (not gpu))


@contextlib.contextmanager
def renderer_for(source: FrameSource, plugins: Sequence[Plugin], workers: int) -> Iterator[Renderer | None]:
    """Who draws for `measure`: workers, and nobody else (`None`) if there are to be none."""
    if not workers:
        yield None
        return
    with ray_session(None, workers):
        yield RenderPool(source, plugins, workers).draw
