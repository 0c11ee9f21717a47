"""One texture where several of an object's are copies of the same picture.

OpenGL keeps a picture that wraps a box six times, at four bytes a pixel, with smaller copies of it. LIBERO's table has
one for its top and the same one for its legs: 51 MB in every rollout worker that draws without a graphics card.
"""

import xml.etree.ElementTree as ET


def share_textures(xml: str) -> str:
    """A scene's MJCF in which no texture repeats another of the same object. Every picture of it stays as it is.

    Different objects keep their own, even if they are of a kind: somebody may want to paint one of two bowls.
    """
    root = ET.fromstring(xml)
    first: dict[tuple[object, ...], str] = {}
    instead: dict[str, str] = {}
    for assets in root.findall("asset"):
        for texture in assets.findall("texture"):
            name, what = texture.get("name"), dict(texture.attrib)
            if name is None or "file" not in what:
                continue
            # robosuite puts the object's name in front of its textures'; the scene's own have nothing there.
            what["name"] = name.partition("tex-")[0]
            kept = first.setdefault(tuple(sorted(what.items())), name)
            if kept != name:
                instead[name] = kept
                assets.remove(texture)
    for material in root.iter("material"):
        for user in (material, *material.iter("layer")):
            if user.get("texture") in instead:
                user.set("texture", instead[user.get("texture", "")])
    return ET.tostring(root, encoding="unicode")
