"""Views of a run's frames, drawn by Ray workers ahead of the policy that looks at them.

    with drawing(source, plugins, workers=3) as draw:
        measure(source, policy, wanted, draw=draw)

Non-obvious behaviour:
- Views come in the order in which they were asked for, whoever drew them.
- A block is drawn by one worker, which keeps one scene built and one episode executed again; blocks of the same
  episode, or else the same task, go to the same worker as long as it is not `AHEAD` of the policy.
- A worker that is killed is started again by Ray, and asked again what it had not answered. But for that, the repeat
  control is drawn by the very worker that drew the conditions before it.
- Views travel pickled: Ray's own way gives arrays that cannot be written, and holds them in its small store.
- Errors travel as text. An exception object may need a user's plugin to be unpickled.
"""

import contextlib
import math
import os
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from simeval.audit.base import Block, Draw, Frame, FrameSource, View, ViewRequest
from simeval.cluster import ray_session
from simeval.errors import ConfigError, first_line
from simeval.nodes import egl_device, gpus_here
from simeval.plugins import Plugin, load

ATTEMPTS = 3
"""How many workers a request may kill."""
WORTH_IT = 1000
"""Views from which on workers are started unasked. They are ready after 5 to 15 s, and take 10 to 20 ms off a view."""
MOST = 8
"""So many at most are started unasked: each draws 100 views of bundled scenes a second, and has 0.2 GB to itself."""
AHEAD = 256
"""A worker with so many views that nobody has looked at gets no other block: 100 MB with two cameras of 256 px."""


class DrawingWorker:
    """The body of an actor: frames of its own. Loading waits for the first request, so that errors are answers."""

    def __init__(self, slot: int) -> None:
        """Args: slot: which of the workers it is, from 0."""
        self._source: FrameSource | None = None
        device = egl_device(slot, gpus_here(), os.environ)
        if device is not None:
            os.environ["MUJOCO_EGL_DEVICE_ID"] = device

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
        actor: Ray's handle.
        waiting: views asked of it that nobody has looked at.
        last: a frame of the block that it was given last.
    """

    actor: Any
    waiting: int = 0
    last: Frame | None = None

    def nearness(self, frame: Frame) -> tuple[bool, bool]:
        """Whether it has executed the frame's episode, and whether it has built the frame's scene."""
        if self.last is None:
            return False, False
        here = (self.last.suite, self.last.task) == (frame.suite, frame.task)
        return here and self.last.cluster == frame.cluster, here

    def ask(self, stored: Sequence[Any], block: Block) -> list["_Asked"]:
        """Have a block drawn; see `DrawingWorker.draw`."""
        self.last = block[0].frames[0]
        self.waiting += sum(len(request.frames) for request in block)
        asked = [_Asked(request, self) for request in block]
        for one in asked:
            # Only the answer is kept: the future would hold it in Ray's store as well.
            reply = self.actor.draw.remote(stored, one.request).future()
            reply.add_done_callback(lambda done, one=one: one.answer.put(done.exception() or done.result()))
        return asked


@dataclass(eq=False, slots=True)
class _Asked:
    """A request on its way, and what comes back."""

    request: ViewRequest
    worker: _Worker
    answer: "SimpleQueue[bytes | str | Exception]" = field(default_factory=SimpleQueue)

    def views(self) -> list[View]:
        """Wait for them.

        Raises:
            ConfigError: they cannot be drawn.
        """
        answer = self.answer.get()
        if isinstance(answer, str):
            raise ConfigError(answer)
        if isinstance(answer, Exception):
            raise ConfigError(
                f"{self.request.frames[0].id}, {self.request.condition}: broke {ATTEMPTS} workers: "
                f"{first_line(answer)}; what was measured before is kept"
            )
        self.worker.waiting -= len(self.request.frames)
        views: list[View] = pickle.loads(answer)
        return views


class DrawingPool:
    """Workers with frames of their own; Ray must be running."""

    def __init__(self, source: FrameSource, plugins: Sequence[Plugin], workers: int) -> None:
        """Start the workers.

        Args:
            source: of the frames; is pickled.
            plugins: axes of the user's own.
            workers: how many, at least 1.
        """
        import ray

        # Nothing else runs in this session, and there may be more workers than cores: no core is reserved.
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": ATTEMPTS - 1}
        actor = ray.remote(DrawingWorker).options(**options)
        self._stored = ray.put(tuple(plugins)), ray.put(source)
        self._workers = [_Worker(actor.remote(slot)) for slot in range(workers)]

    def draw(self, blocks: Sequence[Block], /) -> Iterator[View]:
        """See `Draw`; one call after the other, each to its end."""
        left, asked = deque(blocks), deque[_Asked]()
        share = math.ceil(sum(len(request.frames) for block in blocks for request in block) / len(self._workers))
        while left or asked:
            while left and (worker := _free(self._workers, left[0], min(AHEAD, share))):
                asked.extend(worker.ask(self._stored, left.popleft()))
            yield from asked.popleft().views()

    def close(self) -> None:
        """End the workers. If Ray ended them while it goes down, it would complain of every request on its way."""
        import ray

        for worker in self._workers:
            ray.kill(worker.actor)


def _free(workers: Sequence[_Worker], block: Block, most: int) -> _Worker | None:
    """Who draws a block: one that has least to build and to execute for it, and of those one that has least to do."""
    free = [worker for worker in workers if worker.waiting < most]
    return max(free, key=lambda worker: (worker.nearness(block[0].frames[0]), -worker.waiting), default=None)


def usual_workers(views: int, *, gpu: bool) -> int:
    """How many workers draw unless somebody says otherwise.

    Args:
        views: to be drawn.
        gpu: whether the policy leaves all cores to others.
    """
    if views < WORTH_IT:
        return 0
    return min(MOST, (os.cpu_count() or 1) - (not gpu))


@contextlib.contextmanager
def drawing(source: FrameSource, plugins: Sequence[Plugin], workers: int) -> Iterator[Draw | None]:
    """Who draws for `measure`: workers, and nobody else (`None`) if there are to be none."""
    if not workers:
        yield None
        return
    with ray_session(None, workers):
        pool = DrawingPool(source, plugins, workers)
        try:
            yield pool.draw
        finally:
            pool.close()
