"""What is wrong with how a command ended, and with what it left on the disk."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.process import Ended

CODES = (0, 1, 2, 130)


@dataclass(frozen=True)
class Fault:
    """Something that must not happen.

    Attributes:
        kind: `traceback`, `hang`, `exit code` or `numbers`.
        words: what was seen.
        argv: the command that did it.
    """

    kind: str
    words: str
    argv: tuple[str, ...]


def faults(ended: Ended, signal: int | None = None) -> list[Fault]:
    """What is wrong with the end of a command.

    Args:
        ended: the command.
        signal: that it was sent, if it was: it may have died of it.
    """
    last = ended.err.strip().splitlines()[-1:] or [""]
    if ended.code is None:
        return [Fault("hang", last[0], ended.argv)]
    if "Traceback" in ended.err or "Traceback" in ended.out:
        return [Fault("traceback", last[0], ended.argv)]
    allowed = (0, 1, 2) if signal is None else (*CODES, -signal)
    if ended.code not in allowed:
        return [Fault("exit code", f"{ended.code}: {last[0]}", ended.argv)]
    lines = ended.err.splitlines()
    if ended.code == 2 and not (len(lines) == 1 and lines[0].startswith("simeval: ")):
        return [Fault("exit code", f"2 with {len(lines)} lines: {ended.err[:300]!r}", ended.argv)]
    if ended.code == 1 and not any(line.startswith("simeval: ") for line in lines):
        return [Fault("exit code", f"1 without a reason: {ended.err[:300]!r}", ended.argv)]
    return []


def rows(folder: Path) -> list[dict]:
    """The whole lines of a run's episodes, as they stand there."""
    path = folder / "episodes.jsonl"
    text = path.read_text() if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def digests(folder: Path) -> dict[str, tuple[str, str]]:
    """Outcome and digest of the states of every episode that was not an error, by id.

    Raises:
        ValueError: one is there twice.
    """
    found = [row for row in rows(folder) if row["outcome"] != "error"]
    if len({row["id"] for row in found}) < len(found):
        raise ValueError("an episode is there twice")
    return {row["id"]: (row["outcome"], row["state_digest"]) for row in found}


def unlike(ended: Ended, folder: Path, sound: Mapping[str, tuple[str, str]]) -> list[Fault]:
    """Exit code 0, and yet the run is not what it is when nothing disturbs it."""
    try:
        found = digests(folder)
    except ValueError as error:
        return [Fault("numbers", str(error), ended.argv)]
    changed = [id_ for id_ in {*found, *sound} if found.get(id_) != sound.get(id_)]
    return [Fault("numbers", f"{len(changed)} of {len(sound)} episodes differ", ended.argv)] if changed else []


def unfinished(ended: Ended, folder: Path) -> list[Fault]:
    """Exit code 0 of a `run`, and yet an episode that it planned is not there, or is an error."""
    manifests = [path for path in folder.rglob("manifest.json") if path.is_file()]
    if not manifests:
        return [Fault("exit code", "0, but there is no run", ended.argv)]
    for path in manifests:
        planned, finished = json.loads(path.read_text())["episodes"], len(digests(path.parent))
        if planned != finished:
            return [Fault("exit code", f"0, but {finished} of {planned} episodes are finished", ended.argv)]
    return []


def has_foreign_lines(damaged: bytes, sound: bytes) -> bool:
    """Whether rows hold a whole line that was never written; a torn last one is left out by whoever reads them."""
    written = set(sound.splitlines(keepends=True))
    return any(line not in written for line in damaged.splitlines(keepends=True) if line.endswith(b"\n"))
