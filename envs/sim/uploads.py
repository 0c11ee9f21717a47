"""The textures that an OpenGL context holds: uploaded when something shows them, and once if they are equal.

Equal objects have a texture each, so that a perturbation may change one of them. With software OpenGL a bowl of
LIBERO's takes 89 MB. So equal textures share an upload until one of them is written.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.sim.textures import ModelTextures


class Uploads:
    """The textures of one context.

    Args:
        renderer: the `mujoco.Renderer` of the context, in which no texture has its real size yet.
        textures: the model's, with the number of writes.
    """

    def __init__(self, renderer: Any, textures: ModelTextures) -> None:
        self._gl, self._context, self._textures = renderer._gl_context, renderer._mjr_context, textures
        self._names: NDArray[np.uint32] = self._context.texture.copy()
        self.versions: dict[int, int] = {}
        """Version of each texture that is held."""

    def update(self, model: Any, wanted: NDArray[np.int32]) -> None:
        """Upload those of the wanted textures that are new or out of date.

        Args:
            model: the `mujoco.MjModel`.
            wanted: ids of textures.
        """
        import mujoco

        names = self._context.texture
        for texture in wanted.tolist():
            version = self._textures.versions.get(texture, 0)
            if self.versions.get(texture) == version:
                continue
            twin = self._twin(model, texture) if version == 0 else None
            if twin is not None:
                names[texture] = names[twin]
            else:
                same = np.flatnonzero(model.tex_type == model.tex_type[texture])  # a name is for one type only
                if np.count_nonzero(names[same] == names[texture]) > 1:  # others still show what is there
                    names[texture] = np.setdiff1d(self._names[same], names[same])[0]
                self._gl.make_current()
                mujoco.mjr_uploadTexture(model, self._context, texture)
            self.versions[texture] = version

    def _twin(self, model: Any, texture: int) -> int | None:
        """A texture that is held and has the same pixels, neither of them written so far."""
        for other, version in self.versions.items():
            if version == self._textures.versions.get(other, 0) == 0 and self._textures.equal(texture, other):
                return other
        return None

    def release(self) -> None:
        """Give every texture its name of the beginning back: the context deletes those that it knows."""
        self._context.texture[:] = self._names
