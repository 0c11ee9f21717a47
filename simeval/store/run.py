"""A run on disk: `manifest.json`, `episodes.jsonl`, `traces/`. The rows are the single source of truth.

Non-obvious behaviour:
- A row is one line, written whole and fsynced before the episode counts as finished. Its trace is written before it.
- Rows of a batch are fsynced together: on a network file system an fsync takes longer than a thousand rows. All of
  them are on the disk before the first counts.
- A torn last line (killed while writing, disk full) is cut off when the run is opened for writing; readers skip it.
- The episode of an error row runs again on resume; the later row of an id replaces the earlier one.
"""

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.suites import is_suite
from simeval.config.layout import SEARCH, verb_of
from simeval.config.paths import with_current_policy_name
from simeval.core.checksums import sealed_line
from simeval.core.errors import ConfigError
from simeval.core.files import (
    is_file,
    is_folder,
    named_failures,
    open_regular,
    replace_file,
    require_no_way_out,
    sync,
    sync_folder,
)
from simeval.core.jsonl import JsonlWriter, open_lines
from simeval.core.texts import all_well_formed, shown
from simeval.core.types import EpisodeResult, EpisodeSpec, Outcome, Row
from simeval.rollout.trace import PackedTrace, Trace
from simeval.store.dataframe import COLUMNS, to_dataframe
from simeval.store.decode import RowHeader, read_blocks
from simeval.store.identity import require_same_run, with_version
from simeval.store.own_rows import own_rows
from simeval.store.same_search import require_same_verb, require_same_worst
from simeval.store.schema import SCHEMA_VERSION as SCHEMA_VERSION
from simeval.store.schema import RunManifest, read_checked

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 1 << 20
SUITE = "suite "
"""Prefix of the names of suites among the versions of a manifest: which package offers them."""

MANIFEST, EPISODES = "manifest.json", "episodes.jsonl"
STUDY_MANIFEST = "study.json"
"""Of a study, whose folder has a run for each policy; see `simeval.store.study`."""
REPRESENTATION = "representation.json"
"""What `simeval represent` found, in a folder that is no run; see `simeval.probing.results`."""
NO_RUN = "is what simeval represent found, and no run; simeval show prints it"
"""Said of such a folder where a run is wanted."""


def trace_path(folder: Path, spec: EpisodeSpec) -> Path:
    """The file of an episode's trace."""
    return folder / "traces" / f"{spec.id}.npz"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, complete or not at all, also after a power cut; lone surrogates in texts are replaced.

    Raises:
        OSError: it cannot be written; no partial file is left.
    """
    text = json.dumps(all_well_formed(value), indent=1, allow_nan=False)
    replace_file(path, f"{text}\n".encode())


def require_writable(folder: Path) -> None:
    """Check that a run folder could be written, without creating anything.

    Raises:
        ConfigError: it could not.
    """
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--out {folder}: {getattr(error, 'strerror', None) or error}") from None
    if not existing.is_dir():
        raise ConfigError(f"--out {folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {folder}: {existing} cannot be written")


def _extended(stored: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a run whose plan was extended; its history stays in `grown`."""
    before: dict[str, Any] = {key: stored[key] for key in ("created", "episodes", "git", "layout") if key in stored}
    before["plan"] = stored["identity"]["plan"]
    return {**manifest, "created": stored["created"], "grown": [*stored.get("grown", []), before]}


