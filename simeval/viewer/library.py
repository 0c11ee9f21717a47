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
FARTHEST = 1000
"""Folders deeper than that which are looked into, to count the runs there. Our choice: a page has to come at once."""
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


@dataclass(frozen=True, slots=True)
class NotShown:
    """Run folders that the list leaves out, by the reason.

    Attributes:
        deeper: runs more than `DEEPEST` folders down.
        linked: links to folders elsewhere.
        hidden: runs in a folder whose name begins with a dot.
        closed: folders that this user may not read.
        more: whether there are deeper folders that were not looked into, see `FARTHEST`.
    """

    deeper: int = 0
    linked: int = 0
    hidden: int = 0
    closed: int = 0
    more: bool = False

    @property
    def text(self) -> str:
        """In words; empty if nothing is left out."""
        parts = [
            (self.deeper, f"run{{s}} more than {DEEPEST} folders down"),
            (self.linked, "link{s} to a folder elsewhere, which {are} not followed"),
            (self.hidden, "run{s} in a hidden folder"),
            (self.closed, "folder{s} that may not be read"),
        ]
        found = [f"{n} {text.format(s='' if n == 1 else 's', are='is' if n == 1 else 'are')}" for n, text in parts if n]
        found += ["folders farther down were not all looked into"] if self.more else []
        return "; ".join(found)


@dataclass(frozen=True, slots=True)
class Listing:
    """All runs, the newest first, then those that cannot be read; and what is left out."""

    entries: tuple[StoredRun | Unreadable, ...]
    not_shown: NotShown


class Library:
    """The runs below a folder. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        """Args: root: the folder; it may be a run itself."""
        self.root = root
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Stamp, StoredRun | Unreadable]] = {}

    def listing(self) -> Listing:
        """What is there now."""
        with self._lock:
            walk = _Walk(self.root)
            found = {name: self._read(name, folder) for name, folder in walk.runs()}
            self._known = {name: known for name, known in self._known.items() if name in found}
        entries = sorted(
            found.values(),
            key=lambda entry: (isinstance(entry, StoredRun), entry.created if isinstance(entry, StoredRun) else ""),
            reverse=True,
        )
        return Listing(tuple(entries), walk.not_shown())

    def get(self, name: str) -> StoredRun:
        """The run of a name.

        Raises:
            ConfigError: there is none, or it cannot be read.
        """
        with self._lock:
            folder = self._folder(name)
            if folder is None:
                names = [known for known, _ in _Walk(self.root).runs() if _is_text(known)]
                raise ConfigError(f"there is no run '{shown(name)}' here{nearest(name, names)}")
            entry = self._read(name, folder)
        if isinstance(entry, Unreadable):
            raise ConfigError(entry.reason)
        return entry

    def _folder(self, name: str) -> Path | None:
        return next((folder for known, folder in _Walk(self.root).runs() if known == name), None)

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
    index = RunIndex(folder / EPISODES, manifest, run.absent_suites)
    return StoredRun(name, run, index)


class _Walk:
    """Goes through the folders below one. Links are not followed: they could lead out of it, or in a circle."""

    def __init__(self, root: Path) -> None:
        self._base = Path(os.path.realpath(root))
        self._deep: list[Path] = []
        self._links: list[Path] = []
        self._hidden = self._closed = 0

    def runs(self) -> Iterator[tuple[str, Path]]:
        """Names and folders of the runs that are shown."""
        for path, folders, files in os.walk(self._base, onerror=self._refused):
            folder = Path(path)
            if MANIFEST in files:
                yield (folder.name if folder == self._base else folder.relative_to(self._base).as_posix()), folder
                folders.clear()  # a run may have a hundred thousand traces
                continue
            self._note(folder, folders)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if len(folder.relative_to(self._base).parts) >= DEEPEST:
                self._deep += [folder / name for name in folders if not (folder / name).is_symlink()]
                folders.clear()

    def _note(self, folder: Path, names: list[str]) -> None:
        for name in names:
            if name.startswith("."):
                self._hidden += (folder / name / MANIFEST).is_file()
            elif (folder / name).is_symlink():
                self._links.append(folder / name)

    def _refused(self, error: OSError) -> None:
        self._closed += isinstance(error, PermissionError)

    def not_shown(self) -> NotShown:
        """What `runs` left out; to be asked at its end."""
        deeper, left = 0, FARTHEST
        waiting = list(self._deep)
        while waiting and left:
            left -= 1
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    inside = list(entries)
            except OSError:
                continue
            if any(entry.name == MANIFEST for entry in inside):
                deeper += 1
            else:
                names = [entry.name for entry in inside if entry.is_dir(follow_symlinks=False)]
                waiting += [folder / name for name in names if not name.startswith(".")]
        return NotShown(deeper, sum(map(self._leads_out, self._links)), self._hidden, self._closed, bool(waiting))

    def _leads_out(self, link: Path) -> bool:
        """Whether a link leads out of the folder; what is inside is reached, or counted, without it."""
        target = Path(os.path.realpath(link))
        return target != self._base and self._base not in target.parents


def count_lines(path: Path) -> int:
    """Number of whole lines of a file; 0 if it cannot be read."""
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    except OSError:
        return 0
