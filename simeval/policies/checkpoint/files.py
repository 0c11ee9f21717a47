"""A checkpoint's folder is data: which of its files may be read, checked before any of them is handed to lerobot.

Non-obvious behaviour:
- A clone without git-lfs holds small text files in place of the weights.
- The hub client's cache keeps a snapshot as links into `blobs/` beside it. These are the only links that may lead out.
- transformers runs Python files that an `auto_map` names, and kernels that an attention implementation with a slash
  names. Both keys may stand anywhere in its JSON files.
- Pickled weights run code while they are read.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError, first_line

FILES = ("config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json")
"""What lerobot saves of every policy, and reads again."""

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""What peft saves in place of the model's weights."""

_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_WORDS_ONLY = frozenset({"tokenizer.json", "vocab.json", "model.safetensors.index.json"})
"""Long files whose keys are tokens or tensors; transformers looks for no code in them."""
_LFS = b"version https://git-lfs"
_MIGRATION = "python -m lerobot.processor.migrate_policy_normalization --pretrained-path"
"""Takes a folder or a hub id, and writes the new files beside the old."""


def check_complete(folder: Path, name: str) -> None:
    """Refuse a folder that is not the one lerobot saved a policy in.

    Raises:
        ConfigError: a file is missing; says which, and where the right folder is or what makes the file.
    """
    weights = ADAPTER_WEIGHTS if (folder / ADAPTER).is_file() else FILES[1]
    missing = [file for file in (FILES[0], weights, *FILES[2:]) if not (folder / file).is_file()]
    if not missing:
        return
    below = [place for place in _places_below(folder) if (folder / place / FILES[0]).is_file()]
    if FILES[0] in missing and below:
        raise ConfigError(
            f"policy '{name}' is a training folder; pass the checkpoint in it: --policy {folder / below[0]}"
        )
    text = f"policy '{name}' is no complete lerobot checkpoint: it has no {missing[0]}"
    if missing[0] in FILES[2:]:
        text += f"; lerobot's migration makes the processors of an old one: {_MIGRATION} {folder}"
    elif missing[0] == weights and (pickled := next((p for p in _files(folder) if p.suffix in _PICKLES), None)):
        text += f", only pickled weights ({pickled.name}), which may run code; convert them to safetensors"
    raise ConfigError(text)


def check_files(folder: Path, name: str) -> None:
    """Refuse files that are not what they seem, that lie elsewhere, or that make somebody run code.

    Raises:
        ConfigError: one line that names the file and what to do.
    """
    for path in _files(folder):
        inside = path.relative_to(folder).as_posix()
        if path.is_symlink() and not _stays(path, folder):
            raise ConfigError(f"policy '{name}': {inside} is a link out of its folder; copy the file into it")
        if not path.is_file():
            continue
        if path.suffix in _PICKLES:
            raise ConfigError(
                f"policy '{name}': {inside} is pickled, and reading it may run code; convert it to safetensors, "
                "or delete it if nothing needs it"
            )
        with path.open("rb") as stream:
            if stream.read(len(_LFS)) == _LFS:
                raise ConfigError(
                    f"policy '{name}': {inside} is a git-lfs pointer, not the file itself; fetch it: "
                    f"cd {folder} && git lfs pull (or: hf download)"
                )
        if path.suffix == ".json" and path.name not in _WORDS_ONLY:
            _refuse_code(path, inside, name)


def check_tensors(file: Path, name: str) -> None:
    """Refuse a safetensors file whose header or length is wrong; reads the header only.

    Raises:
        ConfigError: it is cut off, or no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"policy '{name}' cannot be loaded: {file.name} is cut off or no safetensors file ({first_line(error)}); "
            "download or save it again"
        ) from None


def read_json(file: Path, name: str) -> Mapping[str, Any]:
    """The object in a JSON file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"policy '{name}': {file.name} cannot be read: {first_line(error)[:300]}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"policy '{name}': {file.name} is no JSON object")
    return values


def inside(folder: Path, place: str) -> Path | None:
    """The file or folder that a saved name means, if it lies in the checkpoint's folder and counts in its digest."""
    path = Path(place)
    if not place or path.is_absolute() or any(part.startswith((".", "~")) for part in path.parts):
        return None
    found = folder / path
    return found if found.exists() and _stays(found, folder) else None


def printable(text: str) -> str:
    """A line that no name in a file can break, colour or make endless: at most 700 characters, all printable."""
    line = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return line if len(line) <= 700 else f"{line[:699]}…"


def _files(folder: Path) -> Iterator[Path]:
    """Everything in a folder but hidden parts, which hold the bookkeeping of git and the hub client."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(part for part in folders if not part.startswith("."))
        yield from (Path(root, part) for part in sorted([*folders, *files]) if not part.startswith("."))


def _stays(path: Path, folder: Path) -> bool:
    resolved = Path(os.path.realpath(path))  # Path.resolve raises for links in a circle
    if resolved.is_relative_to(folder):
        return True
    return folder.parent.name == "snapshots" and resolved.is_relative_to(folder.parents[1] / "blobs")


def _places_below(folder: Path) -> list[str]:
    """Where training leaves checkpoints below its folder, the newest first."""
    steps = sorted((p.name for p in folder.glob("checkpoints/*") if p.name.isdigit()), key=int, reverse=True)
    numbered = [f"checkpoints/{step}/pretrained_model" for step in steps]
    return ["pretrained_model", "checkpoints/last/pretrained_model", "last/pretrained_model", *numbered]


def _refuse_code(file: Path, inside: str, name: str) -> None:
    try:
        values = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return  # whoever needs it says so; nobody can read more in it than this
    for key, value in pairs(values):
        if key in ("auto_map", "custom_generate") and value:
            raise ConfigError(
                f"policy '{name}': {inside} names Python code to run ({key}); simeval runs none of a checkpoint's, "
                "use a model that transformers itself knows"
            )
        if "attn_implementation" in key and isinstance(value, str) and "/" in value:
            raise ConfigError(
                f"policy '{name}': {inside} names a compiled kernel to fetch ({value[:80]}); remove {key}"
            )


def pairs(values: Any) -> Iterator[tuple[str, Any]]:
    """Every key and its value in a JSON value, however deep."""
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
