"""The grammar of perturbations: text to conditions. `str(condition)` is the way back.

    perturb := "none" | term ("+" term)*
    term    := axis ":" value ("," value)* ["@" camera] ("/" key "=" text)*
    value   := number [unit] | "s1" .. "s5" | word

Several values are a sweep: the cross product over the terms, the last one varying fastest. Blanks around any part are
ignored. Canonical text has the terms in order of application, numbers at their shortest in the axis' unit, severities
resolved, and no defaults; it becomes a file name once `:` and `/` are replaced.
"""

import math
import re
from decimal import Decimal
from itertools import product

from perturbations.base import ALL, AxisInfo, Key, SpecError, find_axis, shown
from perturbations.condition import Condition, Term

__all__ = ["Condition", "SpecError", "Term", "parse", "parse_sweep"]

NONE = "none"
MAX_CHARACTERS = 10_000
"""Longest text that is read: more is a mistake, not a sweep."""
MAX_CONDITIONS = 1_000
"""Most conditions in one sweep: more is a mistake, and each of them costs hours of rollouts."""

_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)([A-Za-z%]*)")
_SEVERITY = re.compile(r"s([0-9])")
_STEPS = re.compile(r"[0-9]{1,6}")


def parse(text: str) -> Condition:
    """Read exactly one condition.

    Raises:
        SpecError: the text is no condition, or is a sweep of several.
    """
    conditions = parse_sweep(text)
    if len(conditions) > 1:
        raise SpecError(f"{shown(text)}: a sweep of {len(conditions)} conditions where one is expected")
    return conditions[0]


def parse_sweep(text: str) -> tuple[Condition, ...]:
    """Read a condition or a sweep of conditions, without repetitions.

    Raises:
        SpecError: one line that quotes the value and says what is allowed.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpecError(f"{shown(text)}: {len(text)} characters, at most {MAX_CHARACTERS} are read")
    parts = [part.strip() for part in text.split("+")]
    if parts == [NONE]:
        return (Condition(),)
    if NONE in parts:
        raise SpecError(f"{shown(text)}: 'none' stands alone, it cannot be combined")
    if "" in parts:
        raise SpecError(f"'{shown(text)}': empty perturbation; write 'none' or terms such as noise:0.05+light:0.3")
    choices = [_terms(part) for part in parts]
    count = math.prod(map(len, choices))
    if count > MAX_CONDITIONS:
        raise SpecError(f"{shown(text)}: {count:.6g} conditions, at most {MAX_CONDITIONS} in one sweep")
    return tuple(dict.fromkeys(Condition(terms) for terms in product(*choices)))


def _terms(text: str) -> tuple[Term, ...]:
    """One term per value of `axis:value,value@camera/key=text`."""
    head, *settings = text.split("/")
    aim, at, camera = head.partition("@")
    name, _, values = aim.partition(":")
    info = find_axis(name.strip())
    if not values.strip():
        raise SpecError(f"{shown(text)}: a value is needed, for instance {info.example}")
    target = _camera(info, camera.strip(), text) if at else ALL
    options = _options(info, settings, text)
    return tuple(Term(info.name, _value(info, value.strip()), target, options) for value in values.split(","))


def _value(info: AxisInfo, text: str) -> float | str:
    if info.words:
        if text not in info.words:
            raise SpecError(f"{info.name}:{shown(text)}: value must be {info.allowed} ({info.value_means})")
        return text
    return _number(info, text)


def _number(info: AxisInfo, text: str) -> float:
    quoted = f"{info.name}:{shown(text)}"
    severity = _SEVERITY.fullmatch(text)
    if severity and info.presets:
        level = int(severity[1])
        if not 1 <= level <= len(info.presets):
            raise SpecError(f"{quoted}: severities are s1 to s{len(info.presets)}")
        return info.presets[level - 1]
    match = _NUMBER.fullmatch(text)
    if not match:
        known = " or a severity s1 to s5" if info.presets else ""
        raise SpecError(f"{quoted}: value must be a number {info.allowed}{known} ({info.value_means})")
    digits, suffix = match.groups()
    if suffix not in info.unit.factors:
        raise SpecError(f"{quoted}: unit must be {info.unit.accepted} ({info.value_means})")
    value = float(Decimal(digits) * info.unit.factors[suffix])
    low, high = info.bounds
    if not low <= value <= high:
        raise SpecError(f"{quoted}: value must be {info.allowed} ({info.value_means})")
    return value + 0.0  # -0 becomes 0, which reads the same


def _camera(info: AxisInfo, camera: str, text: str) -> str:
    """The canonical selector: `all` wherever that is the same."""
    if not info.cameras:
        raise SpecError(f"{shown(text)}: {info.name} takes no '@camera'")
    if camera not in (ALL, *info.cameras):
        raise SpecError(
            f"{shown(text)}: unknown camera '{shown(camera, 20)}'; known: {', '.join((ALL, *info.cameras))}"
        )
    return ALL if info.cameras == (camera,) else camera


def _options(info: AxisInfo, settings: list[str], text: str) -> tuple[tuple[str, str], ...]:
    """The settings that differ from their default, by key."""
    chosen: dict[str, str] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        key = info.key(name)
        if not equals:
            raise SpecError(f"{shown(text)}: '/{shown(name, 20)}' must be written /KEY=VALUE")
        if key is None:
            known = ", ".join(key.name for key in info.keys)
            hint = f"; its keys: {known}" if known else ", it takes none"
            raise SpecError(f"{shown(text)}: {info.name} has no key '{shown(name, 20)}'{hint}")
        if name in chosen:
            raise SpecError(f"{shown(text)}: key '{name}' is given twice")
        chosen[name] = _setting(key, value, text)
    start, end = chosen.get("from", "0"), chosen.get("until")
    if end is not None and int(start) >= int(end):
        raise SpecError(f"{shown(text)}: until={end} must be greater than from={start}")
    kept = [key.name for key in info.keys if chosen.get(key.name, key.default) != key.default]
    return tuple((name, chosen[name]) for name in sorted(kept))


def _setting(key: Key, value: str, text: str) -> str:
    if key.words and value not in key.words:
        raise SpecError(f"{shown(text)}: {key.name} must be one of {', '.join(key.words)}")
    if not key.words and not _STEPS.fullmatch(value):
        raise SpecError(f"{shown(text)}: {key.name} must be a number of control steps, 0 to 999999")
    return value if key.words else str(int(value))
