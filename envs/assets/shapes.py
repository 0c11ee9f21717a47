"""The few shapes that every bundled model is built from.

A part is a geom: a solid collides and carries mass but is not rendered, a skin is rendered and touches nothing. Lengths
are metres, angles degrees, z points up. Solids are boxes only, as in LIBERO's own models: where a box rests on a box
MuJoCo finds several contacts, where a cylinder does only one.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

type Vector = tuple[float, float, float]
type Quaternion = tuple[float, float, float, float]
type Color = tuple[float, ...]
"""Red, green, blue and optionally opacity, each from 0 to 1."""

ORIGIN: Vector = (0.0, 0.0, 0.0)
UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Mesh:
    """A closed surface, corners counter-clockwise seen from outside."""

    vertices: tuple[Vector, ...]
    faces: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A geom of a body.

    Attributes:
        kind: MuJoCo's type.
        size: MuJoCo's sizes (half lengths).
        pos: of its middle, in the body.
        quat: w first.
        color: of a skin; `None` for a solid.
        mesh: the surface, if `kind` is `mesh`.
        attributes: further XML attributes.
    """

    kind: str
    size: tuple[float, ...] = ()
    pos: Vector = ORIGIN
    quat: Quaternion = UPRIGHT
    color: Color | None = None
    mesh: Mesh | None = None
    attributes: dict[str, str] = field(default_factory=dict)


def turn(axis: str, degrees: float) -> Quaternion:
    """The rotation about a coordinate axis."""
    half = math.radians(degrees) / 2
    values = [math.cos(half), 0.0, 0.0, 0.0]
    values[1 + "xyz".index(axis)] = math.sin(half)
    return (values[0], values[1], values[2], values[3])


def compose(first: Quaternion, then: Quaternion) -> Quaternion:
    """The rotation that turns by `then` what `first` has turned."""
    (a, b, c, d), (w, x, y, z) = then, first
    return (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )


def rotate(quat: Quaternion, vector: Vector) -> Vector:
    """A vector, turned."""
    w, x, y, z = quat
    _, *turned = compose(compose((w, -x, -y, -z), (0.0, *vector)), quat)
    return (turned[0], turned[1], turned[2])


def lay(parts: Iterable[Part], quat: Quaternion, offset: Vector = ORIGIN) -> tuple[Part, ...]:
    """The parts turned about the origin, then moved."""
    laid = []
    for part in parts:
        x, y, z = rotate(quat, part.pos)
        pos = (x + offset[0], y + offset[1], z + offset[2])
        laid.append(replace(part, pos=pos, quat=compose(part.quat, quat)))
    return tuple(laid)


# -- solids ------------------------------------------------------------------------------------------------------


def box(half: Vector, pos: Vector = ORIGIN, quat: Quaternion = UPRIGHT) -> Part:
    """A solid box."""
    return Part("box", half, pos, quat)


def panel(azimuth: float, pos: Vector, half: Vector, tilt: float = 0.0, roll: float = 0.0) -> Part:
    """A board that stands across the direction `azimuth` and leans that way by `tilt`.

    Args:
        azimuth: direction of its thin side, from the x axis.
        pos: its middle.
        half: thickness, width, height.
        tilt: from upright.
        roll: about its own height.
    """
    return Part("box", half, pos, compose(turn("z", roll), compose(turn("y", tilt), turn("z", azimuth))))


def around(count: int) -> tuple[float, ...]:
    """Evenly spaced directions, the first one that of the x axis."""
    return tuple(360 * k / count for k in range(count))


def ring(
    azimuths: Iterable[float],
    radius: float,
    height: float,
    half: Vector,
    tilt: float = 0.0,
    *,
    roll: float = 0.0,
    center: tuple[float, float] = (0, 0),
) -> tuple[Part, ...]:
    """A round wall made of boards: what makes a bowl hollow.

    Args:
        azimuths: direction of each board from the axis.
        radius: from the axis to a board's middle.
        height: of a board's middle.
        half: thickness, width, height of a board.
        tilt: how far the boards lean outwards.
        roll: about their own height.
        center: where the axis is.
    """
    boards = []
    for azimuth in azimuths:
        angle = math.radians(azimuth)
        pos = (center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle), height)
        boards.append(panel(azimuth, pos, half, tilt, roll))
    return tuple(boards)


