"""A study on disk: `study.json` says which runs belong together. Each is an ordinary run folder beside it, by name.

Non-obvious behaviour:
- Nothing about progress is stored but why a policy failed: the runs and audits themselves say how far they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from simeval.core import provenance
from simeval.core.errors import ConfigError
from simeval.core.files import is_file, read_regular
from simeval.store.audit import MANIFEST as AUDIT_MANIFEST
from simeval.store.audit import Audit
from simeval.store.run import MANIFEST as RUN_MANIFEST
from simeval.store.run import STUDY_MANIFEST as MANIFEST
from simeval.store.run import Run, outcomes, write_json

AUDIT = "audit"
SCHEMA_VERSION = 1
REMEDY = "delete this file and give the `simeval study` command again, which writes it anew and keeps all episodes"
"""What to do about a damaged manifest: all that it says is in the study's YAML, and in the runs."""


class Member(msgspec.Struct, frozen=True):
    """A policy of a study; see `simeval.config.study.StudyPolicy`. `failed` says why it is not finished."""

    name: str
    group: str
    seed: int | None
    policy: str
    audited: bool
    failed: str = ""


class StudyManifest(msgspec.Struct, frozen=True):
    """Contents of `study.json`. `not_represented` says why the look inside the policies is not finished."""

    schema_version: int
    simeval: str
    baseline: str
    policies: tuple[Member, ...]
    not_represented: str = ""


@dataclass(frozen=True)
class StoredPolicy:
    """A policy of a study, opened for reading.

    Attributes:
        member: what the manifest says.
        run: its run; `None` if it has not begun.
        audit: its audit; `None` if it has not begun, or there is none.
    """

    member: Member
    run: Run | None
    audit: Audit | None

    @cached_property
    def finished(self) -> int:
        """Number of episodes with a row."""
        return len(outcomes(self.run.folder)) if self.run else 0

    @property
    def complete(self) -> bool:
        """Whether every planned episode has a row."""
        return self.run is not None and self.finished >= int(self.run.manifest["episodes"])


@dataclass(frozen=True)
class Study:
    """A study folder, opened for reading."""

    folder: Path
    manifest: StudyManifest
    policies: tuple[StoredPolicy, ...]

    @staticmethod
    def load(folder: str | Path) -> "Study":
        """Read a study, finished or not.

        Raises:
            ConfigError: the folder is not a study, or one of its runs is damaged.
        """
        root = Path(folder)
        manifest = read_study(root)
        return Study(root, manifest, tuple(_stored(root / member.name, member) for member in manifest.policies))

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return all(one.complete and _audit_done(one) and not one.member.failed for one in self.policies)


def is_study(folder: str | Path) -> bool:
    """Whether a folder is a study rather than a run; not if its name cannot be a folder's, which reading it tells."""
    return is_file(Path(folder) / MANIFEST)


def read_study(folder: Path) -> StudyManifest:
    """A study's manifest.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    try:
        found = msgspec.json.decode(read_regular(folder / MANIFEST), type=StudyManifest)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{folder}: no study here (it has no {MANIFEST})") from None
    except OSError as error:
        raise ConfigError(f"{folder / MANIFEST}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{folder / MANIFEST}: not a manifest of a study ({error}); {REMEDY}") from None
    if found.schema_version != SCHEMA_VERSION:
        raise ConfigError(
            f"{folder / MANIFEST}: has schema {found.schema_version}, this simeval reads {SCHEMA_VERSION}; use the "
            f"simeval that wrote it, or {REMEDY}"
        )
    if any(Path(member.name).name != member.name or member.name in ("", "..") for member in found.policies):
        raise ConfigError(f"{folder / MANIFEST}: names a folder outside of it; {REMEDY}")
    return found


def write_study(folder: Path, baseline: str, members: Sequence[Member], not_represented: str = "") -> None:
    """Write a study's manifest, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = str(provenance.version("simeval"))
    manifest = StudyManifest(SCHEMA_VERSION, version, baseline, tuple(members), not_represented)
    write_json(folder / MANIFEST, msgspec.to_builtins(manifest))


def is_measured(folder: Path, requested: Mapping[str, Any], settled: Sequence[str]) -> bool:
    """Whether an audit is complete; reads its manifest alone.

    Args:
        folder: the audit folder.
        requested: its configuration.
        settled: names of the settings that must be as they were.

    Raises:
        ConfigError: an audit with other settings is there.
    """
    if not (folder / AUDIT_MANIFEST).exists():
        return False
    from simeval.store.audit import read_manifest

    manifest = read_manifest(folder)
    for name in settled:
        before = manifest["config"].get(name)
        if before != requested[name]:
            raise ConfigError(
                f"audit.{name}: {folder} was measured with {before}, not {requested[name]}; move that folder away"
            )
    return bool(manifest["complete"])


def _stored(folder: Path, member: Member) -> StoredPolicy:
    run = Run.load(folder) if (folder / RUN_MANIFEST).exists() else None
    has_audit = run is not None and member.audited and (folder / AUDIT / AUDIT_MANIFEST).exists()
    return StoredPolicy(member, run, Audit.load(folder / AUDIT) if has_audit else None)


def _audit_done(one: StoredPolicy) -> bool:
    return not one.member.audited or (one.audit is not None and one.audit.complete)
