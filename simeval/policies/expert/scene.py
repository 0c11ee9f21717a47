"""What the scripted expert knows about LIBERO's objects: their sizes, where to hold them, where to put them.

Lengths are metres, in the frame of the object's body. Sizes were measured on the collision geometry of LIBERO's assets.
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
    """The upper edge of a bowl, to be held with one finger inside and one outside.

    Attributes:
        radius: distance of the middle between the fingers from the bowl's axis.
        height: of the edge.
        wall: opening of the fingers that hold it, at most.
    """

    radius: float
    height: float
    wall: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where something can be put.

    Attributes:
        center: middle of the surface that it will stand on.
        radius: how far from the middle it may end up.
        fence: height of a wall around it, which the hand does not fit into; 0 for none.
        drawer: name of the sliding joint that carries it along the body's y axis, without the object's name.
    """

    center: tuple[float, float, float]
    radius: float = 0.015
    fence: float = 0.0
    drawer: str = ""


@dataclass(frozen=True, slots=True)
class Knob:
    """A knob with a grip to be held across, which turns about the body's upright axis.

    Attributes:
        center: where the hand's point holds it.
        width: of the grip, along the body's y axis when it is off.
        joint: without the object's name.
    """

    center: tuple[float, float, float]
    width: float
    joint: str


def _drawer(low: float, high: float, joint: str) -> tuple[Box, ...]:
    """The four walls of a drawer of the wooden cabinet that reaches from one height to another."""
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
"""Stands for obstacles of other categories: about the largest object of LIBERO that is not furniture."""

RIMS: Mapping[str, Rim] = {"akita_black_bowl": Rim(radius=0.042, height=0.052, wall=0.013)}

BLOCKS = frozenset(
    {
        *("alphabet_soup", "bbq_sauce", "butter", "chocolate_pudding", "cream_cheese", "ketchup", "milk"),
        *("orange_juice", "salad_dressing", "tomato_sauce", "wine_bottle"),
    }
)
"""Categories that fit between the fingers, to be held near their top."""

NECKS: Mapping[str, float] = {"wine_bottle": 0.016}
"""Opening of the fingers that hold a block, at most, where it is narrower near its top than its box."""

PLACES: Mapping[str, Place] = {
    "akita_black_bowl": Place((0.0, 0.0, 0.007)),
    "basket contain_region": Place((0.0, 0.0, 0.022), radius=0.03, fence=0.146),
    "flat_stove cook_region": Place((0.15, 0.0, 0.026)),
    "plate": Place((0.0, 0.0, 0.006)),
    "wine_rack top_region": Place((0.0, -0.03, 0.254)),
    "wooden_cabinet top_region": Place((0.003, -0.010, 0.159), radius=0.03, fence=0.217, drawer="top_level"),
    "wooden_cabinet top_side": Place((0.004, 0.016, 0.223)),
}
"""By category of the thing, or category and region."""

HANDLES: Mapping[str, Box] = {
    "wooden_cabinet middle_region": Box((-0.048, -0.110, 0.102), (0.042, -0.094, 0.118), "middle_level"),
    "wooden_cabinet top_region": Box((-0.048, -0.110, 0.176), (0.042, -0.094, 0.192), "top_level"),
}
"""By category and region: the bar of a drawer's handle; the drawer slides out against the body's y axis.

The lowest drawer is missing: the hand does not fit between its handle and the table.
"""

KNOBS: Mapping[str, Knob] = {"flat_stove": Knob((-0.004, 0.001, 0.026), width=0.025, joint="button")}

DRAGGED = frozenset({"plate"})
"""Categories that are dragged along the table."""

SPOTS: Mapping[str, tuple[float, float, float]] = {"main_table_stove_front_region": (-0.04, 0.22, 0.90)}
"""Regions of a table that a thing can be dragged to (m, in the world). Source: libero_goal's task files."""


def category(name: str) -> str:
    """The category of an object: its name without the number."""
    return re.sub(r"_\d+$", "", name)


def place_key(name: str) -> tuple[str, str]:
    """The object that a goal's second argument is part of, and its entry in `PLACES`.

    Args:
        name: an object (`plate_1`) or a region of one (`basket_1_contain_region`).
    """
    found = re.fullmatch(r"(.*?_\d+)(?:_(.*))?", name)
    owner, region = found.groups("") if found else (name, "")
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
    """A box in the world, standing upright.

    Attributes:
        center: `float64[3]`.
        across: angle of its first horizontal axis with the world's x axis (rad).
        half: `float64[3]`, half its sides: along the first axis, along the second, vertical.
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
        """Horizontal direction straight away from its footprint: `float64[2]`; zero above it."""
        outside = self._outside(point) @ self._axes().T
        direction: Vector = outside / max(float(np.linalg.norm(outside)), 1e-9)
        return direction

    def _axes(self) -> Vector:
        cos, sin = np.cos(self.across), np.sin(self.across)
        return np.array([[cos, -sin], [sin, cos]])

    def _outside(self, points: Vector) -> Vector:
        """From the nearest point of the footprint to the points, along its own axes."""
        local = (points[..., :2] - self.center[:2]) @ self._axes()
        outside: Vector = local - np.clip(local, -self.half[:2], self.half[:2])
        return outside


def solid(pose: Pose, box: Box, slide: float = 0.0) -> CollisionBox:
    """A box of a body at a pose, stood upright: tilted ones keep the height they have, and their axes nearest to level.

    Args:
        pose: of the body.
        box: in the body's frame.
        slide: how far it has slid along the body's y axis (m).
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
    """Everything that stands in the scene, part by part.

    Args:
        state: the scene.
        without: an object to leave out.
    """
    for name, pose in state.objects.items():
        if name != without:
            for box in PARTS.get(category(name), _UNKNOWN):
                yield solid(pose, box, state.joints.get(f"{name}_{box.drawer}", 0.0))
