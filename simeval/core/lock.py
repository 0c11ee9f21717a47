"""One process at a time in a folder of results that has several files, and no rows of its own to lock.

Non-obvious behaviour:
- The lock ends with the process, however it ends. Its file stays: to remove it would let two others in at once.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from simeval.core.jsonl import open_lines

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Have a folder alone; a missing one is created.

    Args:
        folder: the folder, as named by `--out`.
        what: description of the folder's contents, for messages.

    Raises:
        ConfigError: it cannot be written, or another process has it.
        OSError: the disk is full.
    """
    file = open_lines(folder, LOCK, what)
    try:
        yield
    finally:
        file.close()
