"""Which OpenGL draws the pictures, and one renderer per picture size.

Non-obvious behaviour:
- MuJoCo fixes its OpenGL backend when it is first imported, so `select_backend` has to run before that.
- Mesa's software rasteriser starts a thread per core; with one rollout worker per core a single thread is faster.
"""

import atexit
import ctypes
import os
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import EnvError


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def select_backend() -> str:
    """Choose MuJoCo's OpenGL backend (a set `MUJOCO_GL` wins), and keep software OpenGL to one thread.

    Returns:
        `egl`, `osmesa`, or what `MUJOCO_GL` says.

    Raises:
        EnvError: no headless OpenGL library is installed.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if not os.environ.get("MUJOCO_GL"):
        if _loads("libEGL.so.1"):
            os.environ["MUJOCO_GL"] = "egl"
        elif _loads("libOSMesa.so.8") or _loads("libOSMesa.so"):
            os.environ["MUJOCO_GL"] = "osmesa"
        else:
            raise EnvError("no headless OpenGL found; on Debian run: apt-get install libegl1 libgl1-mesa-dri")
    return os.environ["MUJOCO_GL"]


class Renderers:
    """Lazily made off-screen renderers of one model, one per picture size."""

    def __init__(self, model: Any) -> None:
        """Args: model: the `mujoco.MjModel` to draw. Its visual fields are read at every picture."""
        self._model = model
        self._by_size: dict[int, Any] = {}
        self._option: Any = None

    def draw(self, data: Any, camera: int, size: int) -> NDArray[np.uint8]:
        """One picture of `data` (`mujoco.MjData`) as OpenGL orients it for a person, `uint8[size, size, 3]`.

        Raises:
            EnvError: no OpenGL context could be made.
        """
        renderer = self._by_size.get(size) or self._make(size)
        renderer.update_scene(data, camera, self._option)
        picture: NDArray[np.uint8] = renderer.render()
        return picture

    def _make(self, size: int) -> Any:
        import mujoco

        buffer = self._model.vis.global_
        buffer.offwidth, buffer.offheight = max(size, buffer.offwidth), max(size, buffer.offheight)
        if not self._model.light_castshadow.any():
            self._model.vis.quality.shadowsize = 0  # a shadow map that nothing uses is 64 MB
        try:
            renderer = mujoco.Renderer(self._model, size, size)
        except Exception as error:  # noqa: BLE001  MuJoCo and PyOpenGL raise many types here
            raise EnvError(
                f"cannot make an OpenGL context with MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {error}"
            ) from None
        if self._option is None:
            self._option = mujoco.MjvOption()
            # As robosuite's renderer: collision geoms are in group 0 and not shown.
            self._option.geomgroup[0] = 0
        if not self._by_size:
            # A context that is left over when MuJoCo leaves the driver, at exit, fills stderr with tracebacks.
            atexit.register(_close_if_alive, weakref.ref(self))
        self._by_size[size] = renderer
        return renderer

    def close(self) -> None:
        """Free all OpenGL contexts."""
        for renderer in self._by_size.values():
            renderer.close()
        self._by_size.clear()


def _close_if_alive(renderers: "weakref.ref[Renderers]") -> None:
    alive = renderers()
    if alive is not None:
        alive.close()
