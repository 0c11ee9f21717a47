"""Checks what a checkpoint's JSON refers to: known processing steps, files of its own folder, and known models.

lerobot imports and calls whatever a step's `class` names, reads a step's `state_file` wherever it points, and loads
tokenizers by a name that may be any folder or hub id. All of that is checked here before lerobot, or anything named in
the JSON, is imported.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError, nearest
from simeval.policies.checkpoint.files import inside, pairs
from simeval.policies.checkpoint.known import MODELS, STEPS

_LOADS = re.compile(r"name|path|tokenizer|model|vlm|base|encoder|checkpoint|_id$")
_WHOLE = re.compile(r"(tokenizer|tokenizer_name|model_name|processor_name|encoder_name|_or_path|vlm_base|_path)$")
"""Keys whose value is a folder or hub id even without a slash."""
_NOT_LOADED = frozenset({"repo_id", "pretrained_path", "pretrained_revision", "output_dir"})
"""Where a policy was pushed to and trained from. lerobot reads these only in training."""


@dataclass(frozen=True, slots=True)
class Step:
    """A saved processing step.

    Attributes:
        name: lerobot's registered name of its class.
        config: its constructor's arguments.
        state_file: the file in the checkpoint's folder with its tensors.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    state_file: str | None = None


def read_steps(pipeline: Mapping[str, Any], file: str, folder: Path, name: str) -> tuple[Step, ...]:
    """Read the steps of a saved pipeline; all must be lerobot's.

    Args:
        pipeline: content of its JSON file.
        file: name of that file.
        folder: folder of the checkpoint.
        name: name of the checkpoint.

    Raises:
        ConfigError: a step is not lerobot's, or its file is outside the folder.
    """
    steps = pipeline.get("steps")
    if not isinstance(steps, list):
        raise ConfigError(f"policy '{name}': {file} has no list of steps")
    return tuple(_step(values, file, folder, name) for values in steps)


def _step(values: Mapping[str, Any], file: str, folder: Path, name: str) -> Step:
    registered, config, state = values.get("registry_name"), values.get("config", {}), values.get("state_file")
    if not isinstance(registered, str):
        raise ConfigError(
            f"policy '{name}': a step of {file} names the class {str(values.get('class'))[:80]!r}; "
            "only steps that lerobot registers by a name are loaded (registry_name)"
        )
    if registered not in STEPS:
        close = nearest(registered, sorted(STEPS)) if len(registered) < 60 else ""
        raise ConfigError(
            f"policy '{name}': {file} has the step {registered[:60]!r}, which is not one of lerobot's for policies"
            + (close if "did you mean" in close else "")
        )
    if not isinstance(config, dict):
        raise ConfigError(f"policy '{name}': {file}: the step {registered} has no object as its config")
    if state is not None:
        _check_state_file(state, f"{file}: the step {registered}", folder, name)
    return Step(registered, config, state)


def _check_state_file(state: Any, where: str, folder: Path, name: str) -> None:
    if not isinstance(state, str) or Path(state).name != state or not state.endswith(".safetensors"):
        raise ConfigError(
            f"policy '{name}': {where} names the file {str(state)[:80]!r}; "
            "only a .safetensors file of its own folder is read"
        )
    if inside(folder, state) is None:
        raise ConfigError(f"policy '{name}': {where} names the file {state}, which is not there; download it again")


def check_models(
    values: Mapping[str, Any], file: str, folder: Path, *, name: str, replaced: Sequence[str]
) -> frozenset[str]:
    """Check model names and paths: they must be inside the folder, or a model of lerobot's own policies.

    Args:
        values: a configuration, or a step's arguments.
        file: the file they are saved in.
        folder: folder of the checkpoint.
        name: name of the checkpoint.
        replaced: keys whose value is replaced by files inside the folder.

    Returns:
        The hub ids in use.

    Raises:
        ConfigError: a name refers to anything else.
    """
    hub: set[str] = set()
    for key, value in _names(values):
        path = Path(value)
        if ".." in path.parts or path.parts[0].startswith("~") or (path.is_absolute() and key not in replaced):
            raise ConfigError(
                f"policy '{name}': {file} names a place outside its folder, {key} {value[:80]!r}; "
                "the folder may carry the files as vlm/"
            )
        if key in replaced or inside(folder, value) is not None or not _is_model(key, value):
            continue
        if value not in MODELS:
            raise ConfigError(
                f"policy '{name}' needs {value[:80]!r} ({key} in {file}), which is neither in its folder nor a model "
                "that lerobot's policies are built on; its folder may carry the files as vlm/"
            )
        if path.exists():
            raise ConfigError(
                f"policy '{name}': {key} {value!r} is a model of the hub, but also a folder here, which would be read "
                "instead; start in another folder"
            )
        hub.add(value)
    return frozenset(hub)


def _names(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in pairs(values):
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text and key not in _NOT_LOADED:
                yield key, text


def _is_model(key: str, value: str) -> bool:
    return bool(_LOADS.search(key) if "/" in value or "\\" in value else _WHOLE.search(key))
