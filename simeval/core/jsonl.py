"""A file of lines that one process adds to. A line is there whole and on the disk, or not at all.

Non-obvious behaviour:
- A torn last line (killed while writing, disk full) is cut off when the file is opened; readers must skip one.
- After a write that failed, whole lines that still fitted are kept.
"""

import fcntl
import os
from pathlib import Path

from simeval.core.errors import ConfigError

_BLOCK = 1 << 20
"""Bytes that are searched at a time, from the end."""


class JsonlAppender:
    """Open for adding lines, new or not; nobody else may add to it meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open and lock a file.

        Raises:
            BlockingIOError: another process has it open.
            ConfigError: it is no regular file.
            OSError: it cannot be written.
        """
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigError(f"{path}: not a regular file")
        # Unbuffered: after a failed write it is known how much of it is in the file.
        self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            self._file.close()
            raise

    def cut_torn_line(self) -> None:
        """Remove what stands after the last whole line."""
        end = whole = self._file.seek(0, os.SEEK_END)
        while whole:
            start = max(0, whole - _BLOCK)
            self._file.seek(start)
            found = self._file.read(whole - start).rfind(b"\n")
            whole = start + found + 1
            if found >= 0:
                break
        if whole < end:
            self._file.truncate(whole)

    def append(self, data: bytes) -> None:
        """Add whole lines.

        Raises:
            OSError: the disk is full or gone; what was written before is intact.
        """
        start = self._file.seek(0, os.SEEK_END)
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError:
            self._file.truncate(start + data.rfind(b"\n", 0, written) + 1)
            os.fsync(self._file.fileno())
            raise
        try:
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(start)
            raise

    def close(self) -> None:
        """Close and unlock it."""
        self._file.close()
