"""Off-screen renderers of a model, one per image size.

Non-obvious behaviour:
- An OpenGL context holds copies of the textures that it has used so far: with software OpenGL a table's take 50 MB.
  Other textures, and modified ones, are uploaded before the image that needs them.
- A context is created with or without a shadow map. It is recreated with one when a light first casts shadows.
"""

import atexit
import contextlib
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.sim.culling import out_of_view
from envs.sim.opengl import make_renderer
from envs.sim.opengl import select_backend as select_backend
from envs.sim.textures import ModelTextures
from envs.sim.uploads import Uploads

_HIDDEN = 0
"""The geom group of collision geoms, which images do not show; as in robosuite's renderer."""

_MANY_FACES = 50_000
"""Fewest faces of a scene's meshes at which culling is tried. With few faces it takes as long as it saves. Our choice:
the bundled scenes have 4,000, LIBERO's own 200,000 and more."""

_ALONE = 5
"""A geom group that LIBERO's models do not use."""

_SHADOW_MAP = 2048
"""Side of the shadow map (px) where the model asks for none: half of MuJoCo's default, fine at 256 px."""


class _Context:
    """A renderer, whether it can render shadows, and the textures that it holds."""

    def __init__(self, renderer: Any, textures: ModelTextures, *, shadows: bool) -> None:
        self.renderer, self.shadows, self.uploads = renderer, shadows, Uploads(renderer, textures)

    def close(self) -> None:
        """Free the OpenGL context."""
        self.uploads.release()
        self.renderer.close()


def _visible_textures(model: Any, option: Any) -> NDArray[np.int32]:
    """Textures of everything that a visualisation option shows, inside and outside the image, and of the sky."""
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
    visible: NDArray[np.int32] = np.unique(textures[textures >= 0])
    return visible


class Renderers:
    """Lazily created off-screen renderers of one model, one per image size."""

    def __init__(self, model: Any, textures: ModelTextures) -> None:
        """Prepare; no OpenGL context is created yet.

        Args:
            model: the `mujoco.MjModel` to render. Its visual fields are read for every image.
            textures: its textures.
        """
        self._model, self._textures = model, textures
        self._by_size: dict[int, _Context] = {}
        self._option: Any = None
        self._culls = int(model.mesh_facenum.sum()) >= _MANY_FACES

    def draw(self, data: Any, camera: int, size: int) -> NDArray[np.uint8]:
        """Render `data` (`mujoco.MjData`) in MuJoCo's own orientation, `uint8[size, size, 3]`.

        Raises:
            EnvError: no OpenGL context could be created.
        """
        renderer = self._ready(size)
        with self._culled(data, camera):
            renderer.update_scene(data, camera, self._option)
        image: NDArray[np.uint8] = renderer.render()
        return image

    @contextlib.contextmanager
    def _culled(self, data: Any, camera: int) -> Iterator[None]:
        """Hide what a camera cannot see, in scenes with many faces."""
        groups, unseen = self._model.geom_group, np.zeros(self._model.ngeom, bool)
        if self._culls:
            unseen = out_of_view(self._model, data, camera, self._option.geomgroup[groups] != 0)
        before = groups[unseen]
        groups[unseen] = _HIDDEN
        try:
            yield
        finally:
            groups[unseen] = before

    def segment(self, data: Any, camera: int, size: int, geoms: Sequence[int], *, alone: bool) -> NDArray[np.bool_]:
        """Mask of the pixels that show some of the model's geoms, `bool[size, size]`, oriented as by `draw`.

        Args:
            data: as for `draw`.
            camera: as for `draw`.
            size: as for `draw`.
            geoms: ids of the geoms.
            alone: ignore occlusion, as if no other geom existed.
        """
        import mujoco

        renderer, model = self._ready(size), self._model
        groups = model.geom_group.copy()
        option = mujoco.MjvOption()
        option.geomgroup[:], option.sitegroup[:] = self._option.geomgroup, 0
        if alone:
            visual = [geom for geom in geoms if option.geomgroup[groups[geom]]]
            option.geomgroup[:] = 0
            option.geomgroup[_ALONE] = 1
            model.geom_group[model.geom_group == _ALONE] = 0
            model.geom_group[visual] = _ALONE
        renderer.enable_segmentation_rendering()
        try:
            renderer.update_scene(data, camera, option)
            segments = renderer.render()
        finally:
            renderer.disable_segmentation_rendering()
            model.geom_group[:] = groups
        is_geom = segments[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM)
        visible: NDArray[np.bool_] = is_geom & np.isin(segments[..., 0], list(geoms))
        return visible

    def _ready(self, size: int) -> Any:
        """The renderer of a size, with the shadow map and textures that the model needs now."""
        shadows = bool(self._model.light_castshadow.any())
        context = self._by_size.pop(size, None)
        if context is not None and shadows and not context.shadows:
            context.close()
            context = None
        if context is None:
            context = self._make(size, shadows=shadows)
        self._by_size[size] = context
        context.uploads.update(self._model, _visible_textures(self._model, self._option))
        return context.renderer

    def _make(self, size: int, *, shadows: bool) -> _Context:
        import mujoco

        buffer, quality = self._model.vis.global_, self._model.vis.quality
        before = (buffer.offwidth, buffer.offheight, quality.shadowsize)
        buffer.offwidth = buffer.offheight = size  # the model's own 640 x 480 would waste time and memory
        if not shadows:
            quality.shadowsize = 0  # an unused shadow map takes 64 MB
        elif not quality.shadowsize:
            quality.shadowsize = _SHADOW_MAP
        width, height = self._model.tex_width.copy(), self._model.tex_height.copy()
        self._model.tex_width[:] = self._model.tex_height[:] = 1  # the real ones are uploaded when needed
        try:
            renderer = make_renderer(self._model, size)
        finally:
            buffer.offwidth, buffer.offheight, quality.shadowsize = before
            self._model.tex_width[:], self._model.tex_height[:] = width, height
        if self._option is None:
            self._option = mujoco.MjvOption()
            self._option.geomgroup[_HIDDEN] = 0
        if not self._by_size:
            # A context that is still open when MuJoCo shuts the driver down at exit fills stderr with tracebacks.
            atexit.register(_close_if_alive, weakref.ref(self))
        return _Context(renderer, self._textures, shadows=shadows)

    def close(self) -> None:
        """Free the OpenGL objects of all sizes."""
        while self._by_size:
            self._by_size.popitem()[1].close()

    def keep_last(self) -> None:
        """Free the OpenGL objects of all sizes but the one that was drawn last."""
        for size in list(self._by_size)[:-1]:
            self._by_size.pop(size).close()


def _close_if_alive(renderers: "weakref.ref[Renderers]") -> None:
    alive = renderers()
    if alive is not None:
        alive.close()
