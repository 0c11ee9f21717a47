"""Axis families of conditions, and the order of conditions in every table and figure."""

from collections.abc import Iterable
from functools import cache

from perturbations.base import SpecError
from perturbations.condition import Condition
from perturbations.spec import parse
from simeval.core.types import CLEAN


def family(condition: Condition) -> str:
    """The axis of a condition; of a combination its axes."""
    return "+".join(condition.axes)


def variant(condition: Condition) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Camera and options of a condition with one numeric term; `None` for words and combinations."""
    if len(condition.terms) != 1 or isinstance(condition.terms[0].value, str):
        return None
    return condition.terms[0].camera, condition.terms[0].options


def strength(condition: Condition) -> float:
    """Distance of the value of a condition's only term, a number, from the value that changes nothing."""
    (term,) = condition.terms
    return abs(float(term.value) - float(term.info.identity))


def in_families(names: Iterable[str]) -> list[str]:
    """Canonical texts of conditions in the order of the tables, however a run grew.

    `none` comes first. Conditions of an axis stand together, and in these the same camera and options, from mild to
    strong; otherwise the order of `names` holds.
    """
    names = list(dict.fromkeys(names))
    perturbed = [name for name in names if name != CLEAN]
    keys = {name: _key(name) for name in perturbed}
    families = {key[0]: place for place, key in reversed(list(enumerate(keys.values())))}
    variants = {key[:2]: place for place, key in reversed(list(enumerate(keys.values())))}
    perturbed.sort(key=lambda name: (families[keys[name][0]], variants[keys[name][:2]], keys[name][2]))
    return [*([CLEAN] if CLEAN in names else ()), *perturbed]


@cache
def _key(name: str) -> tuple[str, object, float]:
    """Family, variant and strength of a condition; the axis of a plugin that is not loaded has a family alone."""
    try:
        condition = parse(name)
    except SpecError:
        return name.partition(":")[0], None, 0.0
    shape = variant(condition)
    return family(condition), shape, 0.0 if shape is None else strength(condition)
