"""One writer at a time for a folder that several files belong to.

Non-obvious behaviour:
- The folder itself is locked, so that no file is left behind; the kernel unlocks it when the process ends, however.
- Some network file systems cannot lock folders. There the runs in the folder still have their own locks.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from simeval.core.errors import ConfigError


@contextlib.contextmanager
def only_writer(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder that the user named by `--out`; a missing one is created.

    Args:
        folder: the folder.
        what: description of the folder's contents, for messages.

    Raises:
        ConfigError: it cannot be written, or another process writes to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"--out {folder}: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"--out {folder}: another simeval is writing to this {what}") from None
        except OSError:  # a file system that cannot lock folders
            pass
        yield
    finally:
        os.close(descriptor)
