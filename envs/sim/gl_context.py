"""One OpenGL context for all renderers of a thread.

With software OpenGL a new context compiles its programs again, 0.2 s at the first texture. So it outlives its renderers
and serves those of the next scene.

Non-obvious behaviour:
- Renderers in one OpenGL context share its state. `mjr_render` sets what it needs, but for two things: the framebuffer,
  which `SharedRenderer` sets, and the distances of fog, which is off (`render_gl3.c` of MuJoCo 3.3.2).
- A context is current in one thread only, so each thread has its own. A renderer that another thread closes, or
  collects as garbage, cannot be freed there: its names would be those of the other thread's objects.
"""

import atexit
import threading
import weakref
from typing import Any

import mujoco
from mujoco import gl_context
from numpy.typing import NDArray

from envs.goals import EnvError

_thread = threading.local()
_making = threading.Lock()
_stranded: list[Any] = []
"""What MuJoCo keeps of renderers that another thread closed. Their OpenGL objects go with the context."""


def backend_in_use() -> str:
    """The backend that MuJoCo chose when it was imported: `egl`, `osmesa`, `glfw`; empty for none."""
    return str(getattr(getattr(mujoco, "GLContext", None), "__module__", "")).rpartition(".")[2]


def forget() -> None:
    """Let the next renderer of this thread have a new OpenGL context; those that exist keep theirs."""
    _thread.context = None


def _this_thread() -> object:
    """A mark of this thread; numbers of threads are given again after their end."""
    if getattr(_thread, "mark", None) is None:
        _thread.mark = object()
    mark: object = _thread.mark
    return mark


def _context(width: int, height: int) -> Any:
    """The OpenGL context of this thread, made at the first call."""
    if getattr(_thread, "context", None) is None:
        _thread.context = _Context(width, height)
    return _thread.context


class _Context:
    """A `mujoco.GLContext` that stays when a renderer is closed; it is freed with the last that refers to it."""

    def __init__(self, width: int, height: int) -> None:
        self._own = mujoco.GLContext(width, height)
        self._thread = _this_thread()
        # MuJoCo shuts the driver down at exit, and what is still open then fills stderr with tracebacks.
        atexit.register(_free_if_alive, weakref.ref(self._own))

    @property
    def is_of_this_thread(self) -> bool:
        """Whether this thread made it, and may use it."""
        return self._thread is _this_thread()

    def make_current(self) -> None:
        """Direct OpenGL's calls to it.

        Raises:
            EnvError: another thread made it.
        """
        if not self.is_of_this_thread:
            raise EnvError("an environment draws only in the thread in which it drew first")
        self._own.make_current()

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

    _gl_context: Any = None  # also where the constructor failed: the destructor reads both
    _mjr_context: Any = None

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        with _making:
            stock, gl_context.GLContext = gl_context.GLContext, _context
            try:
                super().__init__(model, size, size)
            finally:
                gl_context.GLContext = stock

    def render(self, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """See `mujoco.Renderer`; an error leaves no flag of the scene behind.

        Raises:
            EnvError: this is not the thread that made it.
        """
        self._activate()
        flags = self._scene.flags.copy()
        try:
            image: NDArray[Any] = super().render(out=out)
        finally:
            self._scene.flags[:] = flags
        return image

    def close(self) -> None:
        """See `mujoco.Renderer`."""
        if self._mjr_context and self._gl_context.is_of_this_thread:
            self._gl_context.make_current()  # else the names of another context's objects would be deleted
        elif self._mjr_context:
            _stranded.append(self._mjr_context)
            self._mjr_context = None
        super().close()

    def _activate(self) -> None:
        self._gl_context.make_current()
        mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), self._mjr_context)
