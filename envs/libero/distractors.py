"""Chooses the distractors of a LIBERO scene and adds them to its MJCF description.

They are LIBERO's own objects, from the asset folder of the scene, so they match its looks.
"""

import contextlib
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.libero.files import import_libero
from envs.libero.recolored import SPOKEN_OF_AS
from envs.sim.distractors import PARKED_POS
from envs.tasks import Task

POOL = 5
"""Distractors per scene: the most that LIBERO-plus adds to one."""

_UPRIGHT, _LYING = "1 0 0 0", "0.7071068 0.7071068 0 0"
"""Orientation in which a model stands on its base: unchanged, or rotated by 90 degrees about x if its y axis is up."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object that is small and light enough to stand anywhere.

    Attributes:
        family: class of similar objects that it belongs to.
        turn: orientation in which it stands, MJCF quaternion. Source: the settled initial states.
    """

    family: str
    turn: str = _UPRIGHT


KINDS: Mapping[str, Kind] = {
    "akita_black_bowl": Kind("bowl"),
    "glazed_rim_porcelain_ramekin": Kind("bowl"),
    "porcelain_mug": Kind("mug"),
    "red_coffee_mug": Kind("mug"),
    "white_yellow_mug": Kind("mug"),
    "alphabet_soup": Kind("can", _LYING),
    "tomato_sauce": Kind("can", _LYING),
    "ketchup": Kind("bottle", _LYING),
    "salad_dressing": Kind("bottle", _LYING),
    "bbq_sauce": Kind("bottle"),
    "wine_bottle": Kind("bottle"),
    "milk": Kind("carton", _LYING),
    "orange_juice": Kind("carton", _LYING),
    "cream_cheese": Kind("packet"),
    "butter": Kind("packet"),
    "chocolate_pudding": Kind("packet"),
    "cookies": Kind("packet"),
    "moka_pot": Kind("pot"),
    "black_book": Kind("book"),
}
"""Kinds by their name in LIBERO. Plates, pans and baskets are left out: other objects could end up on them."""

LOOKALIKES: Mapping[str, str] = {
    "white_bowl": "bowl",
    "red_bowl": "bowl",
    "new_salad_dressing": "bottle",
    "macaroni_and_cheese": "packet",
    "popcorn": "packet",
    "yellow_book": "book",
    "chefmate_8_frypan": "pot",
}
"""Families of further kinds that occur in scenes."""


def distractor_kinds(task: Task) -> tuple[str, ...]:
    """Kinds that are irrelevant to a task, in a fixed random order per task, one of each family first.

    No kind belongs to a family that is in the scene, so no feasible instruction can refer to it.
    """
    kinds = (re.sub(r"_\d+$", "", name) for name in task.scenery.names)
    present = {SPOKEN_OF_AS.get(kind, kind) for kind in kinds}
    taken = {KINDS[kind].family if kind in KINDS else LOOKALIKES.get(kind) for kind in present}
    free = [kind for kind in KINDS if KINDS[kind].family not in taken]
    rng = np.random.Generator(np.random.Philox(zlib.crc32(f"{task.suite}/{task.name}".encode())))
    shuffled = [free[i] for i in rng.permutation(len(free))]
    families = [KINDS[kind].family for kind in shuffled]
    first = [kind for i, kind in enumerate(shuffled) if families[i] not in families[:i]]
    return (*first, *(kind for kind in shuffled if kind not in first))


def distractor_objects(task: Task) -> dict[str, Any]:
    """LIBERO's objects for a scene's distractors by kind, from the assets in use; at most `POOL`."""
    make, objects = import_libero().objects.get_object_fn, {}
    for kind in distractor_kinds(task):
        # Not every asset folder has every kind.
        with contextlib.suppress(FileNotFoundError):
            objects[kind] = make(kind)(name=distractor_name(kind))
        if len(objects) == POOL:
            break
    return objects


def distractor_name(kind: str) -> str:
    """Name of a distractor's body; no task file has such a name."""
    return f"distractor_{kind}"


def add_distractors(xml: str, objects: Mapping[str, Any]) -> str:
    """Append distractors to a scene's MJCF as free bodies, parked and without gravity.

    Args:
        xml: the description.
        objects: robosuite's objects by kind, see `distractor_objects`.
    """
    if not objects:
        return xml
    root = ET.fromstring(xml)
    assets, world = root.find("asset"), root.find("worldbody")
    assert assets is not None, "a scene has assets"
    assert world is not None, "a scene has a world"
    for place, (kind, model) in enumerate(objects.items()):
        assets.extend(model.asset)
        body = model.get_obj()
        assert body.find("body") is None, "a spare object is one body"
        parked = {
            "name": distractor_name(kind),
            "pos": f"0 {place} {PARKED_POS}",
            "quat": KINDS[kind].turn,
            "gravcomp": "1",
        }
        body.attrib.update(parked)
        world.append(body)
    return ET.tostring(root, encoding="unicode")
