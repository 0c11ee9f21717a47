"""The runs below a folder, found anew for every page; what was read of one is kept until its manifest changes.

A run is looked up by the name that it was found under, and no path is ever made of what a browser sends.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simeval.config.layout import is_search
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import escaped, shown
from simeval.store.run import EPISODES, MANIFEST, Run
from simeval.viewer.index import RunIndex

DEEPEST = 4
"""Folders between the given one and a run; a study's runs are one deeper than others."""
RECENT = 120.0
"""A run whose last row is younger (s) counts as running. Our choice; LIBERO's longest episodes take less."""
_BLOCK = 1 << 20

Stamp = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run that can be read.

    Attributes:
        name: its path below the folder of the runs, with slashes; of that folder itself its own name.
        run: manifest and traces.
        index: its episodes.
    """

    name: str
    run: Run
    index: RunIndex

    @property
    def policy(self) -> str:
        """Name of the policy."""
        return str(self.run.manifest["identity"]["policy"]["name"])

    @property
    def suites(self) -> tuple[str, ...]:
        """Suites, in the order of the plan."""
        return tuple(self.run.manifest["config"]["suite"])

    @property
    def planned(self) -> int | None:
        """Number of planned episodes; `None` for a search, whose plan is only what may be chosen."""
        return None if is_search(self.run.manifest) else int(self.run.manifest["episodes"])

    @property
    def created(self) -> str:
        """When it was begun, ISO 8601."""
        return str(self.run.manifest["created"])

    def state(self, ran: int) -> str:
        """By the number of its episodes and the age of its last row: `finished`, `running`, or `stopped`.

        A search, whose plan is never run to its end, is `ended` when it is not running.
        """
        if self.planned is not None and ran >= self.planned:
            return "finished"
        try:
            age = time.time() - self.index.path.stat().st_mtime
        except OSError:
            return "stopped"
        return "running" if age < RECENT else "stopped" if self.planned is not None else "ended"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder that looks like a run and cannot be read, and why."""

    name: str
    reason: str


class Library:
    """The runs below a folder. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        """Args: root: the folder; it may be a run itself."""
        self.root = root
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Stamp, StoredRun | Unreadable]] = {}

    def entries(self) -> list[StoredRun | Unreadable]:
        """All runs, the newest first, then those that cannot be read."""
        with self._lock:
            found = {name: self._read(name, folder) for name, folder in _runs(self.root)}
            self._known = {name: known for name, known in self._known.items() if name in found}
        return sorted(
            found.values(),
            key=lambda entry: (isinstance(entry, StoredRun), entry.created if isinstance(entry, StoredRun) else ""),
            reverse=True,
        )

    def get(self, name: str) -> StoredRun:
        """The run of a name.

        Raises:
            ConfigError: there is none, or it cannot be read.
        """
        with self._lock:
            folder = self._folder(name)
            if folder is None:
                names = [known for known, _ in _runs(self.root) if _is_text(known)]
                raise ConfigError(f"there is no run '{shown(name)}' here{nearest(name, names)}")
            entry = self._read(name, folder)
        if isinstance(entry, Unreadable):
            raise ConfigError(entry.reason)
        return entry

    def _folder(self, name: str) -> Path | None:
        return next((folder for known, folder in _runs(self.root) if known == name), None)

    def _read(self, name: str, folder: Path) -> StoredRun | Unreadable:
        if not _is_text(name):
            return Unreadable(escaped(name), "the name of its folder is not UTF-8, so it has no address; rename it")
        try:
            status = (folder / MANIFEST).stat()
            stamp = status.st_ino, status.st_mtime_ns, status.st_size
        except OSError as error:
            return Unreadable(name, f"{name}: {error.strerror or error}")
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            known = self._known[name] = stamp, _open(name, folder)
        return known[1]


def _is_text(name: str) -> bool:
    """Whether a folder's name can be written in a page and an address: Linux takes any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _open(name: str, folder: Path) -> StoredRun | Unreadable:
    try:
        run = Run.load(folder)
    except ConfigError as error:
        return Unreadable(name, str(error))
    manifest = run.manifest
    index = RunIndex(folder / EPISODES, manifest["config"]["suite"], manifest["conditions"], run.absent_suites)
    return StoredRun(name, run, index)


def _runs(root: Path) -> Iterator[tuple[str, Path]]:
    """Names and folders. Links are not followed: they could lead out of the folder, or in a circle."""
    base = Path(os.path.realpath(root))
    for path, folders, files in os.walk(base):
        folder = Path(path)
        if MANIFEST in files:
            yield (folder.name if folder == base else folder.relative_to(base).as_posix()), folder
        if MANIFEST in files or len(folder.relative_to(base).parts) >= DEEPEST:
            folders.clear()  # a run may have a hundred thousand traces
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def count_lines(path: Path) -> int:
    """Number of whole lines of a file; 0 if it cannot be read."""
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    except OSError:
        return 0
