"""An audit on disk: `audit.json` and `drift.jsonl`. The rows are the single source of truth.

Non-obvious behaviour:
- Rows are written in one order, that of `simeval.drift.measure.keys`. So a partial audit is always a prefix of the
  whole, and an audit that was interrupted ends up with the same bytes as one that was not.
- A torn last line (killed while writing, disk full) is cut off when the audit is opened for writing; readers skip it.
- `audit.json` is written first and describes the measurement; when all is measured, its results are added.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from simeval.core.checksums import read_objects, read_sealed, sealed_line
from simeval.core.drift_row import DriftRow, Key
from simeval.core.errors import ConfigError
from simeval.core.jsonl import JsonlWriter, open_lines
from simeval.stats.drift import VARIANTS
from simeval.store.identity import identity_changes, with_version
from simeval.store.run import Run, write_json
from simeval.store.schema import SCHEMA_VERSION as SCHEMA_VERSION
from simeval.store.schema import AuditManifest, read_checked

MANIFEST, ROWS = "audit.json", "drift.jsonl"
_REMEDY = "cut the file off before that line and repeat the command that made the audit; it measures the rest again"
_FRAMES = {"start": "start frames", "replay": "replayed frames", "dataset": "frames of a dataset"}
_NUMBERS = (*VARIANTS, "mean_abs", "psnr")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A condition that the frames cannot show, and why."""

    condition: str
    reason: str


class AuditWriter(JsonlWriter):
    """The one writer of an audit folder; use as a context manager.

    Attributes:
        done: keys of the rows in the file, in order.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], keys: Sequence[Key]) -> None:
        """Open an audit folder, new or to be resumed.

        Args:
            folder: the audit folder; created if it does not exist.
            manifest: describes the measurement; its `identity` must equal that of an audit already in the folder.
            keys: keys of all rows, in order.

        Raises:
            ConfigError: the folder cannot be written, is in use, is damaged, or holds a different audit.
        """
        self.folder, self._manifest, self._keys = folder, dict(manifest), keys
        super().__init__(open_lines(folder, ROWS, "audit"))

    def _claim(self) -> None:
        stored = read_manifest(self.folder) if (self.folder / MANIFEST).exists() else None
        if stored is not None:
            before, now = (with_version(one["identity"], one) for one in (stored, self._manifest))
            require_same_audit(self.folder, before, now)
            self._manifest = stored
        self._file.cut_torn_line()
        self.done = tuple(row.key for row in read_rows(self.folder / ROWS))
        if self.done and stored is None:
            raise ConfigError(f"--out {self.folder}: has drift but no {MANIFEST}, so nothing says of what")
        if self.done != tuple(self._keys[: len(self.done)]):
            raise ConfigError(f"{self.folder / ROWS}: its rows are not in the order in which they were measured")
        if stored is None:
            write_json(self.folder / MANIFEST, self._manifest)

    def write(self, rows: Sequence[DriftRow]) -> None:
        """Append the next rows in order and sync them to disk.

        Raises:
            OSError: the disk is full or gone; whole rows written before are intact.
        """
        if not rows:
            return
        self._file.append(b"".join(sealed_line(row.row()) for row in rows))

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Mark the audit complete and store its facts (JSON-ready)."""
        write_json(self.folder / MANIFEST, {**self._manifest, "complete": True, "facts": dict(facts)})


