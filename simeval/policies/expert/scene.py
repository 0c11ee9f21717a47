"""The scripted expert's model of LIBERO's objects: sizes, grasp points and places.

Lengths are in metres, in the frame of the object's body. Sizes were measured on the collision geometry of LIBERO's
assets.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.base import Pose, Privileged

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """A part of an object: a box along the axes of its body.

    Attributes:
        low: least coordinates.
        high: greatest coordinates.
        drawer: name of the sliding joint that carries it along the body's y axis, without the object's name.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    drawer: str = ""


@dataclass(frozen=True, slots=True)
class Rim:
    """The rim of a bowl, grasped with one finger inside and one outside.

    Attributes:
        radius: distance of the grasp point from the bowl's axis.
        height: height of the rim.
        wall: largest opening of fingers that hold it.
    """

    radius: float
    height: float
    wall: float


@dataclass(frozen=True, slots=True)
class Place:
    """A place where an object can be put.

    Attributes:
        center: centre of the supporting surface.
        radius: largest distance of the object from the centre.
        fence: height of a surrounding wall that the hand does not fit into; 0 for none.
        drawer: name of the sliding joint that carries it along the body's y axis, without the object's name.
    """

    center: tuple[float, float, float]
    radius: float = 0.015
    fence: float = 0.0
    drawer: str = ""


@dataclass(frozen=True, slots=True)
class Knob:
    """A knob that is grasped across its grip and turns about the body's vertical axis.

    Attributes:
        center: grasp point.
        width: width of the grip, along the body's y axis when the knob is off.
        joint: name of the joint, without the object's name.
    """

    center: tuple[float, float, float]
    width: float
    joint: str


def _drawer(low: float, high: float, joint: str) -> tuple[Box, ...]:
    """The four walls of a drawer of the wooden cabinet, between two heights."""
    return (
        Box((-0.106, -0.078, low), (0.113, -0.064, high), joint),
        Box((-0.103, 0.088, low), (0.110, 0.095, high), joint),
        Box((-0.105, -0.078, low), (-0.099, 0.095, high), joint),
        Box((0.106, -0.078, low), (0.112, 0.095, high), joint),
    )


PARTS: Mapping[str, tuple[Box, ...]] = {
    "akita_black_bowl": (Box((-0.054, -0.054, 0.002), (0.053, 0.053, 0.052)),),
    "alphabet_soup": (Box((-0.031, -0.039, -0.035), (0.031, 0.038, 0.028)),),
    "basket": (
        Box((-0.084, -0.079, 0.004), (-0.061, 0.079, 0.146)),
        Box((0.061, -0.079, 0.004), (0.085, 0.079, 0.146)),
        Box((-0.084, -0.079, 0.004), (0.085, -0.059, 0.146)),
        Box((-0.084, 0.059, 0.004), (0.085, 0.079, 0.146)),
    ),
    "bbq_sauce": (Box((-0.023, -0.015, -0.055), (0.023, 0.015, 0.052)),),
    "butter": (Box((-0.038, -0.020, -0.009), (0.038, 0.020, 0.009)),),
    "chocolate_pudding": (Box((-0.041, -0.023, -0.013), (0.040, 0.023, 0.014)),),
    "cookies": (Box((-0.031, -0.041, -0.009), (0.031, 0.041, 0.009)),),
    "cream_cheese": (Box((-0.041, -0.021, -0.009), (0.041, 0.021, 0.009)),),
    "flat_stove": (
        Box((0.055, -0.095, -0.020), (0.245, 0.095, 0.026)),
        Box((-0.052, -0.046, 0.000), (0.043, 0.049, 0.050)),
    ),
    "glazed_rim_porcelain_ramekin": (Box((-0.045, -0.044, 0.001), (0.045, 0.045, 0.043)),),
    "ketchup": (Box((-0.028, -0.072, -0.018), (0.029, 0.073, 0.019)),),
    "milk": (Box((-0.026, -0.070, -0.026), (0.027, 0.061, 0.026)),),
    "orange_juice": (Box((-0.027, -0.070, -0.026), (0.026, 0.061, 0.026)),),
    "plate": (Box((-0.068, -0.068, -0.003), (0.070, 0.069, 0.016)),),
    "salad_dressing": (Box((-0.027, -0.073, -0.018), (0.025, 0.073, 0.018)),),
    "tomato_sauce": (Box((-0.031, -0.039, -0.034), (0.031, 0.038, 0.028)),),
    "wine_bottle": (Box((-0.021, -0.022, 0.001), (0.022, 0.022, 0.158)),),
    "wine_rack": (Box((-0.134, -0.124, -0.002), (0.134, 0.129, 0.328)),),
    "wooden_cabinet": (
        Box((-0.123, -0.078, 0.005), (0.131, 0.112, 0.223)),
        *_drawer(0.149, 0.217, "top_level"),
        *_drawer(0.079, 0.148, "middle_level"),
        *_drawer(0.010, 0.079, "bottom_level"),
    ),
}

_UNKNOWN = (Box((-0.06, -0.06, 0.0), (0.06, 0.06, 0.15)),)
"""Used for obstacles of other categories: about the largest LIBERO object that is not furniture."""

RIMS: Mapping[str, Rim] = {"akita_black_bowl": Rim(radius=0.042, height=0.052, wall=0.013)}

BLOCKS = frozenset(
    {
        *("alphabet_soup", "bbq_sauce", "butter", "chocolate_pudding", "cream_cheese", "ketchup", "milk"),
        *("orange_juice", "salad_dressing", "tomato_sauce", "wine_bottle"),
    }
)
"""Categories that fit between the fingers; they are grasped near their top."""

