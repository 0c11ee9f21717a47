"""Schemas of the manifests of runs and audits; a manifest is checked against its schema when it is read.

Elsewhere manifests are plain mappings; the keys and types that other code relies on are declared here.
"""

import json
import types
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import msgspec

from simeval.config.evaluation import EvalConfig
from simeval.core.errors import ConfigError
from simeval.core.files import read_regular
from simeval.core.texts import all_well_formed, shown

SCHEMA_VERSION = 1
_Count = typing.Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Steps = typing.Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Names = typing.Annotated[list[str], msgspec.Meta(min_length=1)]


def _stored(hint: Any) -> Any:
    """The type of a setting after a round trip through JSON, where tuples become lists."""
    if typing.get_origin(hint) is tuple:
        return list[typing.get_args(hint)[0]]  # type: ignore[misc]
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.Union[*map(_stored, typing.get_args(hint))] if union else hint


_HINTS = typing.get_type_hints(EvalConfig)
# Older versions had fewer settings, later ones may have more.
_Config = msgspec.defstruct(
    "Config",
    [("suite", _Names), *((f.name, _stored(_HINTS[f.name]), None) for f in fields(EvalConfig) if f.name != "suite")],
)


class _Settings(msgspec.Struct):
    assets: str | None


class _Policy(msgspec.Struct):
    name: str
    n_action_steps: _Steps


class _Identity(msgspec.Struct):
    plan: str
    settings: _Settings
    policy: _Policy
    versions: dict[str, str]
    opengl: str | None
    plugins: dict[str, str] = {}


class _Layout(msgspec.Struct):
    tasks: list[_Count]
    init_states: list[_Count]
    left_out: dict[str, list[_Count]]


class _Step(msgspec.Struct):
    created: str
    episodes: _Count
    git: str | None
    plan: str
    layout: dict[str, _Layout] | None = None


class _Range(msgspec.Struct):
    label: str
    unit: str
    identity: float
    stop: float
    is_ratio: bool
    values: list[float]
    conditions: _Names


class _Threshold(msgspec.Struct):
    axes: typing.Annotated[list[_Range], msgspec.Meta(min_length=1)]
    level: typing.Annotated[float, msgspec.Meta(gt=0, lt=1)]
    width: float
    max_episodes: _Count


class _Candidate(msgspec.Struct):
    condition: str
    point: list[float]


class _Worst(msgspec.Struct):
    labels: typing.Annotated[list[str], msgspec.Meta(min_length=1)]
    candidates: typing.Annotated[list[_Candidate], msgspec.Meta(min_length=1)]
    budget: _Count
    confirm: _Count


class _Imported(msgspec.Struct):
    source: str = msgspec.field(name="from")
    unknown: list[str] = []


class RunManifest(msgspec.Struct):
    """`manifest.json`."""

    schema_version: int
    created: str
    git: str | None
    episodes: _Count
    conditions: _Names
    notes: list[str]
    assets: str
    config: _Config  # type: ignore[valid-type]
    identity: _Identity
    host: dict[str, str | int | None]
    grown: list[_Step] = []
    layout: dict[str, _Layout] | None = None
    threshold: _Threshold | None = None
    worst: _Worst | None = None
    imported: _Imported | None = None


class _Frames(msgspec.Struct):
    source: Literal["run", "dataset"]
    kind: Literal["start", "replay"] | None = None


class _AuditIdentity(msgspec.Struct):
    frames: _Frames
    policy: _Policy
    conditions: list[str]
    seeds: list[int]


class _LeftOut(msgspec.Struct):
    condition: str
    reason: str


class _SetDrift(msgspec.Struct):
    condition: str
    distances: list[tuple[str, float | None]] | dict[str, float | None]


class _Facts(msgspec.Struct):
    representation: list[_SetDrift] = []


class AuditManifest(msgspec.Struct):
    """`audit.json`."""

    schema_version: int
    frames: _Count
    rows: _Count
    identity: _AuditIdentity
    sigma_source: str
    left_out: list[_LeftOut]
    notes: list[str]
    complete: bool
    scenes: str = ""
    facts: _Facts = msgspec.field(default_factory=_Facts)


def read_checked(path: Path, shape: type[msgspec.Struct], what: str, missing: str) -> dict[str, Any]:
    """Read a manifest.

    Args:
        path: the file.
        shape: `RunManifest` or `AuditManifest`.
        what: description of the expected file, for messages.
        missing: message if there is no file.

    Raises:
        ConfigError: there is no file, it is not a manifest of simeval, or it has another schema; one line.
    """
    try:
        manifest = json.loads(read_regular(path).decode())
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(missing) from None
    except RecursionError:
        raise ConfigError(f"{path}: not {what} (nested too deeply)") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"not JSON: {shown(error, 120)}"
        raise ConfigError(f"{path}: not {what} ({reason})") from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise ConfigError(
            f"{path.parent}: written with schema {shown(version, 40)}, this simeval reads {SCHEMA_VERSION}"
        )
    try:
        manifest = all_well_formed(manifest)
        msgspec.convert(manifest, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ConfigError(f"{path}: not {what} ({shown(error, 200)})") from None
    return dict(manifest)
