"""Every kind of damage that `docs/damaged-files.md` lists: what it does to a sound file, and who finds it.

The document's lines are those that `SIMEVAL_WRITE_DAMAGE=FILE pytest tests/store/test_damaged_files.py` writes.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simeval.core.checksums import sealed_line

DOCUMENT = Path(__file__).parents[2] / "docs" / "damaged-files.md"
DEEP = "[" * 100_000 + "]" * 100_000
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


@dataclass(frozen=True)
class Damage:
    """A damage: in words, what it does to a folder, and the verb that meets it (runs only)."""

    words: str
    do: Callable[[Path], Any]
    verb: str = "show"


def text(name: str, content: str | bytes) -> Callable[[Path], Any]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str) -> Callable[[Path], Any]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def gone(name: str) -> Callable[[Path], Any]:
    def do(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return do


def instead(name: str, make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def do(folder: Path) -> None:
        gone(name)(folder)
        make(folder / name)

    return do


def put(name: str, place: str, *value: Any) -> Callable[[Path], Any]:
    """Set a value in a JSON file, or remove it."""

    def do(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        *parents, last = place.split("/")
        inner = found
        for parent in parents:
            inner = inner[parent]
        if value:
            inner[last] = value[0]
        else:
            del inner[last]
        (folder / name).write_text(json.dumps(found))

    return do


def line(number: int, change: Callable[[bytes], bytes], name: str = "episodes.jsonl") -> Callable[[Path], Any]:
    def do(folder: Path) -> None:
        content = (folder / name).read_bytes().splitlines(keepends=True)
        content[number - 1] = change(content[number - 1])
        (folder / name).write_bytes(b"".join(content))

    return do


def row(
    number: int, place: str, value: Any, *, sealed: bool = True, name: str = "episodes.jsonl"
) -> Callable[[Path], Any]:
    """Set a value in a row, with a checksum that fits, or as older versions wrote it."""

    def change(old: bytes) -> bytes:
        found = json.loads(old)
        del found["crc"]
        *parents, last = place.split("/")
        inner = found
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
        return sealed_line(found) if sealed else json.dumps(found).encode() + b"\n"

    return line(number, change, name)


def drift(number: int, place: str, value: Any) -> Callable[[Path], Any]:
    """Set a value in a row of an audit, with a checksum that fits."""
    return row(number, place, value, name=R)


def again(old: bytes) -> bytes:
    return json.dumps(json.loads(old)).encode() + b"\n"


def trace(change: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda folder: change(folder / "traces" / "toy" / "0" / "init00" / "none" / "r0.npz")


def other_states(path: Path) -> None:
    from simeval.rollout.trace import Trace

    found = Trace.load(path)
    replace(found, states=found.states + 1).save(path)


def objects(path: Path) -> None:
    np.savez(path, states=np.array([{}], dtype=object))


M, E = "manifest.json", "episodes.jsonl"
RUNS = (
    Damage("`manifest.json` is missing", gone(M)),
    Damage("`manifest.json` is empty", text(M, "")),
    Damage("`manifest.json` is cut short", text(M, '{"schema_version": 1, "created": "20')),
    Damage("`manifest.json` is not UTF-8", text(M, b'{"created": "\xff"}')),
    Damage("`manifest.json` holds a list", text(M, "[]")),
    Damage("`manifest.json` is nested 100 000 deep", text(M, DEEP)),
    Damage("`manifest.json` is a FIFO", instead(M, os.mkfifo)),
    Damage("`manifest.json` is a folder", instead(M, os.mkdir)),
    Damage("a manifest of another schema", put(M, "schema_version", 9)),
    Damage("no schema", put(M, "schema_version")),
    Damage("the conditions are a number", put(M, "conditions", 3)),
    Damage("a condition is a list", put(M, "conditions", [["none"]])),
    Damage("no conditions", put(M, "conditions", [])),
    Damage("a condition that does not exist", put(M, "conditions", ["none", "nosie:0.3"]), "report"),
    Damage("the number of episodes is a text", put(M, "episodes", "4")),
    Damage("the number of episodes is negative", put(M, "episodes", -4)),
    Damage("the notes are a number", put(M, "notes", 1)),
    Damage("what it grew from is a number", put(M, "grown", 1)),
    Damage("what it grew from has no number of episodes", put(M, "grown", [{"git": None}])),
    Damage("the scenes are a number", put(M, "assets", 1)),
    Damage("the suite is a number", put(M, "config/suite", 1)),
    Damage("the seed is a text", put(M, "config/seed", "0")),
    Damage("no digest of the plan", put(M, "identity/plan")),
    Damage("no number of executed actions", put(M, "identity/policy/n_action_steps")),
    Damage("the versions are a list", put(M, "identity/versions", ["1"])),
    Damage("the host is a text", put(M, "host", "here")),
    Damage("`episodes.jsonl` is a FIFO", instead(E, os.mkfifo)),
    Damage("`episodes.jsonl` is a folder", instead(E, os.mkdir)),
    Damage("a row is garbage", line(2, lambda old: b"garbage\n")),
    Damage("a row is empty", line(2, lambda old: b"\n")),
    Damage("a row is zeros", line(2, lambda old: b"\0" * 100 + b"\n")),
    Damage("a row is not UTF-8", line(2, lambda old: b'{"id\xff":1}\n')),
    Damage("a row is nested 100 000 deep", line(2, lambda old: DEEP.encode() + b"\n")),
    Damage("a digit of a row has changed", line(2, lambda old: old.replace(b'"steps":', b'"steps":1', 1))),
    Damage("a row's checksum has changed", line(2, lambda old: old[:-4] + b"?" + old[-3:])),
    Damage("the end of a line is lost", line(2, lambda old: old[:-1])),
    Damage("a row was written again by another program", line(2, again)),
    Damage("a row has another episode's name", row(2, "id", "toy/0/init09/none/r0", sealed=False)),
    Damage("a row has another pair's name", row(2, "pair_id", "toy/0/init09/r0", sealed=False)),
    Damage("a row has an outcome that does not exist", row(2, "outcome", "won")),
    Damage("a row has a text for a number", row(2, "steps", "7")),
    Damage("a row has a magnitude that does not exist", row(2, "magnitude", {"loud": 1})),
    Damage("a row has a suite that does not exist", row(2, "spec/suite", "tyo"), "report"),
    Damage("a row has a task that its suite does not have", row(2, "spec/task", 99), "report"),
    Damage("a row has images of size 0", row(1, "spec/resolution", 0), "video"),
    Damage("a trace is empty", trace(lambda path: path.write_bytes(b"")), "video"),
    Damage("a trace is cut short", trace(lambda path: os.truncate(path, path.stat().st_size // 2)), "video"),
    Damage("a trace holds Python objects", trace(objects), "video"),
    Damage("a trace is of other states than its row", trace(other_states), "video"),
)  # fmt: skip

A, R = "audit.json", "drift.jsonl"
AUDITS = (
    Damage("`audit.json` is missing", gone(A)),
    Damage("`audit.json` is empty", text(A, "")),
    Damage("`audit.json` is cut short", text(A, '{"schema_version": 1, "frames"')),
    Damage("`audit.json` is not UTF-8", text(A, b'{"created": "\xff"}')),
    Damage("`audit.json` holds a list", text(A, "[]")),
    Damage("`audit.json` is nested 100 000 deep", text(A, DEEP)),
    Damage("`audit.json` is a FIFO", instead(A, os.mkfifo)),
    Damage("`audit.json` is a folder", instead(A, os.mkdir)),
    Damage("an audit of another schema", put(A, "schema_version", 9)),
    Damage("the number of rows is a text", put(A, "rows", "4")),
    Damage("the number of rows is another", put(A, "rows", 5)),
    Damage("the conditions are a number", put(A, "identity/conditions", 3)),
    Damage("no name of the policy", put(A, "identity/policy/name")),
    Damage("the frames are a text", put(A, "identity/frames", "start")),
    Damage("the notes are a number", put(A, "notes", 1)),
    Damage("`drift.jsonl` is missing", gone(R)),
    Damage("`drift.jsonl` is a FIFO", instead(R, os.mkfifo)),
    Damage("`drift.jsonl` is a folder", instead(R, os.mkdir)),
    Damage("`drift.jsonl` lacks its last row", line(4, lambda old: b"", R)),
    Damage("a row is garbage", line(2, lambda old: b"garbage\n", R)),
    Damage("a row is empty", line(2, lambda old: b"\n", R)),
    Damage("a row is not UTF-8", line(2, lambda old: b'{"frame\xff":1}\n', R)),
    Damage("a digit of a row has changed", line(2, lambda old: old.replace(b'"seed":', b'"seed":1', 1), R)),
    Damage("a row's checksum has changed", line(2, lambda old: old[:-4] + b"?" + old[-3:], R)),
    Damage("a row was written again by another program", line(2, again, R)),
    Damage("a row is there twice", lambda folder: line(2, lambda old: _line(folder, 1), R)(folder)),
    Damage("a row has a text for a number", drift(2, "drift_exec", "7")),
    Damage("a row has a list for a frame", drift(2, "frame", ["x"])),
    Damage("a row has a seed that is a text", drift(2, "seed", "0")),
)  # fmt: skip


def _line(folder: Path, number: int) -> bytes:
    return (folder / R).read_bytes().splitlines(keepends=True)[number - 1]


INFO = "meta/info.json"
TASKS, EPISODES = "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet"
DATA, WRIST = "data/chunk-000/file-000.parquet", "observation.images.image2"
VIDEO = f"videos/{WRIST}/chunk-000/file-000.mp4"


def garbled(name: str) -> Callable[[Path], Any]:
    """A file whose first and last bytes are right."""
    return lambda folder: (folder / name).write_bytes(b"PAR1" + b"\x07" * 400 + b"PAR1")


def second_wrist(folder: Path) -> None:
    wrist = json.loads((folder / INFO).read_text())["features"][WRIST]
    put(INFO, "features/observation.images.hand", wrist | {"dtype": "image"})(folder)


DATASETS = (
    Damage("there is no such folder", shutil.rmtree),
    Damage("an empty folder", lambda folder: (shutil.rmtree(folder), folder.mkdir())),
    Damage("`meta/info.json` is missing", gone(INFO)),
    Damage("`meta/info.json` is empty", text(INFO, "")),
    Damage("`meta/info.json` is cut short", text(INFO, '{"codebase_version": "v3')),
    Damage("`meta/info.json` is not UTF-8", text(INFO, b"\xff")),
    Damage("`meta/info.json` holds a list", text(INFO, "[]")),
    Damage("`meta/info.json` is nested 100 000 deep", text(INFO, DEEP)),
    Damage("`meta/info.json` is a folder", instead(INFO, os.mkdir)),
    Damage("`meta/info.json` is a FIFO", instead(INFO, os.mkfifo)),
    Damage("an older version", put(INFO, "codebase_version", "v2.1")),
    Damage("no version", put(INFO, "codebase_version")),
    Damage("no features", put(INFO, "features")),
    Damage("the features are a list", put(INFO, "features", ["action"])),
    Damage("the features are null", put(INFO, "features", None)),
    Damage("a feature is null", put(INFO, f"features/{WRIST}", None)),
    Damage("a feature has no shape", put(INFO, "features/action/shape")),
    Damage("no state", put(INFO, "features/observation.state")),
    Damage("a state of seven numbers", put(INFO, "features/observation.state/shape", [7])),
    Damage("the second camera is not described", put(INFO, f"features/{WRIST}")),
    Damage("two cameras that could be the wrist's", second_wrist),
    Damage("`meta/tasks.parquet` is missing", gone(TASKS)),
    Damage("`meta/tasks.parquet` is empty", text(TASKS, "")),
    Damage("`meta/tasks.parquet` is cut short", cut(TASKS)),
    Damage("`meta/tasks.parquet` is a git-lfs pointer", text(TASKS, POINTER)),
    Damage("`meta/episodes` is missing", gone("meta/episodes")),
    Damage("`meta/episodes` has no file", gone(EPISODES)),
    Damage("a file of `meta/episodes` is cut short", cut(EPISODES)),
    Damage("`data` is missing", gone("data")),
    Damage("`data` has no file", gone(DATA)),
    Damage("a file of `data` is empty", text(DATA, "")),
    Damage("a file of `data` is cut short", cut(DATA)),
    Damage("a file of `data` is a git-lfs pointer", text(DATA, POINTER)),
    Damage("a file of `data` is a FIFO", instead(DATA, os.mkfifo)),
    Damage("`videos` is missing", gone("videos")),
    Damage("the videos of one camera are missing", gone(f"videos/{WRIST}")),
    Damage("a video is missing", gone(VIDEO)),
    Damage("a video is empty", text(VIDEO, "")),
    Damage("a video is a git-lfs pointer", text(VIDEO, POINTER)),
)

RECIPES = (
    ("no such file", None),
    ("not UTF-8", b"suite: \xff"),
    ("not YAML", b"suite: [toy"),
    ("a list", b"- toy"),
    ("empty", b""),
    ("nested 5000 deep", b"suite: " + b"[" * 5000 + b"]" * 5000),
    ("a date that does not exist", b"policy: 2020-13-45"),
    ("a number of 5000 digits", b"seed: " + b"1" * 5000),
    ("a number with underscores", b"seed: 1_000"),
    ("a number in base 60", b"seed: 1:30"),
    ("an octal number", b"seed: 010"),
    ("a number of other digits", "seed: \uff11\uff12".encode()),
    ("a number in quotes", b"seed: '1'"),
    ("an unknown option", b"sed: 1"),
    ("an option of 900 characters", b"x" * 900 + b": 1"),
    ("an escape sequence", b'suite: "\\e[31mtoy"'),
    ("a word that YAML reads as true", b"video: on"),
    ("a word that YAML reads as false", b"protocol: off"),
    ("a text that YAML reads as true", b"policy: yes"),
    ("a list with nothing in it", b"perturb: [noise:0.1, null]"),
    ("a tag", b"policy: !!python/object:os.system x"),
    ("a mapping for a text", b"policy: {a: 1}"),
    ("a null for a choice", b"protocol: null"),
)  # fmt: skip


def listed() -> dict[str, str]:
    """The lines of the document, by kind of damage."""
    rows = [part.split("|") for part in DOCUMENT.read_text().splitlines() if part.startswith("| ")]
    cells = [[cell.strip() for cell in found[1:-1]] for found in rows]
    return {f"{kind}: {words}": said.strip("`").strip() for kind, words, said in (c for c in cells if len(c) == 3)}
