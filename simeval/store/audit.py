"""An audit on disk: `audit.json` and `drift.jsonl`. The rows are the single source of truth.

Non-obvious behaviour:
- Rows are written in one order, that of `simeval.drift.measure.keys`. So what is there is always a beginning of what
  will be there, and an audit that was interrupted ends up with the same bytes as one that was not.
- A torn last line (killed while writing, disk full) is cut off when the audit is opened for writing; readers skip it.
- `audit.json` is written first and says what is measured; when all is measured it also says what came of it.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simeval.core.checksums import read_objects, sealed_line
from simeval.core.drift_row import DriftRow, Key
from simeval.core.errors import ConfigError
from simeval.core.jsonl import JsonlAppender
from simeval.stats.drift import VARIANTS
from simeval.store.run import identity_changes, write_json
from simeval.store.schema import SCHEMA_VERSION as SCHEMA_VERSION
from simeval.store.schema import AuditManifest, read_checked

MANIFEST, ROWS = "audit.json", "drift.jsonl"
_REMEDY = "cut the file off before that line, and the same command measures the rest again"
_IN_WORDS = {"start": "start frames", "replay": "replayed frames", "dataset": "frames of a dataset"}
_NUMBERS = (*VARIANTS, "mean_abs", "psnr")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A condition that these frames cannot show, and why."""

    condition: str
    reason: str