def prism(sides: int, radius: float, low: float, high: float, center: tuple[float, float] = (0, 0)) -> tuple[Part, ...]:
    """A solid column with an even number of sides: as many boxes as it has pairs of opposite sides.

    Args:
        sides: even.
        radius: from the axis to a side.
        low: least height.
        high: greatest height.
        center: where the axis is.
    """
    half = (radius, radius * math.tan(math.pi / sides), (high - low) / 2)
    pos = (center[0], center[1], (low + high) / 2)
    return tuple(panel(360 * k / sides, pos, half) for k in range(sides // 2))


# -- skins -------------------------------------------------------------------------------------------------------


def paint(color: Color, parts: Iterable[Part]) -> tuple[Part, ...]:
    """Skins exactly where these solids are."""
    return tuple(replace(part, color=color, attributes={}) for part in parts)


def block(color: Color, low: Vector, high: Vector) -> Part:
    """A visible box between two corners."""
    (a, b, c), (x, y, z) = low, high
    return Part("box", ((x - a) / 2, (y - b) / 2, (z - c) / 2), ((x + a) / 2, (y + b) / 2, (z + c) / 2), color=color)


def column(color: Color, radius: float, low: float, high: float, center: tuple[float, float] = (0, 0)) -> Part:
    """A visible upright cylinder."""
    return Part("cylinder", (radius, (high - low) / 2), (center[0], center[1], (low + high) / 2), color=color)


def rod(color: Color, start: Vector, end: Vector, radius: float) -> Part:
    """A visible bar with round ends."""
    delta = tuple(b - a for a, b in zip(start, end, strict=True))
    length = math.hypot(*delta)
    # The shortest turn from the z axis to the bar.
    w, x, y = 1 + delta[2] / length, -delta[1] / length, delta[0] / length
    norm = math.hypot(w, x, y)
    quat = (w / norm, x / norm, y / norm, 0.0) if norm > 1e-9 else turn("x", 180)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, (start[2] + end[2]) / 2)
    return Part("capsule", (radius, length / 2), middle, quat, color)


def points(text: str) -> list[tuple[float, float]]:
    """An outline written as "a,b a,b ..." in millimetres."""
    pairs = (pair.split(",") for pair in text.split())
    return [(float(a) / 1000, float(b) / 1000) for a, b in pairs]


def lathe(
    color: Color,
    profile: str,
    center: tuple[float, float] = (0, 0),
    *,
    depth: float = 1.0,
    segments: int = 20,
) -> Part:
    """A visible body of revolution.

    Args:
        color: its colour.
        profile: "radius,height ..." in millimetres: outside upwards, and (if hollow) inside down again. An outline
            that does not start on the axis is closed to a ring.
        center: where the axis is.
        depth: its extent in y as a share of that in x; below 1 it is flattened.
        segments: corners of its round.
    """
    outline = points(profile)
    vertices: list[Vector] = []
    rows: list[list[int]] = []
    for radius, height in outline:
        count = 1 if radius == 0 else segments
        rows.append([len(vertices) + j % count for j in range(segments + 1)])
        for j in range(count):
            angle = 2 * math.pi * j / segments
            vertices.append((radius * math.cos(angle), depth * radius * math.sin(angle), height))
    if outline[0][0] > 0:
        rows.append(rows[0])
    faces = []
    for lower, upper in itertools.pairwise(rows):
        for j in range(segments):
            corners = (lower[j], lower[j + 1], upper[j + 1], upper[j])
            faces += [
                face
                for face in ((corners[0], corners[1], corners[2]), (corners[0], corners[2], corners[3]))
                if len(set(face)) == 3
            ]
    return Part("mesh", (), (center[0], center[1], 0.0), color=color, mesh=Mesh(tuple(vertices), tuple(faces)))


def wedge(color: Color, width: float, outline: str) -> Part:
    """A visible prism along the x axis over a convex outline.

    Args:
        color: its colour.
        width: half its length in x.
        outline: corners y,z (mm), counter-clockwise seen from positive x.
    """
    base = points(outline)
    count = len(base)
    vertices: list[Vector] = [(side * width, y, z) for side in (-1, 1) for y, z in base]
    faces = [(0, k + 1, k) for k in range(1, count - 1)] + [
        (count, count + k, count + k + 1) for k in range(1, count - 1)
    ]
    for k in range(count):
        n = (k + 1) % count
        faces += [(k, n, n + count), (k, n + count, k + count)]
    return Part("mesh", color=color, mesh=Mesh(tuple(vertices), tuple(faces)))
