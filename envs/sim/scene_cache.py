"""Compiled scenes on disk, for other workers, runs and videos of the same user.

A scene of LIBERO's takes 1.4 s to compile, and 0.3 s to find here. A name is a digest of all that goes into the
compiler, the content of every mesh and picture included, so that nothing in here is ever out of date.

Non-obvious behaviour:
- Nobody waits for anybody: two processes that compile the same scene at once both write it, one after the other.
- Nothing here is needed. Whatever the disk refuses is not kept.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import mujoco

LIMIT = 4_000_000_000
"""Bytes that are kept, those that were used longest ago out first: four suites of LIBERO's own scenes."""
SPARE = 5_000_000_000
"""Bytes that must stay free on the disk, which runs may be written to."""


def folder() -> Path:
    """Where the scenes are; `XDG_CACHE_HOME` moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "simeval" / "scenes"


def digest(xml: str) -> str | None:
    """The name of a scene, 64 hex digits; `None` if it is no description, or a file of it cannot be read."""
    whole = hashlib.sha256(f"{mujoco.__version__}\n{xml}\n".encode())
    try:
        parts = ET.fromstring(xml).iter()
        for file in sorted({value for part in parts for name, value in part.items() if name.startswith("file")}):
            with Path(file).open("rb") as content:
                whole.update(hashlib.file_digest(content, "sha256").digest())
    except (ET.ParseError, OSError):
        return None
    return whole.hexdigest()


def find(name: str) -> Any:
    """The `mujoco.MjModel` of a scene that is here, else `None`."""
    path = folder() / f"{name}.mjb"
    try:
        os.utime(path)
        return mujoco.MjModel.from_binary_path(str(path))
    except OSError:
        return None
    except ValueError:  # not a model of this MuJoCo; it has said so on standard error
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def keep(name: str, binary: Path) -> None:
    """Copy a compiled scene here, if there is room for it."""
    with contextlib.suppress(OSError):
        here, size = folder(), binary.stat().st_size
        here.mkdir(parents=True, exist_ok=True)
        if size > LIMIT or shutil.disk_usage(here).free < size + SPARE:
            return
        handle, new = tempfile.mkstemp(dir=here)
        os.close(handle)
        try:
            shutil.copyfile(binary, new)
            Path(new).replace(here / f"{name}.mjb")
        finally:
            Path(new).unlink(missing_ok=True)
        _make_room(here)


def _make_room(here: Path) -> None:
    total = 0
    # All that is here: of a process that was killed, also what it had not finished.
    for path in sorted(here.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        total += path.stat().st_size
        if total > LIMIT:
            path.unlink(missing_ok=True)
