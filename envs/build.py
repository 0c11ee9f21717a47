"""Build environments by the name of their suite, and cache them."""

import ctypes
import gc
from pathlib import Path

from envs.base import Env, EnvError
from envs.sim.opengl import select_backend
from envs.suites import tasks

SCENES_KEPT = {"toy": 8, "libero": 1}
"""Built scenes that a worker keeps; a LIBERO scene takes 0.4 GB with its OpenGL context."""


def make_env(suite: str, task: int, resolution: int, assets: Path | None) -> Env:
    """Build the scene of a task (LIBERO: seconds; toy: milliseconds).

    Args:
        suite: an entry of `suites.SUITES`.
        task: index of the task.
        resolution: side of the camera images (px).
        assets: LIBERO's asset folder; not used by the toy suite.

    Raises:
        EnvError: it cannot be built.
    """
    select_backend()
    if suite == "toy":
        from envs.toy.env import ToyEnv

        return ToyEnv(task, resolution)
    from envs.libero.env import LiberoEnv

    if assets is None:
        raise EnvError(f"{suite} needs LIBERO's assets")
    return LiberoEnv(tasks(suite)[task], resolution, assets)


class EnvCache:
    """A least-recently-used cache of built scenes, one per process."""

    def __init__(self, assets: Path | None) -> None:
        """Args: assets: LIBERO's asset folder; may be `None` if only the toy suite is used."""
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
            self._make_room(SCENES_KEPT["toy" if suite == "toy" else "libero"])
            env = make_env(suite, task, resolution, self._assets)
        self._built[key] = env
        return env

    def discard(self) -> None:
        """Close every scene: after a crash inside one, its state cannot be trusted."""
        self._make_room(1)

    def _make_room(self, kept: int) -> None:
        dropped = False
        while len(self._built) >= kept:
            self._built.pop(next(iter(self._built))).close()
            dropped = True
        if dropped:
            gc.collect()
            # glibc keeps freed meshes and textures, and the next scene would be allocated on top of them.
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if trim is not None:
                trim(0)
