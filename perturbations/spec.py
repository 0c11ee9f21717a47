"""The grammar of perturbations: parses text to conditions. `str(condition)` is the inverse.

    perturb := "none" | term ("+" term)*
    term    := axis ":" value ("," value)* ["@" camera] ("/" key "=" text)*
    value   := number [unit] | "s1" .. "s5" | word [":" argument]

Several values define a sweep: the cross product over the terms, the last term varying fastest. Blanks around any part
are ignored. Canonical text has the terms in order of application, the shortest form of each number in the axis' unit,
severities resolved, and no defaults. It is a valid file name once `:` and `/` are replaced.
"""

import math
import re
from decimal import Decimal
from difflib import get_close_matches
from itertools import product

from perturbations.base import ALL, Argument, AxisInfo, Key, SpecError, find_axis, quote
from perturbations.condition import Condition, Term, number_text
from perturbations.units import FRACTION

__all__ = ["Condition", "SpecError", "Term", "parse", "parse_sweep", "rounded_up"]

NONE = "none"
MAX_CHARACTERS = 10_000
"""Longest text that is parsed: a longer one is a mistake, not a sweep."""
MAX_CONDITIONS = 1_000
"""Most conditions in one sweep: more is a mistake, and each condition costs hours of rollouts."""

_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)([A-Za-z%]*)")
_SEVERITY = re.compile(r"s([0-9])")
_STEPS = re.compile(r"[0-9]{1,6}")
_OBJECT = re.compile(r"[a-z][a-z0-9_]{0,79}")


def parse(text: str) -> Condition:
    """Parse exactly one condition.

    Raises:
        SpecError: the text is no condition, or is a sweep of several.
    """
    conditions = parse_sweep(text)
    if len(conditions) > 1:
        raise SpecError(f"{quote(text)}: a sweep of {len(conditions)} conditions where one is expected")
    return conditions[0]