def require_same_audit(folder: Path, stored: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Compare the identity of a stored audit with the requested one.

    Raises:
        ConfigError: they differ; names the differences.
    """
    # Through JSON, which turns tuples into lists as in the stored one.
    changes = identity_changes(dict(stored), json.loads(json.dumps(requested)))
    if changes:
        raise ConfigError(f"--out {folder}: holds a different audit ({'; '.join(changes[:6])}); choose another --out")


def read_manifest(folder: Path) -> dict[str, Any]:
    """An audit's manifest.

    Raises:
        ConfigError: the folder is not an audit of simeval.
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


class BriefDrift(msgspec.Struct, frozen=True, gc=False):
    """The part of a `DriftRow` that says how far which pair drifted."""

    frame: str
    pair_id: str | None
    condition: str
    step: int
    drift_exec: float | None


def read_brief(path: Path) -> Iterator[BriefDrift]:
    """A part of the rows of an audit, in order: many times faster than `read_rows`.

    Raises:
        ConfigError: as `read_rows`.
    """
    decoder = msgspec.json.Decoder(BriefDrift)
    for block in read_sealed(path, _REMEDY):
        for number, line in enumerate(block.data[:-1].split(b"\n"), block.first):
            try:
                yield decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise ConfigError(f"{path}: line {number} is not a row of an audit; {_REMEDY}") from None


def frames_digest(frames: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of the ids of frames, and of the states of the episodes that they are from.

    Args:
        frames: (id, `state_digest` of its episode), in the order of the rows.
    """
    total = hashlib.sha256()
    for frame, digest in frames:
        total.update(f"{frame} {digest}\n".encode())
    return total.hexdigest()


def _check(row: DriftRow) -> None:
    numbers = [getattr(row, name) for name in _NUMBERS]
    texts = (row.frame, row.condition, row.cluster, row.instruction, row.infeasible)
    if not all(isinstance(text, str) for text in texts) or not isinstance(row.seed, int):
        raise TypeError("not a text or not a seed")
    if not all(value is None or math.isfinite(value) for value in numbers):
        raise ValueError("not finite")


def notes_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes on the frames of an audit, and on the conditions left out."""
    left_out = [(item["condition"], item["reason"]) for item in manifest["left_out"]]
    missing = [f"{name} is left out; {reason.removeprefix(f'{name}: ')}" for name, reason in left_out]
    return (*manifest["notes"], *missing)


@dataclass(frozen=True)
class Audit:
    """An audit folder, opened for reading.

    Attributes:
        folder: the audit folder.
        manifest: contents of `audit.json`.
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
        """The measured rows, in order.

        Raises:
            ConfigError: a line is not a row, or a row occurs twice.
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
        """Everything that the predictions depend on, name and `n_action_steps` included; as in a run's manifest."""
        return dict(self.manifest["identity"]["policy"])

    @property
    def n_action_steps(self) -> int:
        """Executed steps of a chunk: `drift_exec` is the mean over these."""
        return int(self.manifest["identity"]["policy"]["n_action_steps"])

    @property
    def conditions(self) -> tuple[str, ...]:
        """Measured conditions, canonical, without `none`."""
        return tuple(self.manifest["identity"]["conditions"])

    @property
    def set_distances(self) -> Mapping[str, Mapping[str, float | None]]:
        """Distances over all frames of a condition together, by condition; empty where they were not measured."""
        return {
            item["condition"]: dict(item["distances"])
            for item in self.manifest.get("facts", {}).get("representation", ())
        }

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Requested conditions that the frames cannot show."""
        return tuple(LeftOut(item["condition"], item["reason"]) for item in self.manifest["left_out"])

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the frames, and on the conditions left out."""
        return notes_of(self.manifest)

    @property
    def frames_description(self) -> str:
        """Description of the frames, for instance `start frames`."""
        frames = self.manifest["identity"]["frames"]
        return _FRAMES[frames.get("kind", frames["source"])]

    @property
    def sigma_source(self) -> str:
        """Description of where the unit of drift comes from."""
        return str(self.manifest["sigma_source"])


def same_policy(run: Run, audit: Audit) -> bool:
    """Whether a run and an audit have the same weights (or scripted policy) and the same `n_action_steps`."""
    ran, audited = run.manifest["identity"]["policy"], audit.fingerprint
    key = "sha256" if "sha256" in ran else "name"
    return all(ran.get(field) == audited.get(field) for field in (key, "n_action_steps"))