class RunWriter(JsonlWriter):
    """The one writer of a run folder; use as a context manager.

    Attributes:
        finished: outcome by id of the episodes that need not run again, in the order they were first written.
        manifest: the run's, as it is on the disk.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], *, grow: bool = False) -> None:
        """Open a run folder, new or to be resumed.

        Args:
            folder: the run folder; created if it does not exist.
            manifest: describes the run; its `identity` must equal that of a run already in the folder.
            grow: the plan may be an extension of the stored run's; the stored manifest is replaced.

        Raises:
            ConfigError: the folder cannot be written, is in use, or holds a different run.
        """
        self.folder, self.manifest, self._grow = folder, manifest, grow
        super().__init__(open_lines(folder, EPISODES, "run"))

    def _claim(self) -> None:
        manifest = self.manifest
        stored = read_manifest(self.folder) if (self.folder / MANIFEST).exists() else None
        if stored is not None:
            require_same_verb(self.folder, stored, verb_of(manifest))
            requested = manifest["identity"] | ({"plan": stored["identity"]["plan"]} if self._grow else {})
            identity = with_current_policy_name(stored["identity"], stored.get("started_in"), requested)
            require_same_run(self.folder, with_version(identity, stored), with_version(requested, manifest))
            require_same_worst(self.folder, stored, manifest)
        self._file.cut_torn_line()
        latest = outcomes(self.folder)
        if latest and stored is None:
            raise ConfigError(f"--out {self.folder}: has episodes but no {MANIFEST}, so nothing says of what")
        self.finished = {id_: outcome for id_, outcome in latest.items() if outcome != "error"}
        if stored is None:
            write_json(self.folder / MANIFEST, manifest)
            sync_folder(self.folder.parent)
        elif stored["identity"]["plan"] != manifest["identity"]["plan"]:
            self.manifest = _extended(stored, manifest)
            write_json(self.folder / MANIFEST, self.manifest)
        elif stored.get(SEARCH) != manifest.get(SEARCH):  # another level, width or budget: the same episodes
            self.manifest = {**stored, SEARCH: manifest[SEARCH]}
            write_json(self.folder / MANIFEST, self.manifest)
        else:
            self.manifest = stored

    def write(self, result: EpisodeResult, trace: Trace | PackedTrace | None) -> None:
        """Record a finished episode; see `write_batch`."""
        self.write_batch([(result, trace)])

    def write_batch(self, finished: Sequence[tuple[EpisodeResult, Trace | PackedTrace | None]]) -> None:
        """Write finished episodes and sync them to disk.

        Raises:
            ConfigError: a folder of the traces is a link out of the run folder.
            OSError: the disk is full or gone; everything written before is intact, and so are those episodes of this
                batch that still fitted.
        """
        lines: list[bytes] = []
        written: list[Path] = []
        try:
            for result, trace in finished:
                if trace is not None:
                    path = trace_path(self.folder, result.spec)
                    require_no_way_out(self.folder, path.parent)
                    with named_failures(path):
                        trace.save(path)
                    written.append(path)
                lines.append(sealed_line(result.row()))
        finally:
            if lines:
                # A row implies that its trace exists, so the trace must be on the disk first.
                sync(written, up_to=self.folder)
                self._file.append(b"".join(lines))


def read_manifest(folder: Path) -> dict[str, Any]:
    """A run's manifest.

    Raises:
        ConfigError: the folder is not a run of simeval.
    """
    others = {
        folder: "is a file; name the folder of a run",
        folder / STUDY_MANIFEST: "is a study of several policies; name a policy's folder in it, which is a run",
        folder / REPRESENTATION: NO_RUN,
        folder / "frames" / "00.npz": "is what simeval represent has begun, and no run; the same command goes on",
    }
    for path, what in others.items():
        if is_file(path):
            raise ConfigError(f"{folder}: {what}")
    missing = f"{folder}: " + (f"no run here (it has no {MANIFEST})" if is_folder(folder) else "no such folder")
    return read_checked(folder / MANIFEST, RunManifest, "a manifest of simeval", missing)


def require_own(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Check that a run was made by simeval, so that its episodes can run again, be measured, or be paired.

    Raises:
        ConfigError: its results were imported.
    """
    if imported := manifest.get("imported"):
        raise ConfigError(
            f"{folder}: was imported from {imported['from']}, so what its episodes began with is not known; it can "
            "only be shown, compared and exported"
        )


def outcomes(folder: Path) -> dict[str, Outcome]:
    """Outcome of every episode that ran, by id; that of its latest attempt.

    Raises:
        ConfigError: a line in the middle of the rows is not a row.
    """
    return {row.id: row.outcome for rows in read_blocks(folder / EPISODES, RowHeader) for row in rows}


