"""A folder that gets its final name when it is complete, so that a kill leaves no half of it."""

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from simeval.core.errors import ConfigError
from simeval.core.files import is_running, sync, sync_folder


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a folder to; the body creates it. Leftovers of killed writers are removed.

    Args:
        path: final path.

    Raises:
        ConfigError: `path` is there already.
        OSError: it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise ConfigError(f"--out {path}: is there already; choose another --out, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if not is_running(stale.suffixes[-2].removeprefix(".")):
            shutil.rmtree(stale, ignore_errors=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
        sync((file for file in partial.rglob("*") if file.is_file()), up_to=partial)
        partial.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