def parse_sweep(text: str) -> tuple[Condition, ...]:
    """Parse a condition or a sweep of conditions; duplicates are dropped.

    Raises:
        SpecError: the text is invalid; one line with the value and what is allowed.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpecError(f"{quote(text)}: {len(text)} characters, at most {MAX_CHARACTERS} are read")
    parts = [part.strip() for part in text.split("+")]
    if parts == [NONE]:
        return (Condition(),)
    if NONE in parts:
        raise SpecError(f"{quote(text)}: 'none' stands alone, it cannot be combined")
    if "" in parts:
        raise SpecError(f"'{quote(text)}': empty perturbation; write 'none' or terms such as noise:0.05+light:0.3")
    choices = [_terms(part) for part in parts]
    count = math.prod(map(len, choices))
    if count > MAX_CONDITIONS:
        raise SpecError(f"{quote(text)}: {count:.6g} conditions, at most {MAX_CONDITIONS} in one sweep")
    return tuple(dict.fromkeys(Condition(terms) for terms in product(*choices)))


def rounded_up(text: str) -> tuple[str, ...]:
    """What a valid perturbation rounds up, for a note: `latency:75ms is latency:2`."""
    notes = []
    for part in text.split("+"):
        name, _, values = part.partition("/")[0].partition(":")
        for value in filter(str.strip, values.partition("@")[0].split(",")):
            info, match = find_axis(name.strip()), _NUMBER.fullmatch(value.strip())
            if match and match[2] in info.unit.rounded_up and Decimal(match[1]) * info.unit.factors[match[2]] % 1:
                notes.append(f"{info.name}:{value.strip()} is {info.name}:{_number(info, value.strip()):g}")
    return tuple(dict.fromkeys(notes))


def _terms(text: str) -> tuple[Term, ...]:
    """One term per value of `axis:value,value@camera/key=text`."""
    head, *settings = text.split("/")
    aim, at, camera = head.partition("@")
    name, _, values = aim.partition(":")
    info = find_axis(name.strip())
    if not values.strip():
        raise SpecError(f"{quote(text)}: a value is needed, for instance {info.example}")
    target = _camera(info, camera.strip(), text) if at else ALL
    options = _options(info, settings, text)
    return tuple(Term(info.name, _value(info, value.strip()), target, options) for value in values.split(","))


def _value(info: AxisInfo, text: str) -> float | str:
    if text in info.also:
        return text
    if not info.words:
        return _number(info, text)
    word, colon, rest = text.partition(":")
    if word not in info.words:
        close = get_close_matches(word[:40].lower(), info.words, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        known = info.allowed if len(info.allowed) < 90 else "one that `simeval list perturbations` prints"
        raise SpecError(f"{info.name}:{quote(text)}: value must be {known}{hint}")
    argument = info.arguments.get(word)
    if argument is None:
        if colon:
            raise SpecError(f"{info.name}:{quote(text)}: '{word}' takes nothing after another ':'")
        return word
    canonical = _argument(argument, rest.strip() if colon else None, f"{info.name}:{quote(text)}")
    return word if canonical == argument.default else f"{word}:{canonical}"


def _argument(argument: Argument, text: str | None, quoted: str) -> str:
    """The canonical text of an argument; its default if it is missing."""
    if text is None:
        if argument.default is None:
            raise SpecError(f"{quoted}: '{quoted.rpartition(':')[2]}:...' needs {argument.means}")
        return argument.default
    if argument.words:
        if text not in argument.words:
            known = argument.allowed if len(argument.allowed) < 90 else "one of those that are listed"
            raise SpecError(f"{quoted}: {argument.means} must be {known}")
        return text
    severity = _SEVERITY.fullmatch(text)
    if severity and 1 <= int(severity[1]) <= len(argument.presets):
        return number_text(argument.presets[int(severity[1]) - 1])
    match = _NUMBER.fullmatch(text)
    value = float(match[1]) if match and not match[2] else math.nan
    if match and match[2] == "%":
        value = float(Decimal(match[1]) / 100)
    if not argument.bounds[0] <= value <= argument.bounds[1]:
        raise SpecError(f"{quoted}: {argument.means} must be {argument.allowed}")
    return number_text(value + 0.0)


def _number(info: AxisInfo, text: str) -> float:
    quoted = f"{info.name}:{quote(text)}"
    severity = _SEVERITY.fullmatch(text)
    if severity and info.presets:
        level = int(severity[1])
        if not 1 <= level <= len(info.presets):
            raise SpecError(f"{quoted}: severities are s1 to s{len(info.presets)}")
        return info.presets[level - 1]
    match = _NUMBER.fullmatch(text)
    if not match:
        known = "".join(f" or {word}" for word in (*info.also, *["a severity s1 to s5"] * bool(info.presets)))
        raise SpecError(f"{quoted}: value must be a number {info.allowed}{known} ({_meaning(info)})")
    digits, suffix = match.groups()
    if suffix not in info.unit.factors:
        raise SpecError(f"{quoted}: unit must be {info.unit.accepted} ({_meaning(info)})")
    value = float(Decimal(digits) * info.unit.factors[suffix])
    if suffix in info.unit.rounded_up:
        value = math.copysign(math.ceil(abs(value)), value)  # a negative value stays one, and is refused
    if info.unit.whole and not value.is_integer():
        raise SpecError(f"{quoted}: value must be a whole number of {info.unit.name} ({_meaning(info)})")
    low, high = info.bounds
    if not low <= value <= high:
        raise SpecError(f"{quoted}: value must be {info.allowed} ({_meaning(info)})")
    return value + 0.0  # -0 becomes 0, which reads the same


def _meaning(info: AxisInfo) -> str:
    return quote(info.value_means, 70)


def _camera(info: AxisInfo, camera: str, text: str) -> str:
    """The canonical selector: `all` where that is equivalent."""
    if not info.cameras:
        raise SpecError(f"{quote(text)}: {info.name} takes no '@camera'")
    if "," in camera or "@" in camera:
        raise SpecError(f"{quote(text)}: one camera only; join one term per camera with '+', or leave it out for all")
    if camera not in (ALL, *info.cameras):
        raise SpecError(
            f"{quote(text)}: unknown camera '{quote(camera, 20)}'; known: {', '.join((ALL, *info.cameras))}"
        )
    return ALL if info.cameras == (camera,) else camera


def _options(info: AxisInfo, settings: list[str], text: str) -> tuple[tuple[str, str], ...]:
    """The options that differ from their default, sorted by key."""
    chosen: dict[str, str] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        key = info.key(name)
        if not equals:
            raise SpecError(f"{quote(text)}: '/{quote(name, 20)}' must be written /KEY=VALUE")
        if key is None:
            known = ", ".join(key.name for key in info.keys)
            hint = f"; its keys: {known}" if known else ", it takes none"
            raise SpecError(f"{quote(text)}: {info.name} has no key '{quote(name, 20)}'{hint}")
        if name in chosen:
            raise SpecError(f"{quote(text)}: key '{name}' is given twice")
        chosen[name] = _setting(key, value, text)
    for key in info.keys:
        other, values = key.only_with or ("", ())
        if key.name in chosen and other and chosen.get(other) not in values:
            raise SpecError(f"{quote(text)}: {key.name} needs {' or '.join(f'/{other}={value}' for value in values)}")
    start, end = chosen.get("from", "0"), chosen.get("until")
    if end is not None and int(start) >= int(end):
        raise SpecError(f"{quote(text)}: until={end} must be greater than from={start}")
    kept = [key.name for key in info.keys if chosen.get(key.name, key.default) != key.default]
    return tuple((name, chosen[name]) for name in sorted(kept))


def _setting(key: Key, value: str, text: str) -> str:
    if key.words and value not in key.words:
        raise SpecError(f"{quote(text)}: {key.name} must be one of {', '.join(key.words)}")
    if key.words:
        return value
    if key.kind == "name":
        if not _OBJECT.fullmatch(value):
            raise SpecError(f"{quote(text)}: {key.name} must be the name of an object, for instance plate_1")
        return value
    if key.kind == "share":
        match = _NUMBER.fullmatch(value)
        share = float(Decimal(match[1]) * FRACTION.factors[match[2]]) if match and match[2] in FRACTION.factors else -1
        if not 0 <= share <= 1:
            raise SpecError(f"{quote(text)}: {key.name} must be a number in [0, 1]")
        return number_text(share + 0.0)
    if not _STEPS.fullmatch(value):
        what = "a number of control steps" if key.kind == "step" else "a whole number"
        raise SpecError(f"{quote(text)}: {key.name} must be {what}, 0 to 999999")
    return str(int(value))
