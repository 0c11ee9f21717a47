"""The renderers of a scene, one per image size.

A render context is created at the first image, from a pristine copy of the model: it keeps some fields of its model,
and edited fields would leak into later episodes.
"""

import atexit
import copy
import weakref

import mujoco

from envs.goals import EnvError
from envs.sim.opengl import make_renderer

MAX_RENDER_SIZE = 1024
"""Largest image (px per side)."""


class RendererCache:
    """Makes renderers at the first image of a size, and keeps them."""

    def __init__(self, model: mujoco.MjModel) -> None:
        """Args: model: a freshly compiled `mujoco.MjModel`, which is copied."""
        self._pristine = copy.copy(model)
        self._by_size: dict[int, mujoco.Renderer] = {}

    def get(self, size: int) -> mujoco.Renderer:
        """The renderer of one image size; clearing a larger buffer than needed takes longer than rendering.

        Raises:
            EnvError: images of that size cannot be rendered, or there is no OpenGL to render with.
        """
        if size not in self._by_size:
            check_size(size)
            model = copy.copy(self._pristine)
            model.vis.global_.offwidth = model.vis.global_.offheight = size
            renderer = make_renderer(model, size)
            # A context that is still open when MuJoCo shuts the driver down at exit fills stderr with tracebacks.
            atexit.register(_close_if_alive, weakref.ref(renderer))
            self._by_size[size] = renderer
        return self._by_size[size]

    def close(self) -> None:
        """Free the render contexts."""
        while self._by_size:
            self._by_size.popitem()[1].close()


def _close_if_alive(renderer: "weakref.ref[mujoco.Renderer]") -> None:
    alive = renderer()
    if alive is not None:
        alive.close()


def check_size(size: int) -> None:
    """Check the side of an image.

    Raises:
        EnvError: images of that size cannot be rendered.
    """
    if not 1 <= size <= MAX_RENDER_SIZE:
        raise EnvError(f"images have 1 to {MAX_RENDER_SIZE} pixels per side, not {size}")
