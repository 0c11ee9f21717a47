"""Checks the files of a checkpoint's folder before lerobot reads them: they must be data, not code.

Non-obvious behaviour:
- A clone without git-lfs contains small text files in place of the weights.
- The hub client's cache stores a snapshot as links into `blobs/` beside it. Only these links may point outside.
- transformers runs Python files named by `auto_map`, and kernels named by an attention implementation with a slash.
  Both keys may occur anywhere in its JSON files.
- Pickled weights run code when they are read.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError, first_line

FILES = ("config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json")
"""Files that lerobot saves for every policy, and reads again."""

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""Files that peft saves in place of the model's weights."""

_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_WORDS_ONLY = frozenset({"tokenizer.json", "vocab.json", "model.safetensors.index.json"})
"""Long files whose keys are tokens or tensors; transformers runs no code that they name."""
_ZIP = b"PK\x03\x04"
_LFS = b"version https://git-lfs"
_MIGRATION = "python -m lerobot.processor.migrate_policy_normalization --pretrained-path"
"""Takes a folder or a hub id, and writes the new files beside the old ones."""


def check_complete(folder: Path, name: str) -> None:
    """Refuse a folder that is not a complete lerobot checkpoint.

    Raises:
        ConfigError: a file is missing; the line names it, and the right folder or the way to make the file.
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
    parts = sorted(folder.glob(f"{Path(weights).stem}-*-of-*.safetensors"))
    if missing[0] in FILES[2:]:
        text += f"; lerobot's migration makes the processors of an old one: {_MIGRATION} {folder}"
    elif missing[0] == weights and (folder / FILES[1]).is_file():
        text += f", only {FILES[1]} beside {ADAPTER}; if those are its merged weights, delete {ADAPTER}"
    elif missing[0] == weights and parts:
        text += f", only its parts ({parts[0].name}, ...), which lerobot does not read; save them as one file"
    elif missing[0] == weights and (pickled := next((p for p in _files(folder) if p.suffix in _PICKLES), None)):
        text += f", only pickled weights ({pickled.name}), which may run code; convert them to safetensors"
    raise ConfigError(text)


def check_files(folder: Path, name: str) -> None:
    """Refuse LFS pointers, links out of the folder, and files that can run code.

    Raises:
        ConfigError: one line that names the file and the remedy.
    """
    for path in _files(folder):
        inside = path.relative_to(folder).as_posix()
        if path.is_symlink() and not _is_inside(path, folder):
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
        ConfigError: it is truncated, or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        zipped = file.is_file() and file.open("rb").read(4) == _ZIP
        what = "a zip archive, as torch.save writes it, and" if zipped else "cut off or"
        raise ConfigError(
            f"policy '{name}' cannot be loaded: {file.name} is {what} no safetensors file ({first_line(error)}); "
            "download or save it again"
        ) from None


def read_json(file: Path, name: str) -> Mapping[str, Any]:
    """Read the object in a JSON file.

    Raises:
        ConfigError: it cannot be read, or is not an object.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"policy '{name}': {file.name} cannot be read: {first_line(error)[:300]}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"policy '{name}': {file.name} is no JSON object")
    return values


def inside(folder: Path, place: str) -> Path | None:
    """The file or folder that a saved path refers to, if it is in the checkpoint's folder and part of its digest."""
    path = Path(place)
    if not place or path.is_absolute() or any(part.startswith((".", "~")) for part in path.parts):
        return None
    target = folder / path
    return target if target.exists() and _is_inside(target, folder) else None


def printable(text: str) -> str:
    """Make text with untrusted names safe for one line: at most 700 characters, all printable."""
    line = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return line if len(line) <= 700 else f"{line[:699]}…"


def _files(folder: Path) -> Iterator[Path]:
    """All entries of a folder except hidden ones, which are bookkeeping of git and the hub client."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(part for part in folders if not part.startswith("."))
        yield from (Path(root, part) for part in sorted([*folders, *files]) if not part.startswith("."))


def _is_inside(path: Path, folder: Path) -> bool:
    resolved = Path(os.path.realpath(path))  # Path.resolve raises for circular links
    if resolved.is_relative_to(folder):
        return True
    return folder.parent.name == "snapshots" and resolved.is_relative_to(folder.parents[1] / "blobs")


def _places_below(folder: Path) -> list[str]:
    """Folders below a training folder in which checkpoints are saved, the newest first."""
    steps = sorted((p.name for p in folder.glob("checkpoints/*") if p.name.isdigit()), key=int, reverse=True)
    numbered = [f"checkpoints/{step}/pretrained_model" for step in steps]
    return ["pretrained_model", "checkpoints/last/pretrained_model", "last/pretrained_model", *numbered]


def _refuse_code(file: Path, inside: str, name: str) -> None:
    try:
        values = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return  # the file's reader reports it, and cannot read more of it than this
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
    """All keys with their values in a JSON value, at any depth."""
    pending = [values]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value.items()
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
