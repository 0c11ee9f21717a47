"""Files that people name, opened without waiting, and files of ours, written so that a power cut leaves all or nothing.

Non-obvious behaviour:
- To open a FIFO waits for somebody to write to it, and a device may have no end; what is no regular file is refused.
- A file that was renamed into place is safe from a power cut only when its folder is on the disk as well.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from simeval.errors import ConfigError


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    refuse_irregular(path, descriptor)
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path) -> bytes:
    """All of a file.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


def refuse_irregular(path: Path, descriptor: int) -> None:
    """Close an open file again if it is no regular one.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        IsADirectoryError: it is a folder.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise ConfigError(f"{path}: not a regular file")
