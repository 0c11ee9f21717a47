"""Textures of a model: changed in place, uploaded to the OpenGL contexts on demand, restored at the reset."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class ModelTextures:
    """See `envs.base.Textures`.

    Attributes:
        versions: number of writes by texture id; contexts compare it with the version that they hold.
    """

    def __init__(self, model: Any) -> None:
        """Args: model: the live `mujoco.MjModel`, before its backup makes the pixels read-only."""
        self._model, self._pixels = model, model.tex_data[:]
        self._originals: dict[int, NDArray[np.uint8]] = {}
        self.versions: dict[int, int] = {}

    def _window(self, texture: int) -> Any:
        model = self._model
        if not 0 <= texture < model.ntex:
            raise ValueError(f"texture {texture}: the scene has 0 to {model.ntex - 1}")
        shape = (int(model.tex_height[texture]), int(model.tex_width[texture]), int(model.tex_nchannel[texture]))
        start = int(model.tex_adr[texture])
        return self._pixels[start : start + int(np.prod(shape))].reshape(shape)

    def get(self, texture: int) -> NDArray[np.uint8]:
        """See `envs.base.Textures`."""
        copy: NDArray[np.uint8] = self._window(texture).copy()
        return copy

    def set(self, texture: int, pixels: NDArray[np.uint8]) -> None:
        """See `envs.base.Textures`."""
        window = self._window(texture)
        if pixels.shape != window.shape or pixels.dtype != np.uint8:
            raise ValueError(f"texture {texture} is uint8{list(window.shape)}, got {pixels.dtype}{list(pixels.shape)}")
        self._originals.setdefault(texture, window.copy())
        window[:] = pixels
        self.versions[texture] = self.versions.get(texture, 0) + 1

    def equal(self, texture: int, other: int) -> bool:
        """Whether two textures are of the same type and size and have the same pixels."""
        model = self._model
        for field in (model.tex_type, model.tex_height, model.tex_width, model.tex_nchannel):
            if field[texture] != field[other]:
                return False
        a, b = self._window(texture), self._window(other)
        few = slice(None, None, 64)  # tells most of those that differ
        return bool(np.array_equal(a[few], b[few]) and np.array_equal(a, b))

    def restore(self) -> None:
        """Restore every texture that was written."""
        for texture, pixels in self._originals.items():
            self._window(texture)[:] = pixels
            self.versions[texture] += 1
        self._originals.clear()
