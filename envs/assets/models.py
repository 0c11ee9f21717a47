"""Bundled models as data, and how they become MJCF that LIBERO's code can load.

LIBERO's classes read one XML file per category: a body `object` inside an unnamed body, whose three sites tell how far
it reaches. Joints, sites and nested bodies are found by name.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field

from envs.assets.shapes import ORIGIN, UPRIGHT, Part, Quaternion, Vector

CONTACT = {"solimp": "0.998 0.998 0.001", "solref": "0.001 1", "friction": "0.95 0.3 0.1"}
"""How LIBERO's objects touch. Source: every model of its asset pack except stove and microwave."""

DENSITY = 100.0
"""kg/m3, of the fixtures' parts. Source: LIBERO's asset pack."""


@dataclass(frozen=True, slots=True)
class Site:
    """A box-shaped region that predicates refer to, with LIBERO's own numbers.

    Attributes:
        name: as LIBERO's classes and task files call it.
        pos: of its middle, in the body.
        size: half lengths.
        quat: as in LIBERO; its predicates compare along turned axes.
    """

    name: str
    pos: Vector
    size: Vector
    quat: Quaternion = UPRIGHT


@dataclass(frozen=True, slots=True)
class Body:
    """A body and what hangs from it.

    Attributes:
        name: without the object's prefix.
        parts: its geoms.
        pos: in its parent.
        quat: in its parent.
        mass: shared out to its solids by volume (kg); `None` where nothing depends on it.
        joint: XML attributes of its joint.
        inertial: XML attributes, if its inertia is given outright.
        sites: its regions.
        lights: XML attributes of sites that are shown or hidden.
        children: bodies inside.
    """

    name: str
    parts: tuple[Part, ...] = ()
    pos: Vector = ORIGIN
    quat: Quaternion = UPRIGHT
    mass: float | None = None
    joint: dict[str, str] = field(default_factory=dict)
    inertial: dict[str, str] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()
    lights: tuple[dict[str, str], ...] = ()
    children: tuple["Body", ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One category of LIBERO's.

    Attributes:
        path: below the asset folder, where LIBERO's class looks.
        body: what robosuite calls `object`.
        bottom: height that placements count with as its lower end.
        top: the same of its upper end.
        radius: x and y of the site whose distance is its reach.
    """

    path: str
    body: Body
    bottom: float = -0.06
    top: float = 0.04
    radius: float = 0.025


def number(value: float, digits: int = 5) -> str:
    """A number as it stands in the files: rounded, without trailing zeros or a negative zero."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def numbers(values: Iterable[float], digits: int = 5) -> str:
    """Several numbers as an XML attribute."""
    return " ".join(number(value, digits) for value in values)


def _volume(part: Part) -> float:
    assert part.kind == "box", "only boxes carry a share of a body's mass"
    return 8 * math.prod(part.size)


class _Writer:
    """Collects the meshes of one file while its bodies are written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.assets = ET.Element("asset")

    def mesh(self, part: Part) -> str:
        assert part.mesh is not None
        name = f"{self.name}_{len(self.assets)}"
        vertices = " ".join(numbers(vertex, 4) for vertex in part.mesh.vertices)
        faces = " ".join(" ".join(map(str, face)) for face in part.mesh.faces)
        ET.SubElement(self.assets, "mesh", {"name": name, "vertex": vertices, "face": faces})
        return name

    def geom(self, part: Part, mass: float | None) -> ET.Element:
        attributes = {"type": part.kind}
        if part.mesh is not None:
            attributes["mesh"] = self.mesh(part)
        if part.size:
            attributes["size"] = numbers(part.size)
        if part.pos != ORIGIN:
            attributes["pos"] = numbers(part.pos)
        if part.quat != UPRIGHT:
            attributes["quat"] = numbers(part.quat)
        if part.color is not None:
            attributes |= {"group": "1", "contype": "0", "conaffinity": "0", "rgba": numbers((*part.color, 1.0)[:4], 3)}
        else:
            attributes["group"] = "0"
            if "friction" not in part.attributes:
                attributes |= CONTACT
            if mass is not None:
                attributes["mass"] = number(mass * _volume(part), 8)
            elif not part.attributes.keys() & {"mass", "density"}:
                attributes["density"] = number(DENSITY)
        return ET.Element("geom", attributes | part.attributes)

    def body(self, body: Body) -> ET.Element:
        attributes = {"name": body.name}
        if body.pos != ORIGIN:
            attributes["pos"] = numbers(body.pos)
        if body.quat != UPRIGHT:
            attributes["quat"] = numbers(body.quat, 7)
        element = ET.Element("body", attributes)
        for tag, given in (("inertial", body.inertial), ("joint", body.joint)):
            if given:
                ET.SubElement(element, tag, given)
        for site in body.sites:
            placed = {"name": site.name, "type": "box", "pos": numbers(site.pos), "quat": numbers(site.quat, 7)}
            ET.SubElement(element, "site", placed | {"size": numbers(site.size), "group": "0", "rgba": "0.8 0.8 0 0"})
        for light in body.lights:
            ET.SubElement(element, "site", light)
        solids = sum(_volume(part) for part in body.parts if part.color is None) if body.mass is not None else 1.0
        for part in body.parts:
            element.append(self.geom(part, None if body.mass is None else body.mass / solids))
        for child in body.children:
            element.append(self.body(child))
        return element


def write(model: Model) -> str:
    """The model's file."""
    name = model.path.rsplit("/", 1)[-1].removesuffix(".xml")
    writer = _Writer(name)
    root = ET.Element("mujoco", {"model": name})
    root.append(writer.assets)
    outer = ET.SubElement(ET.SubElement(root, "worldbody"), "body")
    outer.append(writer.body(model.body))
    spots = {"bottom_site": (0.0, 0.0, model.bottom), "top_site": (0.0, 0.0, model.top)}
    spots["horizontal_radius_site"] = (model.radius, model.radius, 0.0)
    for spot, pos in spots.items():
        ET.SubElement(outer, "site", {"name": spot, "pos": numbers(pos), "size": "0.005", "rgba": "0 0 0 0"})
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"