NECKS: Mapping[str, float] = {"wine_bottle": 0.016}
"""Largest opening of fingers that hold a block, for blocks that are narrower at the top than their box."""

PLACES: Mapping[str, Place] = {
    "akita_black_bowl": Place((0.0, 0.0, 0.007)),
    "basket contain_region": Place((0.0, 0.0, 0.022), radius=0.03, fence=0.146),
    "flat_stove cook_region": Place((0.15, 0.0, 0.026)),
    "plate": Place((0.0, 0.0, 0.006)),
    "wine_rack top_region": Place((0.0, -0.03, 0.254)),
    "wooden_cabinet top_region": Place((0.003, -0.010, 0.159), radius=0.03, fence=0.217, drawer="top_level"),
    "wooden_cabinet top_side": Place((0.004, 0.016, 0.223)),
}
"""Places by category of the object, or by category and region."""

HANDLES: Mapping[str, Box] = {
    "wooden_cabinet middle_region": Box((-0.048, -0.110, 0.102), (0.042, -0.094, 0.118), "middle_level"),
    "wooden_cabinet top_region": Box((-0.048, -0.110, 0.176), (0.042, -0.094, 0.192), "top_level"),
}
"""The bar of a drawer's handle, by category and region. Drawers slide out against the body's y axis.

The lowest drawer is missing: the hand does not fit between its handle and the table.
"""

KNOBS: Mapping[str, Knob] = {"flat_stove": Knob((-0.004, 0.001, 0.026), width=0.025, joint="button")}

DRAGGED = frozenset({"plate"})
"""Categories that are dragged along the table."""

SPOTS: Mapping[str, tuple[float, float, float]] = {"main_table_stove_front_region": (-0.04, 0.22, 0.90)}
"""Regions of a table that an object can be dragged to (m, in the world). Source: libero_goal's task files."""


SAME_SHAPE: Mapping[str, str] = {"white_cabinet": "wooden_cabinet"}
"""Categories whose collision geometry is that of another one."""


def category(name: str) -> str:
    """The category of an object: its name without the number; of two with one shape the one that is listed here."""
    kind = re.sub(r"_\d+$", "", name)
    return SAME_SHAPE.get(kind, kind)


def place_key(name: str) -> tuple[str, str]:
    """The object that a goal's second argument is part of, and its entry in `PLACES`.

    Args:
        name: an object (`plate_1`) or a region of one (`basket_1_contain_region`).
    """
    match = re.fullmatch(r"(.*?_\d+)(?:_(.*))?", name)
    owner, region = match.groups("") if match else (name, "")
    return owner, f"{category(owner)} {region}".strip()


def rotation(pose: Pose) -> Vector:
    """`float64[3, 3]`: columns are the body's axes in the world."""
    w, x, y, z = pose.quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True, slots=True)
class CollisionBox:
    """An upright box in the world frame.

    Attributes:
        center: `float64[3]`.
        across: angle of its first horizontal axis with the world's x axis (rad).
        half: `float64[3]`, half extents: along the first axis, along the second, vertical.
    """

    center: Vector
    across: float
    half: Vector

    @property
    def bottom(self) -> float:
        """Height of its underside (m)."""
        return float(self.center[2] - self.half[2])

    @property
    def top(self) -> float:
        """Height of its upper side (m)."""
        return float(self.center[2] + self.half[2])

    def distance(self, points: Vector) -> Vector:
        """Horizontal distance (m) of `float64[..., 2 or 3]` points from its footprint: `float64[...]`."""
        outside: Vector = np.linalg.norm(self._outside(points), axis=-1)
        return outside

    def away(self, point: Vector) -> Vector:
        """Horizontal unit vector away from its footprint: `float64[2]`; zero above it."""
        outside = self._outside(point) @ self._axes().T
        direction: Vector = outside / max(float(np.linalg.norm(outside)), 1e-9)
        return direction

    def _axes(self) -> Vector:
        cos, sin = np.cos(self.across), np.sin(self.across)
        return np.array([[cos, -sin], [sin, cos]])

    def _outside(self, points: Vector) -> Vector:
        """Vectors from the nearest point of the footprint to the points, in the box's frame."""
        local = (points[..., :2] - self.center[:2]) @ self._axes()
        outside: Vector = local - np.clip(local, -self.half[:2], self.half[:2])
        return outside


def solid(pose: Pose, box: Box, slide: float = 0.0) -> CollisionBox:
    """The upright box that approximates a box of a body: a tilted box keeps its height and its most level axes.

    Args:
        pose: pose of the body.
        box: the box in the body's frame.
        slide: its displacement along the body's y axis (m).
    """
    axes = rotation(pose)
    low, high = np.array(box.low), np.array(box.high)
    half = (high - low) / 2
    up = int(np.argmax(np.abs(axes[2])))
    first, second = (i for i in range(3) if i != up)
    center = pose.pos + axes @ ((low + high) / 2 + [0, slide, 0])
    across = float(np.arctan2(axes[1, first], axes[0, first]))
    return CollisionBox(center, across, np.array([half[first], half[second], np.abs(axes[2]) @ half]))


def solids(state: Privileged, *, without: str = "") -> Iterator[CollisionBox]:
    """All solid parts of the scene's objects.

    Args:
        state: the scene.
        without: an object to leave out.
    """
    for name, pose in state.objects.items():
        if name != without:
            for box in PARTS.get(category(name), _UNKNOWN):
                yield solid(pose, box, state.joints.get(f"{name}_{box.drawer}", 0.0))
