"""A file of lines that one process appends to. A line is in it whole and synced to disk, or not at all.

Non-obvious behaviour:
- A torn last line (killed while writing, disk full) is cut off by `cut_torn_line`; readers must skip one.
- After a write that failed, whole lines that still fitted are kept.
- A link is refused. Folders with such files are passed on to other people, and a link in one could point at any file of
  the recipient, which would lose its last line as a torn one.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from simeval.core.errors import ConfigError
from simeval.core.files import FULL, link_target, named_failures

_BLOCK = 1 << 20
"""Bytes per step of the search for the last line end, from the end of the file."""


class JsonlAppender:
    """A file opened and locked for appending lines; it is created if it does not exist."""

    def __init__(self, path: Path) -> None:
        """Open and lock a file.

        Raises:
            BlockingIOError: another process has it open.
            ConfigError: it is not a regular file, or a link.
            OSError: it cannot be written.
        """
        if path.is_symlink():
            raise ConfigError(f"{path}: is a link, to {link_target(path)}; to append to it, put the file itself here")
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigError(f"{path}: not a regular file")
        # Unbuffered, so that after a failed write it is known how many bytes are in the file.
        self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            self._file.close()
            raise

    def cut_torn_line(self) -> None:
        """Remove a trailing partial line."""
        end = whole = self._file.seek(0, os.SEEK_END)
        while whole:
            start = max(0, whole - _BLOCK)
            self._file.seek(start)
            line_end = self._file.read(whole - start).rfind(b"\n")
            whole = start + line_end + 1
            if line_end >= 0:
                break
        if whole < end:
            self._file.truncate(whole)

    def append(self, data: bytes) -> None:
        """Append whole lines and sync them.

        Raises:
            OSError: the disk is full or gone; lines appended before are intact.
        """
        with named_failures(Path(self._file.name)):
            self._append(data)

    def _append(self, data: bytes) -> None:
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


class JsonlWriter:
    """Base of the writers of a results folder: has the file of lines, and closes it. Use it as a context manager."""

    def __init__(self, file: JsonlAppender) -> None:
        """Take over an open file; it is closed again if `_claim` fails."""
        self._file = file
        try:
            self._claim()
        except BaseException:
            file.close()
            raise

    def _claim(self) -> None:
        """Check what the folder holds, and make the file ready for appending."""
        self._file.cut_torn_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def open_lines(folder: Path, name: str, what: str) -> JsonlAppender:
    """Open the file of lines of a folder that the user named by `--out`; a missing folder is created.

    Args:
        folder: the folder.
        name: of the file in it.
        what: description of the folder's contents, for messages.

    Raises:
        ConfigError: it cannot be written, or another process writes to it.
        OSError: the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return JsonlAppender(folder / name)
    except BlockingIOError:
        raise ConfigError(f"--out {folder}: another simeval is writing to this {what}") from None
    except OSError as error:
        if error.errno in FULL:
            raise
        raise ConfigError(f"--out {folder}: {error.strerror or error}") from None
