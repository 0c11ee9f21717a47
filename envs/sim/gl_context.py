"""One OpenGL context for all renderers of a thread.

With software OpenGL a new context compiles its programs again, 0.2 s at the first texture. So it outlives its renderers
and serves those of the next scene.

Non-obvious behaviour:
- Renderers in one OpenGL context share its state. `mjr_render` sets what it needs, but for two things: the framebuffer,
  which `SharedRenderer` sets, and the distances of fog, which is off (`render_gl3.c` of MuJoCo 3.3.2).
- A context is current in one thread only, so each thread has its own.
"""

import atexit
import threading
import weakref
from typing import Any

import mujoco
from mujoco import gl_context
from numpy.typing import NDArray

_thread = threading.local()
_making = threading.Lock()


def backend_in_use() -> str:
    """The backend that MuJoCo chose when it was imported: `egl`, `osmesa`, `glfw`; empty for none."""
    return str(getattr(getattr(mujoco, "GLContext", None), "__module__", "")).rpartition(".")[2]


def forget() -> None:
    """Let the next renderer of this thread have a new OpenGL context; those that exist keep theirs."""
    _thread.context = None


def _context(width: int, height: int) -> Any:
    """The OpenGL context of this thread, made at the first call."""
    if getattr(_thread, "context", None) is None:
        _thread.context = _Context(width, height)
    return _thread.context


class _Context:
    """A `mujoco.GLContext` that stays when a renderer is closed; it is freed with the last that refers to it."""

    def __init__(self, width: int, height: int) -> None:
        self._own = mujoco.GLContext(width, height)
        self.make_current = self._own.make_current
        # MuJoCo shuts the driver down at exit, and what is still open then fills stderr with tracebacks.
        atexit.register(_free_if_alive, weakref.ref(self._own))

    def free(self) -> None:
        """Do nothing: other renderers may use it."""


def _free_if_alive(context: "weakref.ref[Any]") -> None:
    alive = context()
    if alive is not None:
        alive.free()


class SharedRenderer(mujoco.Renderer):  # type: ignore[misc]  # MuJoCo has no types here
    """A `mujoco.Renderer` in the OpenGL context of its thread.

    Args:
        model: the `mujoco.MjModel`.
        size: side of the image (px).
    """

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        with _making:
            stock, gl_context.GLContext = gl_context.GLContext, _context
            try:
                super().__init__(model, size, size)
            finally:
                gl_context.GLContext = stock

    def render(self, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """See `mujoco.Renderer`."""
        self._activate()
        image: NDArray[Any] = super().render(out=out)
        return image

    def close(self) -> None:
        """See `mujoco.Renderer`."""
        if self._mjr_context:
            self._activate()  # else the names of another context's objects would be deleted
        super().close()

    def _activate(self) -> None:
        self._gl_context.make_current()
        mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), self._mjr_context)
