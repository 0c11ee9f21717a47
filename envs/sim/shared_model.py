"""Lets processes share the memory of a compiled scene.

A scene of LIBERO with its own meshes and textures takes 280 MB, and every rollout worker loads it. Nearly all of it is
only read. So its arrays are written to a file once, and each process maps that file over its own copy. The pages that
it writes become its own.

Non-obvious behaviour:
- The model's memory was allocated by MuJoCo, which frees it later. Only a block that glibc's allocator took from the
  kernel for itself alone is mapped over: freeing it unmaps it. Nothing is shared with another allocator, or where the
  model found room in a free block of the heap.
- The file is never written in place: it is replaced or deleted, which does no harm to those that have mapped it. On a
  network file system it would, if another machine does so; there nothing is shared.
"""

import contextlib
import ctypes
import mmap
import os
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from envs.caches import mark_used, replacing

LEAST = 40_000_000
"""Smallest model that is shared (bytes). Above 32 MB glibc takes a block that its heap has no room for from the kernel
for itself alone."""
SUFFIX = ".pages"
LOCAL = frozenset({"ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs"})
"""File systems on which a file that was deleted stays readable to those that have it mapped."""
_HEADER, _MMAPPED, _FLAGS = 16, 2, 7
"""Of a block of glibc: bytes before it, and bits of the length there (malloc/malloc.c)."""
_CHUNK = 64 << 20


_compared: set[tuple[tuple[int, ...], ...]] = set()
"""Versions of files with the arrays of a model, and of the model's file, that this process has found equal."""


def share(model: Any, path: Path, source: Path) -> bool:
    """Map a file with a model's arrays over the model, so that processes that do the same share the memory.

    Args:
        model: a `mujoco.MjModel` as it was compiled; it reads the same before and after.
        path: the file, which is written if it is not there.
        source: the file that the model was loaded from; the two are compared once in a process.

    Returns:
        Whether it is mapped; if not, nothing has changed.

    Raises:
        ValueError: the file is of that size and has other bytes: it or the model is damaged. The file is deleted.
        MemoryError: the system refused the map and has taken the memory away.
    """
    if model.nbuffer < LEAST or not model.nq or not sys.platform.startswith("linux"):
        return False
    start = int(model.qpos0.ctypes.data)  # the first array
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (start + int(model.nbuffer) - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if not _is_own_block(start, int(model.nbuffer)):
        return False
    pages: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(first))
    with contextlib.suppress(OSError):
        if not is_local(path.parent):
            return False
        if not path.exists() or path.stat().st_size != size:
            with replacing(path) as new:
                new.write_bytes(memoryview(pages))
        mark_used(path)
        with path.open("rb") as file:
            both = _version(os.fstat(file.fileno())), _version(source.stat())
            if both in _compared or _holds(file, pages):
                _compared.add(both)
                _map(first, size, file.fileno())
                return True
        path.unlink()
        raise ValueError(f"{path}: not the arrays of this model")
    return False


def _version(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _is_own_block(start: int, size: int) -> bool:
    """Whether memory is a block that glibc has mapped for itself: its header says so, and how long it is.

    Other allocators put large blocks at the start of a page, before which there may be nothing to read.
    """
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version") or start % mmap.PAGESIZE < _HEADER:
        return False
    header = ctypes.c_size_t.from_address(start - ctypes.sizeof(ctypes.c_size_t)).value
    length = header & ~_FLAGS
    return header & _FLAGS == _MMAPPED and size <= length <= size + 2 * mmap.PAGESIZE


def is_local(folder: Path) -> bool:
    """Whether a folder is on one of the `LOCAL` file systems.

    Raises:
        OSError: the system does not say.
    """
    return _file_system(folder) in LOCAL


def _file_system(folder: Path) -> str:
    """Name of the file system of a folder."""
    folder = folder.resolve()
    lines = (line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines())
    # Blanks are written as \040; of two at one place the later one is seen.
    mounts = {re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), place): kind for _, place, kind, *_ in lines}
    return next((mounts[str(path)] for path in (folder, *folder.parents) if str(path) in mounts), "")


def _holds(file: BinaryIO, pages: NDArray[np.uint8]) -> bool:
    """Whether a file has exactly these bytes."""
    stored = np.memmap(file, np.uint8, "r")
    chunks = range(0, pages.size, _CHUNK)
    return stored.size == pages.size and all(
        np.array_equal(stored[at : at + _CHUNK], pages[at : at + _CHUNK]) for at in chunks
    )


def _map(address: int, size: int, descriptor: int) -> None:
    """Put a file in the place of memory. What is written later stays in the process."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    fixed = 0x10  # MAP_FIXED, which Python's mmap does not name
    access = mmap.PROT_READ | mmap.PROT_WRITE
    if library.mmap(address, size, access, mmap.MAP_PRIVATE | fixed, descriptor, 0) != address:
        raise MemoryError(f"mapping {size} bytes: {os.strerror(ctypes.get_errno())}")
