"""Finds the geoms that a camera cannot see, so that images cost less and have the same bytes.

OpenGL clips what is outside of an image, but only after it transformed every vertex, and in software that is most of an
image's price. What is known here about MuJoCo's renderer is from `src/render/render_gl3.c` of version 3.3.2.

Non-obvious behaviour:
- A geom is out of view if its bounding box is. Planes have none, and are always kept.
- A box or plane of a reflective material shows a mirror image of the scene, so what is mirrored in it is kept too.
- Only the first reflective geom of a scene is a mirror; without it the next one would be. So all of several are kept.
- A shadow can fall into the image from outside, so with shadows everything is kept.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MARGIN = 1e-3
"""How far a bounding box has to be out of view (m). Our choice, far above the rounding of a float32 renderer."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class _Boxes(NamedTuple):
    """Bounding boxes, seen from the camera, in the directions of the world.

    Attributes:
        centers: `float[n, 3]`.
        edges: `float[n, 3, 3]`; half edges are the columns.
    """

    centers: Floats
    edges: Floats

    def outside(self, inward: Floats) -> Flags:
        """Which are outside of one of the planes through the camera with these normals, `float[planes, 3]`."""
        apart: Flags = self.centers @ inward.T + self._reach(inward) < -MARGIN
        outside: Flags = np.any(apart, axis=1)
        return outside

    def below(self, normal: Floats, point: Floats) -> Flags:
        """Which are on the far side of a plane."""
        below: Flags = (self.centers - point) @ normal + self._reach(normal[None])[:, 0] < -MARGIN
        return below

    def mirrored(self, normal: Floats, point: Floats) -> "_Boxes":
        """Their mirror images."""
        return _Boxes(
            self.centers - 2 * np.outer((self.centers - point) @ normal, normal),
            self.edges - 2 * normal[:, None] * (normal @ self.edges)[:, None, :],
        )

    def _reach(self, directions: Floats) -> Floats:
        """How far each extends from its centre in each direction, `float[n, directions]`."""
        reach: Floats = np.abs(np.einsum("pi,nij->npj", directions, self.edges)).sum(axis=2)
        return reach


def out_of_view(model: Any, data: Any, camera: int, shown: Flags) -> Flags:
    """Geoms without which a square image has the same bytes, `bool[ngeom]`.

    Args:
        model: the `mujoco.MjModel`.
        data: its `mujoco.MjData`, with up to date poses of geoms and cameras.
        camera: index of the camera.
        shown: `bool[ngeom]`, the geoms that the image shows without this.
    """
    nothing: Flags = np.zeros(model.ngeom, bool)
    if model.light_castshadow.any() or model.cam_orthographic[camera] or model.cam_sensorsize[camera].any():
        return nothing
    eye, axes = data.cam_xpos[camera], data.geom_xmat.reshape(-1, 3, 3)
    middle, half = model.geom_aabb[:, :3], model.geom_aabb[:, 3:]
    boxes = _Boxes(data.geom_xpos + np.einsum("nij,nj->ni", axes, middle) - eye, axes * half[:, None, :])
    view = _view(float(model.cam_fovy[camera])) @ data.cam_xmat[camera].reshape(3, 3).T
    outside: Flags = boxes.outside(view) & (model.geom_rbound > 0)
    mirrors = _mirrors(model, shown)
    if mirrors.size == 1 and outside[mirrors[0]]:
        return outside
    outside[mirrors] = False
    for mirror in mirrors:
        normal, corners = _face(model, data, mirror, eye)
        height = -float(corners[0] @ normal)
        if height < -MARGIN:  # the camera is behind it and sees no mirror image
            continue
        if height < MARGIN:
            return nothing
        through = view if len(corners) == 1 else np.vstack([view, np.cross(np.roll(corners, -1, axis=0), corners)])
        outside &= boxes.below(normal, corners[0]) | boxes.mirrored(normal, corners[0]).outside(through)
    return outside


def _view(fovy: float) -> Floats:
    """Inward normals of a square view's planes, `float[5, 3]`, in the frame of the camera, which looks along -z."""
    slope = np.tan(np.radians(fovy) / 2)
    planes = np.array([(0, 0, -1), (1, 0, -slope), (-1, 0, -slope), (0, 1, -slope), (0, -1, -slope)], float)
    normals: Floats = planes / np.linalg.norm(planes, axis=1, keepdims=True)
    return normals


def _mirrors(model: Any, shown: Flags) -> NDArray[np.intp]:
    """Shown geoms that MuJoCo may render as a mirror; one that is transparent is counted as well."""
    import mujoco

    flat = np.isin(model.geom_type, (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX))
    material = model.geom_matid
    found = np.flatnonzero(shown & flat & (material >= 0))
    mirrors: NDArray[np.intp] = found[model.mat_reflectance[material[found]] > 0]
    return mirrors


def _face(model: Any, data: Any, geom: int, eye: Floats) -> tuple[Floats, Floats]:
    """The face that mirrors: its normal, and its corners as seen from the camera, against the clock.

    It is the side of a box towards its +z. A plane may have no end, and gets one point.
    """
    import mujoco

    axes = data.geom_xmat[geom].reshape(3, 3)
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
        return axes[:, 2], data.geom_xpos[geom][None] - eye
    x, y, z = model.geom_size[geom]
    local = np.array([(x, y, z), (-x, y, z), (-x, -y, z), (x, -y, z)])
    return axes[:, 2], data.geom_xpos[geom] + local @ axes.T - eye
