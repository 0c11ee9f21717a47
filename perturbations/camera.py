"""Camera axes: position, orientation and field of view of a camera.

A fixed camera moves about the centre of the workspace, on the surface that objects stand on. A camera on the hand moves
about the point `WRIST_REACH` ahead of it on its optical axis, with the camera's up direction instead of the world's.

Directions are those of the policy's view. In LIBERO that view is a mirror image (policies were trained on images
flipped on both axes), so a camera that moves left in the view moves to its own right in the world. `Scene.mirrored`
says whether it is.
"""

from typing import Any

import numpy as np

from perturbations.base import CAMERAS, CENTIMETRES, DEGREES, MULTIPLIER, AxisInfo, Key, Scene, Stage, register
from perturbations.rotations import Vector, about, compose, drawn_direction, rotate

WRIST_REACH = 0.1
"""Distance from a camera on the hand to its pivot (m): level with the fingertips of LIBERO's Panda."""

NARROWEST, WIDEST = 5.0, 150.0
"""Limits of the vertical field of view (deg): beyond them an image shows nothing, or only distortion. Our choice."""

_X, _Y, _Z = np.eye(3)
SHIFTS = {"left": _X, "right": -_X, "up": _Y, "down": -_Y, "nearer": -_Z, "farther": _Z}
"""Directions of a mirrored view in the frame of a camera, which looks along -z with +y up."""

TURNS = {"left": -_Y, "right": _Y, "up": _X, "down": -_X, "clockwise": _Z, "counterclockwise": -_Z}
"""Rotation axis (right-handed, camera frame) that turns a camera in a direction of a mirrored view."""

_REFLECTED = np.array([-1.0, 1.0, 1.0])
"""What becomes of a shift in a view that is not mirrored; a rotation axis becomes the opposite of that."""


def _pivot(scene: Scene, model: Any, camera: int) -> tuple[Vector, Vector]:
    """The point that a camera moves about and its up direction, in the frame of the camera's body."""
    if model.cam_bodyid[camera] == 0:
        return np.array(scene.workspace_center, np.float64), _Z
    ahead = np.array(model.cam_pos[camera]) - WRIST_REACH * rotate(model.cam_quat[camera], _Z)
    return ahead, rotate(model.cam_quat[camera], _Y)


def _swing(model: Any, camera: int, pivot: Vector, turn: Vector) -> None:
    """Rotate a camera rigidly about a point."""
    model.cam_pos[camera] = pivot + rotate(turn, model.cam_pos[camera] - pivot)
    model.cam_quat[camera] = compose(turn, model.cam_quat[camera])


@register(
    AxisInfo(
        name="camera.orbit",
        stage=Stage.SCENE,
        unit=DEGREES,
        value_means="angle about the vertical through the workspace; positive is to the left in the policy's view",
        bounds=(-90.0, 90.0),
        identity=0.0,
        presets=(2.0, 5.0, 10.0, 20.0, 40.0),
        source="LIBERO-plus: -75 to 75 deg",
        cameras=CAMERAS,
        writes=("cam_pos", "cam_quat"),
    )
)
def orbit(scene: Scene, value: float, camera: str) -> None:
    """The camera orbits the workspace: same viewing target, distance and height."""
    model, index = scene.model, scene.cameras[camera]
    pivot, up = _pivot(scene, model, index)
    _swing(model, index, pivot, about(up, value if scene.mirrored else -value))


@register(
    AxisInfo(
        name="camera.elevate",
        stage=Stage.SCENE,
        unit=DEGREES,
        value_means="angle by which the camera rises about the workspace; negative sinks",
        bounds=(-30.0, 40.0),
        identity=0.0,
        presets=(2.0, 5.0, 8.0, 12.0, 15.0),
        source="LIBERO-plus: 0 or 15 deg",
        cameras=CAMERAS,
        writes=("cam_pos", "cam_quat"),
    )
)
def elevate(scene: Scene, value: float, camera: str) -> None:
    """The camera rises on a circle about the workspace: same viewing target and distance."""
    model, index = scene.model, scene.cameras[camera]
    pivot, up = _pivot(scene, model, index)
    _swing(model, index, pivot, about(np.cross(model.cam_pos[index] - pivot, up), value))


