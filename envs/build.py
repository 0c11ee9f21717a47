"""Build environments by the name of their suite, and cache them."""

import gc
from pathlib import Path

from envs.base import Env
from envs.sim.loaded_scene import handover, release_memory
from envs.sim.opengl import select_backend
from envs.suites import find_suite, tasks


def make_env(suite: str, task: int, resolution: int, assets: Path | None) -> Env:
    """Build the scene of a task (LIBERO: seconds; toy: milliseconds).

    Args:
        suite: name of a suite.
        task: index of the task.
        resolution: side of the camera images (px).
        assets: LIBERO's asset folder; `None` for suites that need none.

    Raises:
        EnvError: it cannot be built.
    """
    select_backend()
    return find_suite(suite).make_env(tasks(suite)[task], resolution, assets)


class EnvCache:
    """A least-recently-used cache of built scenes, one per process."""

    def __init__(self, assets: Path | None) -> None:
        """Args: assets: LIBERO's asset folder; `None` if no suite needs it."""
        self._assets = assets
        self._built: dict[tuple[str, int, int], Env] = {}

    def get(self, suite: str, task: int, resolution: int) -> Env:
        """Return the scene of a task; build it if it is not cached.

        Raises:
            EnvError: it cannot be built.
        """
        key = (suite, task, resolution)
        env = self._built.pop(key, None)
        if env is None:
            with handover():
                self._make_room(find_suite(suite).scenes_kept)
                env = make_env(suite, task, resolution, self._assets)
        self._built[key] = env
        return env

    def discard(self) -> None:
        """Close every scene: after a crash inside one, its state cannot be trusted."""
        if self._built:
            from envs.sim import gl_context

            self._make_room(1)
            gl_context.forget()

    def _make_room(self, kept: int) -> None:
        dropped = False
        while len(self._built) >= kept:
            self._built.pop(next(iter(self._built))).close()
            dropped = True
        if dropped:
            gc.collect()
            release_memory()