def is_finished(folder: Path, episodes: Sequence[EpisodeSpec]) -> bool:
    """Whether none of these episodes needs to run (again).

    Raises:
        ConfigError: a line in the middle of the rows is not a row.
    """
    path = folder / EPISODES
    if not path.exists():
        return not episodes
    with open_regular(path) as file:
        # Far cheaper than reading the rows, and enough for a run that was cut short.
        rows = sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    if rows < len(episodes):
        return False
    finished = outcomes(folder)
    return all(finished.get(spec.id, "error") != "error" for spec in episodes)


@dataclass(frozen=True)
class Run:
    """A run folder, opened for reading.

    Attributes:
        folder: the run folder.
        manifest: contents of `manifest.json`.
    """

    folder: Path
    manifest: dict[str, Any]

    def __repr__(self) -> str:
        policy = self.manifest["identity"]["policy"]["name"]
        return f"Run({str(self.folder)!r}: {policy}, {self.manifest['episodes']} episodes planned)"

    @staticmethod
    def load(folder: str | Path) -> "Run":
        """Read a run folder.

        Raises:
            ConfigError: it is not one.
        """
        return Run(Path(folder), read_manifest(Path(folder)))

    @property
    def imported_from(self) -> str | None:
        """The evaluator that the results were imported from; its episodes cannot be paired with any others."""
        imported = self.manifest.get("imported")
        return str(imported["from"]) if imported else None

    @cached_property
    def absent_suites(self) -> frozenset[str]:
        """The run's suites that this process does not know: they come from a plugin or a package that is not loaded."""
        identity = self.manifest["identity"]
        foreign = identity.get("plugins") or any(name.startswith(SUITE) for name in identity["versions"])
        names = self.manifest["config"]["suite"] if foreign else ()
        return frozenset(name for name in names if not is_suite(name))

    @cached_property
    def results(self) -> tuple[EpisodeResult, ...]:
        """One result per episode that ran (its latest attempt), in plan order.

        Raises:
            ConfigError: a row is not one of simeval's, or of another run.
        """
        latest = {row.id: row.result() for rows in self._rows() for row in rows}
        order = {name: i for i, name in enumerate(self.manifest["conditions"])}
        suites = {name: i for i, name in enumerate(self.manifest["config"]["suite"])}
        return tuple(
            sorted(
                latest.values(),
                key=lambda r: (
                    suites.get(r.spec.suite, 0),
                    r.spec.task,
                    r.spec.init_state,
                    r.spec.repeat,
                    order.get(r.spec.condition, 0),
                ),
            )
        )

    @cached_property
    def episodes(self) -> "pd.DataFrame":
        """One row per episode that ran, spec and result side by side; suite and condition are in plan order.

        Raises:
            ConfigError: a row is not one of simeval's, or of another run.
        """
        return self.table()

    def table(self, columns: Sequence[str] = COLUMNS) -> "pd.DataFrame":
        """As `episodes`, with only these columns; see `to_dataframe`."""
        return to_dataframe(
            self._rows(),
            suites=self.manifest["config"]["suite"],
            conditions=self.manifest["conditions"],
            columns=columns,
        )

    def _rows(self) -> Iterator[list[Row]]:
        path = self.folder / EPISODES
        return own_rows(path, self.manifest, read_blocks(path, Row, absent=self.absent_suites))

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {result.spec.id: result.state_digest for result in self.results}

    def trace(self, episode: EpisodeSpec | EpisodeResult) -> Trace | None:
        """The stored trace of an episode, compared with the digest in its row; `None` if none was stored.

        Args:
            episode: its result, or its specification; for the latter all rows are read to find the digest.

        Raises:
            ConfigError: the file is damaged, or is not the trace that the row was made with.
        """
        spec = episode if isinstance(episode, EpisodeSpec) else episode.spec
        path = trace_path(self.folder, spec)
        try:
            if not path.exists():
                return None
            trace = Trace.load(path)
        except (
            OSError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            MemoryError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ConfigError(f"{path}: not a trace of simeval ({type(error).__name__})") from None
        expected = self._digests.get(spec.id, "") if isinstance(episode, EpisodeSpec) else episode.state_digest
        if expected and trace.digest != expected:
            raise ConfigError(
                f"{path}: not the trace of its row: its states have the digest {trace.digest}, the row's is "
                f"{shown(expected, 40)}"
            )
        return trace
