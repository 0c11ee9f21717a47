"""One renderer per image size.

Non-obvious behaviour:
- An OpenGL context has copies of the textures that something in sight has shown so far: software OpenGL keeps a table's
  in 50 MB. Others, and those that were written, are uploaded before the picture that needs them.
- It has a shadow map, or none: it is made anew, with one, when a light first casts shadows.
"""

import atexit
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.sim.opengl import make_renderer
from envs.sim.opengl import select_backend as select_backend
from envs.sim.textures import ModelTextures

_ALONE = 5
"""A geom group that LIBERO's models do not use."""


_SHADOW_MAP = 2048
"""Side of the shadow map (px) where the model asks for none: half of MuJoCo's default, fine at 256 px."""


class _Context:
    """A renderer, whether it can draw shadows, and which versions of the textures it has."""

    def __init__(self, renderer: Any, textures: ModelTextures, *, shadows: bool) -> None:
        self.renderer, self.shadows, self._textures = renderer, shadows, textures
        self._uploaded: dict[int, int] = {}

    def upload(self, model: Any, textures: NDArray[np.int32]) -> None:
        """Bring those textures up to date that a picture needs."""
        import mujoco

        for texture in textures.tolist():
            version = self._textures.versions.get(texture, 0)
            if self._uploaded.get(texture) != version:
                self.renderer._gl_context.make_current()
                mujoco.mjr_uploadTexture(model, self.renderer._mjr_context, texture)
                self._uploaded[texture] = version


def _shown(model: Any, option: Any) -> NDArray[np.int32]:
    """Textures of all that an option shows, in or out of the picture, and of the sky."""
    import mujoco

    materials = [
        model.geom_matid[option.geomgroup[model.geom_group] != 0],
        model.site_matid[option.sitegroup[model.site_group] != 0],
        model.skin_matid,
        model.tendon_matid,
    ]
    used = np.unique(np.concatenate(materials))
    textures = np.append(
        model.mat_texid[used[used >= 0]], np.flatnonzero(model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    )
    shown: NDArray[np.int32] = np.unique(textures[textures >= 0])
    return shown


class Renderers:
    """Lazily made off-screen renderers of one model, one per picture size."""

    def __init__(self, model: Any, textures: ModelTextures) -> None:
        """Prepare, without any OpenGL yet.

        Args:
            model: the `mujoco.MjModel` to draw. Its visual fields are read at every picture.
            textures: its textures.
        """
        self._model, self._textures = model, textures
        self._by_size: dict[int, _Context] = {}
        self._option: Any = None

    def draw(self, data: Any, camera: int, size: int) -> NDArray[np.uint8]:
        """One picture of `data` (`mujoco.MjData`) as OpenGL orients it for a person, `uint8[size, size, 3]`.

        Raises:
            EnvError: no OpenGL context could be made.
        """
        renderer = self._ready(size)
        renderer.update_scene(data, camera, self._option)
        picture: NDArray[np.uint8] = renderer.render()
        return picture

    def segment(self, data: Any, camera: int, size: int, geoms: Sequence[int], *, alone: bool) -> NDArray[np.bool_]:
        """Where some of the model's geoms are visible, `bool[size, size]`, oriented as by `draw`.

        Args:
            data: as for `draw`.
            camera: as for `draw`.
            size: as for `draw`.
            geoms: which geoms.
            alone: as if no other geom existed.
        """
        import mujoco

        renderer, model = self._ready(size), self._model
        groups = model.geom_group.copy()
        option = mujoco.MjvOption()
        option.geomgroup[:], option.sitegroup[:] = self._option.geomgroup, 0
        if alone:
            seen = [geom for geom in geoms if option.geomgroup[groups[geom]]]
            option.geomgroup[:] = 0
            option.geomgroup[_ALONE] = 1
            model.geom_group[model.geom_group == _ALONE] = 0
            model.geom_group[seen] = _ALONE
        renderer.enable_segmentation_rendering()
        try:
            renderer.update_scene(data, camera, option)
            found = renderer.render()
        finally:
            renderer.disable_segmentation_rendering()
            model.geom_group[:] = groups
        is_geom = found[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM)
        visible: NDArray[np.bool_] = is_geom & np.isin(found[..., 0], list(geoms))
        return visible

    def _ready(self, size: int) -> Any:
        """The renderer of a size, with all that the model now needs."""
        shadows = bool(self._model.light_castshadow.any())
        context = self._by_size.get(size)
        if context is not None and shadows and not context.shadows:
            context.renderer.close()
            context = None
        if context is None:
            context = self._by_size[size] = self._make(size, shadows=shadows)
        context.upload(self._model, _shown(self._model, self._option))
        return context.renderer

    def _make(self, size: int, *, shadows: bool) -> _Context:
        import mujoco

        buffer, quality = self._model.vis.global_, self._model.vis.quality
        before = (buffer.offwidth, buffer.offheight, quality.shadowsize)
        buffer.offwidth = buffer.offheight = size  # the model's own 640 x 480 is cleared and kept for nothing
        if not shadows:
            quality.shadowsize = 0  # a shadow map that nothing uses is 64 MB
        elif not quality.shadowsize:
            quality.shadowsize = _SHADOW_MAP
        width, height = self._model.tex_width.copy(), self._model.tex_height.copy()
        self._model.tex_width[:] = self._model.tex_height[:] = 1  # the real ones come when something shows them
        try:
            renderer = make_renderer(self._model, size)
        finally:
            buffer.offwidth, buffer.offheight, quality.shadowsize = before
            self._model.tex_width[:], self._model.tex_height[:] = width, height
        if self._option is None:
            self._option = mujoco.MjvOption()
            # As robosuite's renderer: collision geoms are in group 0 and not shown.
            self._option.geomgroup[0] = 0
        if not self._by_size:
            # A context that is left over when MuJoCo leaves the driver, at exit, fills stderr with tracebacks.
            atexit.register(_close_if_alive, weakref.ref(self))
        return _Context(renderer, self._textures, shadows=shadows)

    def close(self) -> None:
        """Free all OpenGL contexts."""
        for context in self._by_size.values():
            context.renderer.close()
        self._by_size.clear()


def _close_if_alive(renderers: "weakref.ref[Renderers]") -> None:
    alive = renderers()
    if alive is not None:
        alive.close()
