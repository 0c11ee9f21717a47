"""Merges textures of an object that are copies of the same image.

OpenGL stores a texture that wraps a box six times, at four bytes per pixel, plus mipmaps. LIBERO's table has the same
texture once for its top and once for its legs: 51 MB in every rollout worker that renders without a GPU.
"""

import xml.etree.ElementTree as ET


def share_textures(xml: str) -> str:
    """Remove duplicate textures of the same object from a scene's MJCF. Rendered images do not change.

    Different objects keep separate textures, even if they are of the same kind: a perturbation may change one of two
    equal bowls.
    """
    root = ET.fromstring(xml)
    first: dict[tuple[object, ...], str] = {}
    replacements: dict[str, str] = {}
    for assets in root.findall("asset"):
        for texture in assets.findall("texture"):
            name, attributes = texture.get("name"), dict(texture.attrib)
            if name is None or "file" not in attributes:
                continue
            # robosuite prefixes texture names with the object's name; the scene's own have no prefix.
            attributes["name"] = name.partition("tex-")[0]
            kept = first.setdefault(tuple(sorted(attributes.items())), name)
            if kept != name:
                replacements[name] = kept
                assets.remove(texture)
    for material in root.iter("material"):
        for user in (material, *material.iter("layer")):
            if user.get("texture") in replacements:
                user.set("texture", replacements[user.get("texture", "")])
    return ET.tostring(root, encoding="unicode")