class AuditWriter:
    """The one writer of an audit folder; use as a context manager.

    Attributes:
        done: keys of the rows that are there, in order.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], keys: Sequence[Key]) -> None:
        """Open an audit folder, new or to be resumed.

        Args:
            folder: the audit folder; made if need be.
            manifest: what is measured; its `identity` must equal that of an audit that is already there.
            keys: of all rows, in order.

        Raises:
            ConfigError: the folder cannot be written, is in use, is damaged, or holds a different audit.
        """
        self.folder, self._manifest = folder, dict(manifest)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = JsonlAppender(folder / ROWS)
        except BlockingIOError:
            raise ConfigError(f"--out {folder}: another simeval is writing to this audit") from None
        except OSError as error:
            raise ConfigError(f"--out {folder}: {error.strerror or error}") from None
        try:
            self.done = self._claim(keys)
        except BaseException:
            self._file.close()
            raise

    def _claim(self, keys: Sequence[Key]) -> tuple[Key, ...]:
        stored = read_manifest(self.folder) if (self.folder / MANIFEST).exists() else None
        if stored is not None:
            refuse_other(self.folder, stored["identity"], self._manifest["identity"])
            self._manifest = stored
        self._file.cut_torn_line()
        done = tuple(row.key for row in read_rows(self.folder / ROWS))
        if done and stored is None:
            raise ConfigError(f"--out {self.folder}: has drift but no {MANIFEST}, so nothing says of what")
        if done != tuple(keys[: len(done)]):
            raise ConfigError(f"{self.folder / ROWS}: its rows are not in the order in which they were measured")
        if stored is None:
            write_json(self.folder / MANIFEST, self._manifest)
        return done

    def write(self, rows: Sequence[DriftRow]) -> None:
        """Record rows, the next ones in order, so that nothing short of a broken disk can lose them.

        Raises:
            OSError: the disk is full or gone; whole rows that were written before are intact.
        """
        if not rows:
            return
        self._file.append(b"".join(sealed_line(row.row()) for row in rows))

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Say that all is measured, and what came of it (JSON-ready)."""
        write_json(self.folder / MANIFEST, {**self._manifest, "complete": True, "facts": dict(facts)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def refuse_other(folder: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Compare what a folder holds with what is asked for.

    Raises:
        ConfigError: they differ; says in what.
    """
    # As JSON gives them back: tuples are lists there.
    changes = identity_changes(dict(stored), json.loads(json.dumps(wanted)))
    if changes:
        raise ConfigError(f"--out {folder}: holds a different audit ({'; '.join(changes[:6])}); choose another --out")


def read_manifest(folder: Path) -> dict[str, Any]:
    """An audit's manifest.

    Raises:
        ConfigError: the folder is not an audit of ours.
    """
    missing = f"{folder}: no audit here (it has no {MANIFEST})"
    return read_checked(folder / MANIFEST, AuditManifest, "a manifest of an audit", missing)


def read_rows(path: Path) -> Iterator[DriftRow]:
    """The rows of an audit in order; a torn last line is skipped.

    Raises:
        ConfigError: a line is not a row, or is damaged.
    """
    for number, value in read_objects(path, "a row of an audit", _REMEDY):
        try:
            row = DriftRow.from_row(value)
            _check(row)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ConfigError(f"{path}: line {number} is not a row of an audit; {_REMEDY}") from None
        yield row


def _check(row: DriftRow) -> None:
    numbers = [getattr(row, name) for name in _NUMBERS]
    texts = (row.frame, row.condition, row.cluster, row.instruction, row.infeasible)
    if not all(isinstance(text, str) for text in texts) or not isinstance(row.seed, int):
        raise TypeError("not a text or not a seed")
    if not all(value is None or math.isfinite(value) for value in numbers):
        raise ValueError("not finite")


def notes_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What to know about the frames of an audit, and which conditions are missing."""
    left_out = [(item["condition"], item["reason"]) for item in manifest["left_out"]]
    told = [f"{name} is left out; {reason.removeprefix(f'{name}: ')}" for name, reason in left_out]
    return (*manifest["notes"], *told)


@dataclass(frozen=True)
class Audit:
    """An audit folder, read.

    Attributes:
        folder: where it lies.
        manifest: what it is.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @staticmethod
    def load(folder: str | Path) -> "Audit":
        """Read an audit folder, finished or not.

        Raises:
            ConfigError: it is not one, or is damaged.
        """
        audit = Audit(Path(folder), read_manifest(Path(folder)))
        if audit.complete and len(audit.rows) != audit.manifest["rows"]:
            raise ConfigError(
                f"{audit.folder / ROWS}: {len(audit.rows)} rows, but the audit was finished with "
                f"{audit.manifest['rows']}"
            )
        return audit

    @cached_property
    def rows(self) -> tuple[DriftRow, ...]:
        """What was measured, in order.

        Raises:
            ConfigError: a line is not a row, or a row is there twice.
        """
        rows = tuple(read_rows(self.folder / ROWS))
        if len({row.key for row in rows}) < len(rows):
            raise ConfigError(f"{self.folder / ROWS}: a row is there twice")
        return rows

    @property
    def complete(self) -> bool:
        """Whether everything was measured."""
        return bool(self.manifest["complete"])

    @property
    def policy(self) -> str:
        """Name of the policy."""
        return str(self.manifest["identity"]["policy"]["name"])

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What its predictions depend on, `n_action_steps` and the name among it; as in a run's manifest."""
        return dict(self.manifest["identity"]["policy"])

    @property
    def n_action_steps(self) -> int:
        """Steps of a chunk that are executed, over which `drift_exec` is the mean."""
        return int(self.manifest["identity"]["policy"]["n_action_steps"])

    @property
    def conditions(self) -> tuple[str, ...]:
        """Measured conditions, canonical, without `none`."""
        return tuple(self.manifest["identity"]["conditions"])

    @property
    def set_distances(self) -> Mapping[str, Mapping[str, float | None]]:
        """Distances of all frames of a condition together, by condition; empty where they were not measured."""
        return {
            item["condition"]: dict(item["distances"])
            for item in self.manifest.get("facts", {}).get("representation", ())
        }

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Conditions that were asked for and cannot be seen on these frames."""
        return tuple(LeftOut(item["condition"], item["reason"]) for item in self.manifest["left_out"])

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about the frames, and which conditions are missing."""
        return notes_of(self.manifest)

    @property
    def frames_in_words(self) -> str:
        """What kind of frames these are: `start frames`."""
        frames = self.manifest["identity"]["frames"]
        return _IN_WORDS[frames.get("kind", frames["source"])]

    @property
    def sigma_source(self) -> str:
        """Where the unit of drift is from, in words."""
        return str(self.manifest["sigma_source"])
