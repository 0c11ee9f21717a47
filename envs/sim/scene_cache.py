"""Cache of compiled scenes on disk, shared by all workers, runs and videos of a user.

A scene takes seconds to compile and a tenth of a second to load. The name of an entry is a digest of everything that
goes into the compiler, including the content of every mesh and texture, so entries are never out of date.

Non-obvious behaviour:
- There is no locking: two processes that compile the same scene at once both write it.
- The cache is optional: write failures are ignored.
- A large scene has two files: the compiled model, and its arrays, which processes share; see `envs.sim.shared_model`.
"""

import contextlib
import functools
import hashlib
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import mujoco

from envs.caches import cache_folder, mark_used, replacing
from envs.sim.model_file import load_model
from envs.sim.shared_model import SUFFIX, share

LIMIT = 16_000_000_000
"""Size of the cache (bytes), enough for four suites of LIBERO's own scenes (10 GB); the least recently used go first.
A run that needs more compiles every scene again each time it comes round."""
SPARE = 5_000_000_000
"""Bytes that must stay free on the disk, because runs may be written to it."""


def folder() -> Path:
    """The cache's folder; `XDG_CACHE_HOME` moves it."""
    return cache_folder("scenes")


def digest(xml: str) -> str | None:
    """The name of a scene's entry, 64 hex digits; `None` if `xml` is invalid or one of its files cannot be read."""
    total = hashlib.sha256(f"{mujoco.__version__}\n{xml}\n".encode())
    try:
        parts = ET.fromstring(xml).iter()
        for file in sorted({value for part in parts for name, value in part.items() if name.startswith("file")}):
            facts = Path(file).stat()
            version = facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
            total.update(_content(file, version))
    except (ET.ParseError, OSError):
        return None
    return total.hexdigest()


@functools.cache  # scenes of a suite share most of their files
def _content(file: str, _version: tuple[int, ...]) -> bytes:
    """Digest of a file; `_version` changes when the file does."""
    with Path(file).open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def find(name: str) -> Any:
    """Load the `mujoco.MjModel` of a cached scene; `None` if it is not in the cache."""
    path = folder() / f"{name}.mjb"
    try:
        if not path.exists():
            return None
        mark_used(path)
        model = load_model(path)
        pages = path.with_suffix(SUFFIX)
        if (pages.exists() or _has_room(int(model.nbuffer))) and share(model, pages, path):
            _make_room(path.parent)
        return model
    except OSError:
        return None
    except ValueError:  # not a model of this MuJoCo version, which has reported that on stderr; or damaged
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def keep(name: str, binary: Path) -> None:
    """Copy a compiled scene into the cache, if there is room for it."""
    with contextlib.suppress(OSError):
        cache, size = folder(), binary.stat().st_size
        cache.mkdir(parents=True, exist_ok=True)
        if not _has_room(size):
            return
        with replacing(cache / f"{name}.mjb") as new:
            shutil.copyfile(binary, new)
        _make_room(cache)


def _has_room(size: int) -> bool:
    """Whether a file of that size may be written."""
    return size <= LIMIT and shutil.disk_usage(folder()).free >= size + SPARE


def _make_room(cache: Path) -> None:
    """Delete what was used longest ago until the rest is within the limit; what cannot be looked at is passed over."""
    files: list[tuple[float, int, Path]] = []
    # All files, including the unfinished ones of processes that were killed.
    for path in cache.iterdir():
        with contextlib.suppress(OSError):  # another process was faster
            files.append((path.stat().st_atime, path.stat().st_size, path))
    total = 0
    for _, size, path in sorted(files, reverse=True):
        total += size
        if total > LIMIT:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
