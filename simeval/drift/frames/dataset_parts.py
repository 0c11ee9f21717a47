"""Checks that a folder has all files of a LeRobotDataset (v3.0), before it is read.

Verified against lerobot 0.6.1, which requests missing files from the hub and whose error then names only the hub.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError

_TASKS, _EPISODES, _DATA, _VIDEOS = "meta/tasks.parquet", "meta/episodes", "data", "videos"


def refuse_incomplete(folder: Path, name: str, features: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare a folder with its description.

    Args:
        folder: of the dataset.
        name: of the dataset in messages.
        features: of its description, by key.

    Raises:
        ConfigError: a file is missing, empty or truncated; names it.
    """
    for part in (_TASKS, _EPISODES, _DATA):
        _refuse_without(folder, name, part, ".parquet")
    for key, feature in features.items():
        if feature["dtype"] == "video":
            _refuse_without(folder, name, f"{_VIDEOS}/{key}", ".mp4")


def refuse_missing_frames(folder: Path, name: str, lengths: Mapping[int, int]) -> None:
    """Check that the files under `data` have a row for every frame of some episodes.

    Args:
        folder: of the dataset.
        name: of the dataset in messages.
        lengths: frames of each episode, by its description.

    Raises:
        ConfigError: an episode has fewer rows; names it.
    """
    import pyarrow.parquet

    rows: Counter[int] = Counter()
    for path in sorted((folder / _DATA).rglob("*.parquet")):
        try:
            numbers = pyarrow.parquet.read_table(path, columns=["episode_index"]).column(0).value_counts()
            rows.update(
                {int(one["values"]): int(one["counts"]) for one in numbers.to_pylist() if one["values"] is not None}
            )
        except (OSError, ValueError, IndexError, pyarrow.ArrowException):
            return  # another message says what is wrong with the file
    for episode, length in lengths.items():
        if rows[episode] < length:
            found = f"only {rows[episode]} of them" if rows[episode] else "none of them"
            raise _incomplete(name, f"episode {episode} has {length} frames by meta/episodes, and {_DATA} has {found}")


def _refuse_without(folder: Path, name: str, part: str, suffix: str) -> None:
    path = folder / part
    if not path.exists():
        raise _incomplete(name, f"{part} is missing")
    files = [path] if path.suffix == suffix else sorted(path.rglob(f"*{suffix}"))
    if not files:
        raise _incomplete(name, f"{part} has no {suffix} file")
    for file in files:
        shown = file.relative_to(folder)
        if not file.is_file():
            raise _incomplete(name, f"{shown} is not a regular file")
        try:
            with file.open("rb") as opened:
                head = opened.read(64)
                size = opened.seek(0, 2)
                opened.seek(max(0, size - 4))
                tail = opened.read()
        except OSError as error:
            raise _incomplete(name, f"{shown} cannot be read: {error.strerror or error}") from None
        if head.startswith(b"version https://git-lfs"):
            raise ConfigError(f"dataset '{name}': {shown} is a git-lfs pointer, not the file; git lfs pull fetches it")
        if not head:
            raise _incomplete(name, f"{shown} is empty")
        if suffix == ".parquet" and not (head.startswith(b"PAR1") and tail == b"PAR1"):
            raise _incomplete(name, f"{shown} is no Parquet file, or is cut short")


def _incomplete(name: str, what: str) -> ConfigError:
    return ConfigError(f"dataset '{name}' is incomplete: {what}; copy the whole folder again")
