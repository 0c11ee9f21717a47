"""Where simeval keeps what can be made again."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs


def cache_folder(name: str) -> Path:
    """A folder of the user's cache, which may not exist yet: on Linux below `XDG_CACHE_HOME` or `~/.cache`.

    Args:
        name: what is kept there.

    Raises:
        RuntimeError: the user has no home.
    """
    return Path(platformdirs.user_cache_dir("simeval"), name).expanduser()


def mark_used(path: Path) -> None:
    """Set the time of a file's last use; that of its last change stays. Not in a cache that this user may only read."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new file in the same folder, which takes the place of `path` at the end, complete or not at all.

    Raises:
        OSError: it cannot be written; nothing is left.
    """
    handle, name = tempfile.mkstemp(dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
