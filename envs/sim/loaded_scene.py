"""A compiled scene with its textures and renderers, which an environment may hand to the next one.

All tasks of libero_spatial are one scene, and so are those of libero_goal: only goals and initial states differ. Within
a `handover` a closed environment leaves its scene, as it was compiled, to the next environment with the same
description. A scene with LIBERO's own meshes takes 1.3 s of CPU time to load and to draw first.
"""

import contextlib
import copy
import ctypes
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from envs.goals import EnvError
from envs.sim.pristine import ModelBackup
from envs.sim.rendering import Renderers
from envs.sim.textures import ModelTextures

if TYPE_CHECKING:  # it imports MuJoCo, which must not be imported before its backend is chosen
    from envs.sim.distractors import Distractors

_thread = threading.local()


class LoadedScene:
    """A scene in memory.

    Attributes:
        model: the live `mujoco.MjModel`.
        textures: its textures.
        renderers: its renderers.
        distractors: its distractors in reserve.
    """

    def __init__(self, name: str | None, model: Any, distractors: "Distractors") -> None:
        """Make its backup; no OpenGL context is created yet.

        Args:
            name: digest of the description; `None` if it has none, and then it is not handed on.
            model: as it was compiled.
            distractors: of the model.
        """
        self._name, self.model, self.distractors = name, model, distractors
        self._given = False
        self.textures = ModelTextures(model)
        self._backup = ModelBackup(model)
        self.renderers = Renderers(model, self.textures)

    def restore(self) -> None:
        """Restore the model as it was compiled.

        Raises:
            EnvError: the environment was closed, and its scene was handed on.
        """
        if self._given:
            raise EnvError("this environment was closed, and its scene belongs to the next one")
        self._backup.restore()
        self.textures.restore()

    def close(self) -> None:
        """Free the OpenGL objects; within a `handover` keep everything for the next environment instead."""
        if self._given:
            return
        idle = _idle()
        if idle is None or self._name is None:
            self.renderers.close()
        else:
            self.restore()
            self.renderers.keep_last()
            idle[self._name] = self


def _idle() -> dict[str, LoadedScene] | None:
    found: dict[str, LoadedScene] | None = getattr(_thread, "idle", None)
    return found


@contextlib.contextmanager
def handover() -> Iterator[None]:
    """What this thread closes within it can be taken by what it builds within it; the rest is freed at the end."""
    _thread.idle = {}
    try:
        yield
    finally:
        _free()
        _thread.idle = None


def take(name: str | None) -> LoadedScene | None:
    """A scene that was left within this `handover`.

    If there is none, the others are freed: the scene that is loaded instead needs their memory.

    Args:
        name: digest of the description.
    """
    idle = _idle()
    if idle and name in idle:
        left = idle.pop(name)
        scene, left._given = copy.copy(left), True
        return scene
    _free()
    return None


def _free() -> None:
    idle = _idle()
    if idle:
        while idle:
            idle.popitem()[1].renderers.close()
        release_memory()


def release_memory() -> None:
    """Return freed meshes and textures to the system. glibc keeps them, and the next scene would come on top."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
