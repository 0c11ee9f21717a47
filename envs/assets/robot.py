"""A Panda that is cheap to render: the same bodies, joints, inertias and collision shapes under plainer skins.

Non-obvious behaviour:
- The arm is rendered as its own collision meshes, which have 200 to 300 faces each. Link 1's has 12 500; link 2, which
  has the same shape, stands in for it.
- robosuite looks its visual geoms up by name after compiling. Every name therefore stays: the first of a body carry its
  new skins, the others become specks in a group that is never rendered.
"""

import xml.etree.ElementTree as ET

_WHITE = "0.93 0.94 0.95 1"
_DARK = "0.16 0.16 0.17 1"
_GRAY = "0.62 0.62 0.63 1"

type _Skin = dict[str, str]


def _mesh(name: str, color: str = _WHITE, **placed: str) -> _Skin:
    return {"type": "mesh", "mesh": name, "rgba": color, **placed}


def _tube(size: str, pos: str, color: str, quat: str = "1 0 0 0") -> _Skin:
    return {"type": "cylinder", "size": size, "pos": pos, "rgba": color, "quat": quat}


def _block(size: str, pos: str, color: str, quat: str = "1 0 0 0") -> _Skin:
    return {"type": "box", "size": size, "pos": pos, "rgba": color, "quat": quat}


_SIDEWISE = "0.7071068 0.7071068 0 0"
"""Turns a cylinder from the z axis to the y axis."""

_SKINS: dict[str, tuple[_Skin, ...]] = {
    "robot0_link0": (_mesh("robot0_link0"),),
    "robot0_link1": (_mesh("robot0_link2", quat="0.7071068 0.7071068 0 0"),),
    "robot0_link2": (_mesh("robot0_link2"), _tube("0.0555 0.004", "0 0 0.075", _GRAY)),
    "robot0_link3": (_mesh("robot0_link3"), _tube("0.045 0.052", "0.0825 0.055 0", _DARK, _SIDEWISE)),
    "robot0_link4": (_mesh("robot0_link4"), _tube("0.045 0.052", "0 0 0.052", _DARK)),
    "robot0_link5": (_mesh("robot0_link5"), _block("0.036 0.012 0.09", "0 0.110 -0.08", _DARK)),
    "robot0_link6": (_mesh("robot0_link6"), _tube("0.033 0.012", "0.088 0.070 0", _DARK, _SIDEWISE)),
    "robot0_link7": (
        _tube("0.044 0.028", "0 0 0.0795", _WHITE),
        _block("0.022 0.022 0.014", "0.048 0.048 0.082", _WHITE, "0.9238795 0 0 0.3826834"),
        _block("0.012 0.014 0.010", "0.063 0.063 0.082", _DARK, "0.9238795 0 0 0.3826834"),
    ),
    "gripper0_right_gripper": (_mesh("gripper0_hand", quat="0.7071068 0 0 0.7071068"),),
    "gripper0_leftfinger": (_mesh("gripper0_finger", _GRAY),),
    "gripper0_rightfinger": (_mesh("gripper0_finger", _GRAY, quat="0 0 0 1"),),
    "mount0_torso": (_block("0.05 0.05 0.05", "0 0 -0.05", _DARK),),
    "mount0_pedestal": (
        _tube("0.17 0.03", "0 0 -0.035", _DARK),
        _tube("0.08 0.40", "0 0 -0.46", _DARK),
        _block("0.11 0.20 0.265", "-0.325 0 -0.38", _DARK),
        _block("0.385 0.34 0.02", "-0.1225 0 -0.90", _DARK),
    ),
}
"""What each body is rendered with; measured on robosuite 1.4's visual meshes (m)."""

_HIDDEN = {"type": "sphere", "size": "0.0001", "contype": "0", "conaffinity": "0", "group": "4"}

_QUALITY = {"offsamples": "0", "shadowsize": "0", "numslices": "16", "numstacks": "4", "numquads": "2"}
"""No multisampling and coarser round shapes: software OpenGL pays for each sample and each triangle."""


def lighten(xml: str) -> str:
    """A scene's MJCF with plain skins on robot, gripper and mount, and the render quality of the bundled scenes.

    Args:
        xml: what robosuite assembled, with absolute mesh files.
    """
    root = ET.fromstring(xml)
    for body in root.iter("body"):
        if body.get("name", "").startswith(("robot0_", "gripper0_", "mount0_")):
            _dress(body)
    _drop_unused(root)
    visual = root.find("visual")
    if visual is None:
        visual = ET.SubElement(root, "visual")
    ET.SubElement(visual, "quality", _QUALITY)
    return ET.tostring(root, encoding="unicode")


def _dress(body: ET.Element) -> None:
    drawn = [geom for geom in body.findall("geom") if geom.get("group") == "1"]
    skins = _SKINS.get(body.get("name", ""), ())
    for k in range(max(len(drawn), len(skins))):
        geom = drawn[k] if k < len(drawn) else ET.SubElement(body, "geom")
        name = geom.get("name")
        geom.attrib.clear()
        geom.attrib.update({"name": name} if name else {})
        geom.attrib.update(_HIDDEN if k >= len(skins) else _HIDDEN | {"group": "1"} | skins[k])
        if geom.get("type") == "mesh":
            geom.attrib.pop("size")


def _drop_unused(root: ET.Element) -> None:
    """Remove meshes and materials that nothing refers to any more, so that nobody loads them."""
    assets = root.find("asset")
    assert assets is not None, "a scene has assets"
    for tag in ("mesh", "material"):
        used = {geom.get(tag) for geom in root.iter("geom")} | {site.get(tag) for site in root.iter("site")}
        for asset in assets.findall(tag):
            if asset.get("name") not in used:
                assets.remove(asset)
