"""Configurations on the command line: every field becomes an option."""

import contextlib
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from simeval.config.evaluation import EvalConfig
from simeval.config.options import flag, load_yaml
from simeval.config.paths import PLACES, names_path
from simeval.core.errors import ConfigError
from simeval.core.json_output import divert
from simeval.core.texts import shown
from simeval.policies.names import kind_of


def _divert(value: bool) -> bool:
    if value:
        divert()
    return value


AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines instead of text for people.", callback=_divert)]
ConfigFile = Annotated[str | None, typer.Option("--config", help="YAML file with the same options; flags win.")]


def with_config_options(
    config: type[Any], *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every field of a configuration as an option, collected in its keyword arguments.

    Args:
        config: a dataclass whose fields are made by `simeval.config.options.option`. A field that is already a
            parameter of the command is left to it.
        without: fields that are no options of this command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        hints, taken = get_type_hints(config), {parameter.name for parameter in parameters}
        options = [
            inspect.Parameter(
                item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(item, hints[item.name])
            )
            for item in fields(config)
            if item.name not in taken and item.name not in without
        ]
        keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters]
        command.__signature__ = inspect.Signature([*options, *keyword])  # type: ignore[attr-defined]
        return command

    return decorate


def whole_number(text: str | int) -> int:
    """A whole number from the command line, or a default; unlike `int` it refuses `1_000` and digits of other scripts.

    Raises:
        typer.BadParameter: it is not a whole number.
    """
    if not re.fullmatch(r"\s*[-+]?[0-9]{1,4000}\s*", str(text)):
        raise typer.BadParameter(f"'{shown(str(text))}' is not a valid integer.")
    return int(text)


WHOLE: dict[str, Any] = {"metavar": "N", "parser": whole_number}
"""Typer settings of an option that takes a whole number."""


def _annotation(item: Any, hint: Any) -> Any:
    allowed = (hint, *get_args(hint))
    kind: Any = list[str] if get_origin(hint) is tuple else bool if bool in allowed else int if int in allowed else str
    text = item.metadata["help"]
    if item.default not in (None, (), False) and "[" not in text:
        shown = " ".join(item.default) if isinstance(item.default, tuple) else item.default
        text += f"  [default: {shown}]"
    metavar = "|".join(item.metadata["choices"]) or "TEXT"
    shape: dict[str, Any] = {} if kind is bool else WHOLE if kind is int else {"metavar": metavar}
    return Annotated[kind | None, typer.Option(flag(item.name), help=text, **shape)]


def settings(file: str | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a YAML file and of flags together; flags win.

    Raises:
        ConfigError: the file cannot be read, or names code that the flags do not name.
    """
    given = {name: value for name, value in flags.items() if value is not None and value != []}
    if file is None:
        return given
    recipe = load_yaml(file)
    require_named_code(file, recipe, given)
    return {**recipe, **given}


def require_named_code(file: str, recipe: Mapping[Any, Any], flags: Mapping[str, Any]) -> None:
    """Check that flags name a recipe's plugins, policy file and cluster.

    These run code, and a recipe may come from a stranger.

    Raises:
        ConfigError: they do not.
    """
    named = {_absolute(path) for path in flags.get("plugin", ())}
    for key in ("plugin", "plugins"):
        paths = recipe.get(key) or []
        for path in paths if isinstance(paths, list) else [paths]:
            if _absolute(path) not in named:
                raise ConfigError(f"--config {file}: a plugin is code, so name it yourself: --plugin {path}")
    policy = recipe.get("policy")
    if isinstance(policy, str) and kind_of(policy) == "file" and "policy" not in flags:
        raise ConfigError(f"--config {file}: the policy is code, so name it yourself: --policy {policy}")
    if isinstance(policy, str) and kind_of(policy) == "server" and "policy" not in flags:
        raise ConfigError(
            f"--config {file}: a policy server gets your images and API key, so name it yourself: --policy {policy}"
        )
    address = recipe.get("ray_address", recipe.get("ray-address"))
    if address is not None and "ray_address" not in flags:
        raise ConfigError(f"--config {file}: a cluster runs code, so name it yourself: --ray-address {address}")


def _absolute(path: Any) -> Path:
    with contextlib.suppress(RuntimeError):  # ~nobody
        return Path(str(path)).expanduser().absolute()
    return Path(str(path)).absolute()


def execution_flags(flags: dict[str, Any], file: str | None) -> dict[str, Any]:
    """The flags that may be given on resume: how to run, not what.

    Raises:
        ConfigError: a setting that would change rows.
    """
    given = {name: value for name, value in flags.items() if value is not None and value != []}
    fixed = [f.name for f in fields(EvalConfig) if f.metadata["changes_results"] or f.name == "out"]
    for name, value in given.items():
        if name in PLACES and (names_path(name, str(value)) or kind_of(str(value)) == "server"):
            continue  # its present path; its contents are compared with what the run was made with
        if name in fixed:
            raise ConfigError(f"--resume: {flag(name)} is settled by the run; start a new one to change it")
    if file:
        raise ConfigError("--resume: --config is settled by the run; start a new one to change it")
    return given
