"""Which spare objects a LIBERO scene holds in reserve, and how they get into its description.

They are LIBERO's own, from the asset folder that the scene is built from, so they look like the rest of it.
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
from envs.sim.distractors import PARKED_POS
from envs.suites import Task

POOL = 5
"""Spare objects per scene: the most that LIBERO-plus adds to one."""

_UPRIGHT, _LYING = "1 0 0 0", "0.7071068 0.7071068 0 0"
"""How a model stands on its base: as it is, or, where its y axis points up, turned by 90 degrees about x."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object small and light enough to stand anywhere.

    Attributes:
        family: what it could be taken for at a glance.
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
"""Kinds by their name in LIBERO. Plates, pans and baskets are left out: other things could come to stand on them."""

LOOKALIKES: Mapping[str, str] = {
    "white_bowl": "bowl",
    "red_bowl": "bowl",
    "new_salad_dressing": "bottle",
    "macaroni_and_cheese": "packet",
    "popcorn": "packet",
    "yellow_book": "book",
    "chefmate_8_frypan": "pot",
}
"""Families of further kinds that scenes have."""


def spare_kinds(task: Task) -> tuple[str, ...]:
    """Kinds that mean nothing in a task, in an order that is the task's own, one of each family first.

    None is of a family that is in the scene, so no instruction that the scene allows could mean it.
    """
    here = {re.sub(r"_\d+$", "", name) for name in task.scenery.names}
    taken = {KINDS[kind].family if kind in KINDS else LOOKALIKES.get(kind) for kind in here}
    free = [kind for kind in KINDS if KINDS[kind].family not in taken]
    rng = np.random.Generator(np.random.Philox(zlib.crc32(f"{task.suite}/{task.name}".encode())))
    shuffled = [free[i] for i in rng.permutation(len(free))]
    families = [KINDS[kind].family for kind in shuffled]
    first = [kind for i, kind in enumerate(shuffled) if families[i] not in families[:i]]
    return (*first, *(kind for kind in shuffled if kind not in first))


def spare_objects(task: Task) -> dict[str, Any]:
    """LIBERO's own objects for a scene's reserve by their kind, from the assets in use; at most `POOL`."""
    make, found = import_libero().objects.get_object_fn, {}
    for kind in spare_kinds(task):
        # Not every asset folder has every kind.
        with contextlib.suppress(FileNotFoundError):
            found[kind] = make(kind)(name=spare_name(kind))
        if len(found) == POOL:
            break
    return found


def spare_name(kind: str) -> str:
    """What a spare object is called; no task file has such a name."""
    return f"distractor_{kind}"


def add_spares(xml: str, objects: Mapping[str, Any]) -> str:
    """A scene's MJCF with further free bodies at the end of the world, parked and weightless.

    Args:
        xml: the description.
        objects: robosuite's objects by their kind, see `spare_objects`.
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
        placed = {"name": spare_name(kind), "pos": f"0 {place} {PARKED_POS}", "quat": KINDS[kind].turn, "gravcomp": "1"}
        body.attrib.update(placed)
        world.append(body)
    return ET.tostring(root, encoding="unicode")