@register(
    AxisInfo(
        name="camera.distance",
        stage=Stage.SCENE,
        unit=MULTIPLIER,
        value_means="multiplier on the camera's distance from the workspace",
        bounds=(0.5, 3.0),
        identity=1.0,
        presets=(1.1, 1.25, 1.5, 1.75, 2.0),
        source="LIBERO-plus: 1 to 2",
        cameras=CAMERAS,
        writes=("cam_pos",),
    )
)
def distance(scene: Scene, value: float, camera: str) -> None:
    """The camera moves away from or towards the workspace, with the same orientation."""
    model, index = scene.model, scene.cameras[camera]
    pivot, _ = _pivot(scene, model, index)
    model.cam_pos[index] = pivot + value * (model.cam_pos[index] - pivot)


@register(
    AxisInfo(
        name="camera.rotate",
        stage=Stage.SCENE,
        unit=DEGREES,
        value_means="angle by which the camera turns in place, about a random axis",
        bounds=(0.0, 30.0),
        identity=0.0,
        presets=(2.0, 4.0, 6.0, 8.0, 10.0),
        source="LIBERO-plus: 2 to 10 deg",
        cameras=CAMERAS,
        keys=(Key("direction", "draw", ("draw", *TURNS)),),
        writes=("cam_quat",),
    )
)
def turn_in_place(scene: Scene, value: float, rng: np.random.Generator, camera: str, direction: str) -> None:
    """The camera turns in place, about a random axis or in one direction of the policy's view."""
    axis = drawn_direction(rng, 3) if direction == "draw" else TURNS[direction]
    if not scene.mirrored:
        axis = -_REFLECTED * axis
    model, index = scene.model, scene.cameras[camera]
    model.cam_quat[index] = compose(np.array(model.cam_quat[index]), about(axis, value))


@register(
    AxisInfo(
        name="camera.shift",
        stage=Stage.SCENE,
        unit=CENTIMETRES,
        value_means="distance by which the camera moves in a random direction",
        bounds=(0.0, 50.0),
        identity=0.0,
        presets=(1.0, 2.0, 4.0, 7.0, 10.0),
        source="THE COLOSSEUM: 10 cm; libero-infinity: 10 cm",
        cameras=CAMERAS,
        keys=(Key("direction", "draw", ("draw", *SHIFTS)),),
        writes=("cam_pos",),
    )
)
def shift(scene: Scene, value: float, rng: np.random.Generator, camera: str, direction: str) -> None:
    """The camera moves and keeps its orientation."""
    offset = drawn_direction(rng, 3) if direction == "draw" else SHIFTS[direction]
    if not scene.mirrored:
        offset = _REFLECTED * offset
    model, index = scene.model, scene.cameras[camera]
    model.cam_pos[index] += value / 100 * rotate(model.cam_quat[index], offset)


@register(
    AxisInfo(
        name="camera.fov",
        stage=Stage.SCENE,
        unit=DEGREES,
        value_means="degrees added to the vertical field of view; positive sees more",
        bounds=(-30.0, 45.0),
        identity=0.0,
        presets=(2.0, 4.0, 6.0, 8.0, 10.0),
        source="robosuite's CameraModder: 5 deg; the rest our choice",
        cameras=CAMERAS,
        writes=("cam_fovy",),
    )
)
def field_of_view(scene: Scene, value: float, camera: str) -> None:
    """A wider or narrower lens."""
    model, index = scene.model, scene.cameras[camera]
    model.cam_fovy[index] = np.clip(model.cam_fovy[index] + value, NARROWEST, WIDEST)
