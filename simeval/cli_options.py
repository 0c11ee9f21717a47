"""Configurations on the command line: every field is an option."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from simeval.config import flag, load_yaml
from simeval.texts import shown

ConfigFile = Annotated[str | None, typer.Option("--config", help="YAML file with the same options; flags win.")]


def with_config_options(config: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every field of a configuration as an option, collected in its keyword arguments.

    Args:
        config: a dataclass whose fields are made by `simeval.config.option`. A field that the command has as a
            parameter of its own stays that.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        hints, taken = get_type_hints(config), {parameter.name for parameter in own}
        options = [
            inspect.Parameter(
                item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(item, hints[item.name])
            )
            for item in fields(config)
            if item.name not in taken
        ]
        keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in own]
        command.__signature__ = inspect.Signature([*options, *keyword])  # type: ignore[attr-defined]
        return command

    return decorate


def whole_number(text: str) -> int:
    """A number of a command line: Python also takes `1_000` and digits of other scripts, which are slips here.

    Raises:
        typer.BadParameter: it is none.
    """
    if not re.fullmatch(r"\s*[-+]?[0-9]{1,40}\s*", text):
        raise typer.BadParameter(f"'{shown(text)}' is not a valid integer.")
    return int(text)


def _annotation(item: Any, hint: Any) -> Any:
    allowed = (hint, *get_args(hint))
    kind: Any = list[str] if get_origin(hint) is tuple else bool if bool in allowed else int if int in allowed else str
    text = item.metadata["help"]
    if item.default not in (None, (), False) and "[" not in text:
        shown = " ".join(item.default) if isinstance(item.default, tuple) else item.default
        text += f"  [default: {shown}]"
    metavar = "|".join(item.metadata["choices"]) or ("N" if kind is int else "TEXT")
    shape: dict[str, Any] = {} if kind is bool else {"metavar": metavar}
    if kind is int:
        shape["parser"] = whole_number
    return Annotated[kind | None, typer.Option(flag(item.name), help=text, **shape)]


def settings(file: str | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a YAML file and flags say together; flags win."""
    given = {name: value for name, value in flags.items() if value is not None and value != []}
    return {**(load_yaml(file) if file else {}), **given}
