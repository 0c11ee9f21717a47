"""Options of the commands: a dataclass field for each, with its default, meaning and limits; how they are checked.

The same fields are YAML keys, command-line flags, and settings in manifests.
"""

import datetime
import numbers
import os
import re
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any

from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown, well_formed

MAX_SEED = 2**63 - 1

_KEY_ALIASES = {"plugins": "plugin"}
"""Other spellings of keys in YAML files."""


def option(
    default: Any,
    text: str,
    *,
    changes_results: bool = False,
    choices: tuple[str, ...] = (),
    between: tuple[int, int] | None = None,
) -> Any:
    """A field of a configuration, with its help text and its limits.

    Args:
        default: default value.
        text: help text.
        changes_results: whether other values give other rows.
        choices: allowed words; empty for any.
        between: smallest and largest allowed number; `None` for any.
    """
    metadata = {"help": text, "changes_results": changes_results, "choices": choices, "between": between}
    return field(default=default, metadata=metadata)


def within(name: str, value: int, low: int, high: int) -> None:
    """Check that the value of an option is in `low`..`high`.

    Raises:
        ConfigError: it is not.
    """
    if not low <= value <= high:
        shown = str(value) if abs(value) < 10**20 else f"{str(value)[:20]}..."
        raise ConfigError(f"{name} {shown}: must be in [{low}, {'2**63)' if high == MAX_SEED else f'{high}]'}")


def check_ranges(config: Any) -> None:
    """Check every number of a configuration whose fields are made by `option`.

    Raises:
        ConfigError: one is outside its range.
    """
    for item in fields(config):
        value = getattr(config, item.name)
        if item.metadata["between"] and value is not None:
            within(flag(item.name), value, *item.metadata["between"])


def flag(name: str) -> str:
    """The command-line spelling of a field: `n_action_steps` -> `--n-action-steps`."""
    return "--" + name.replace("_", "-")


def default_of(item: "Field[Any]") -> Any:
    """A field's default value."""
    return None if item.default is MISSING else item.default


def settle_types(config: Any) -> None:
    """Convert the values of a configuration made in Python as those of a recipe are: `suite="toy"`, `tasks=[0, 1]`.

    Raises:
        ConfigError: a value of the wrong type, or one that is not among the choices.
    """
    values = {item.name: getattr(config, item.name) for item in fields(config)}
    for name, value in checked_fields(values, type(config)).items():
        object.__setattr__(config, name, value)


def checked_fields(values: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Values for the fields of a configuration, from YAML or flags.

    Args:
        values: values by name, a YAML key or a field.
        kind: a dataclass whose fields are made by `option`.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one that is not among the choices.
    """
    known = {f.name: f for f in fields(kind)}
    hints = typing.get_type_hints(kind)
    checked = {}
    for name, value in values.items():
        key = _KEY_ALIASES.get(str(name), str(name).replace("-", "_"))
        if key not in known:
            raise ConfigError(f"no option '{shown(name)}'{nearest(str(name), list(known))}")
        checked[key] = _checked(key, value, hints[key], known[key].metadata["choices"])
    return checked


def _checked(name: str, value: Any, hint: Any, choices: tuple[str, ...]) -> Any:
    # A union that contains a Literal is a typing.Union, other unions are types.UnionType.
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    allowed = typing.get_args(hint) if union else (hint,)
    if value is None and type(None) in allowed:
        return None
    if isinstance(value, bool) and bool not in allowed and int not in allowed:
        if value is False and "none" in choices:
            return "none"
        word = "on, yes or true" if value else "off, no or false"
        raise ConfigError(f"{flag(name)}: no '{value}', as YAML reads {word}; {_instead(choices)}")
    if choices and (not isinstance(value, str) or value not in choices):
        raise ConfigError(f"{flag(name)}: no '{_brief(value)}'{nearest(_brief(value), choices)}")
    if typing.get_origin(hint) is tuple:
        return _texts(name, value)
    if bool in allowed:
        if not isinstance(value, bool):
            raise ConfigError(f"{flag(name)}: '{_brief(value)}' is neither true nor false")
        return value
    if int in allowed:
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole and not (isinstance(value, float) and value.is_integer()):
            raise ConfigError(f"{flag(name)}: '{_brief(value)}' is not a whole number")
        return int(value)
    return _text(name, value, listed=str in allowed)


_ONE_VALUE = (str, numbers.Number, os.PathLike, datetime.date)
"""What YAML, or a program, may give for a text."""


def _text(name: str, value: Any, *, listed: bool) -> str:
    """A value as text; a list of numbers, if `listed` allows one, as YAML writes it: [0, 3, 5]."""
    if listed and isinstance(value, list | tuple | range):
        return ",".join(_texts(name, value))
    if isinstance(value, dict):
        raise ConfigError(f"{flag(name)}: '{_brief(value)}' is not one value")
    if not isinstance(value, _ONE_VALUE):
        remedy = "; give an object to simeval.evaluate(config, policy=...)" if name == "policy" else ""
        raise ConfigError(f"{flag(name)}: takes a text, not a {type(value).__name__}{remedy}")
    return well_formed(str(value))


def _instead(choices: tuple[str, ...]) -> str:
    return f"write one of {', '.join(choices)}" if choices else "put the word in quotes if it is meant"


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """The items of a list as texts; a single value counts as a list of one, `None` as an empty list."""
    items = [] if value is None else value if isinstance(value, list | tuple | range) else [value]
    for item in items:
        if item is None:
            raise ConfigError(f"{flag(name)}: an entry of the list has no value; write one, or leave it out")
        if isinstance(item, bool):
            raise ConfigError(f"{flag(name)}: no '{item}'; {_instead(())}")
        if name == "perturb" and isinstance(item, dict) and len(item) == 1:  # YAML of `noise: 0.1`
            ((key, part),) = item.items()
            raise ConfigError(f"{flag(name)}: write {_brief(f'{key}:{part}')}, without a blank after the colon")
    # YAML can make a list that contains itself, whose text would have no end.
    return tuple(well_formed(_brief(item) if isinstance(item, list | dict) else str(item)) for item in items)


def _brief(value: Any) -> str:
    """An invalid value as a short text, for messages."""
    return shown(value if isinstance(value, str) else reprlib.repr(value))


def load_yaml(path: str) -> dict[str, Any]:
    """Read a recipe.

    Raises:
        ConfigError: the file is missing, unreadable, or not a mapping.
    """
    from simeval.core.yaml_file import read_yaml

    return read_yaml(path, "--config")


def parse_indices(text: str | None, count: int, name: str) -> tuple[int, ...]:
    """`0,3,5-7` -> (0, 3, 5, 6, 7), sorted; `None` -> all.

    Raises:
        ConfigError: not a list of numbers and ranges, or outside `0..count-1`.
    """
    if text is None:
        return tuple(range(count))
    indices: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", part.strip())
        if part.strip().lower() == "all":
            raise ConfigError(f"{flag(name)} '{shown(text, 60)}': leave it out for all {count}, or write 0-{count - 1}")
        if not match:
            raise ConfigError(f"{flag(name)} '{shown(text, 60)}': write numbers and ranges, for instance 0,3,5-7")
        low, high = int(match[1]), int(match[2] or match[1])
        if high >= count or low > high:
            raise ConfigError(f"{flag(name)} {part.strip()}: must be within 0..{count - 1}")
        indices.update(range(low, high + 1))
    return tuple(sorted(indices))
