"""The order of conditions in every table and figure, from their canonical texts."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from simeval.core.types import CLEAN

_NUMBER = re.compile(r"([\w.]+):([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)([@/].*)?", re.ASCII)
"""A condition of one term with a numeric value: axis, value, and camera and settings."""


def in_families(names: Iterable[str]) -> list[str]:
    """Conditions in the order of the tables, however a run grew.

    `none` comes first. Conditions of an axis stand together, and in these the same camera and settings. Strengths that
    neither rise nor fall in `names`, as after growing, go from mild to strong; all else keeps the order of `names`.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    families: dict[str, dict[str, list[str]]] = {}
    for name in places:
        if name != CLEAN:
            number = _NUMBER.fullmatch(name)
            axes = number[1] if number else "+".join(term.partition(":")[0] for term in name.split("+"))
            variant = number[3] or "" if number else "words"  # no camera or setting begins with a letter
            families.setdefault(axes, {}).setdefault(variant, []).append(name)
    ordered = [CLEAN] if CLEAN in places else []
    for variants in families.values():
        for variant, conditions in variants.items():
            ordered += conditions if variant == "words" else _by_strength(conditions)
    return ordered


def _by_strength(conditions: Sequence[str]) -> Sequence[str]:
    values = {name: float(found[2]) for name in conditions if (found := _NUMBER.fullmatch(name))}
    steps = [after - before for before, after in pairwise(values.values())]
    if all(step > 0 for step in steps) or all(step < 0 for step in steps):
        return conditions
    from perturbations.base import SpecError  # not earlier: few runs grow, and the axes load OpenCV
    from perturbations.spec import parse

    try:
        (identity,) = {float(term.info.identity) for name in conditions for term in parse(name).terms}
    except (SpecError, ValueError):  # the axis of a plugin that is not loaded
        return conditions
    return sorted(conditions, key=lambda name: abs(values[name] - identity))
