"""Reads the file of a compiled scene in a third of the time that MuJoCo takes alone.

`MjModel.from_binary_path` copies the file to new memory, and from there to the model's. With LIBERO's own meshes and
textures that is 280 MB twice, and nearly all the time goes into page faults. Here MuJoCo reads the file where the
system keeps it, and the model's memory is mapped in one call.

Non-obvious behaviour:
- MuJoCo asks its resource providers (`mjplugin.h`) for the content of a path with their prefix, and `mju_user_malloc`
  for memory, if it is set. Both have C types only, which are those of `MUJOCO` here.
- A file that is truncated while it is mapped would end the process. Scenes are replaced or deleted, never written in
  place; on a network file system another machine could do it, and MuJoCo reads the file alone there.
"""

import ctypes
import functools
import mmap
import sys
import threading
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.sim.shared_model import LEAST, is_local

MUJOCO = "3.3.2"
"""The version of MuJoCo whose C types these are; another one reads its files alone."""
_PREFIX = "simeval"
_POPULATE = 23
"""MADV_POPULATE_WRITE of Linux 5.14, which Python's mmap does not name; older kernels refuse it, which does no harm."""
_ALIGNMENT = 64
"""Of MuJoCo's own allocator (engine_util_errmem.c)."""


class _Resource(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("timestamp", ctypes.c_char * 512),
        ("provider", ctypes.c_void_p),
    )


_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Resource))
_Read = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Resource), ctypes.POINTER(ctypes.c_void_p))
_Close = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Resource))
_Allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)


class _Provider(ctypes.Structure):
    _fields_ = (
        ("prefix", ctypes.c_char_p),
        ("open", _Open),
        ("read", _Read),
        ("close", _Close),
        ("getdir", ctypes.c_void_p),
        ("modified", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    )


def load_model(path: Path) -> Any:
    """Load a `mujoco.MjModel`: the same as `MjModel.from_binary_path`, but for the time.

    Raises:
        ValueError: MuJoCo rejects the file.
        OSError: it cannot be read.
    """
    reader = _reader() if path.stat().st_size >= LEAST and is_local(path.parent) else None
    return reader.load(path) if reader else mujoco.MjModel.from_binary_path(str(path))


@functools.cache
def _reader() -> "_Reader | None":
    """The reader of this process; `None` where it cannot be used."""
    if not sys.platform.startswith("linux") or mujoco.__version__ != MUJOCO:
        return None
    try:
        return _Reader(ctypes.CDLL(str(Path(mujoco.__file__).with_name(f"libmujoco.so.{MUJOCO}"))))
    except (OSError, AttributeError, ValueError):  # no such library, or not these names in it
        return None


class _Reader:
    """Reads mapped files. There is one per process, because MuJoCo keeps the provider."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._lock = threading.Lock()
        self._content: NDArray[np.uint8]
        self._libc = ctypes.CDLL(None)
        self._libc.aligned_alloc.restype = ctypes.c_void_p
        self._libc.aligned_alloc.argtypes = [ctypes.c_size_t] * 2
        self._libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._hook = ctypes.c_void_p.in_dll(library, "mju_user_malloc")
        self._allocate = _Allocate(self._populated)
        self._provider = _Provider(_PREFIX.encode(), _Open(lambda _: 1), _Read(self._read), _Close(lambda _: None))
        library.mjp_registerResourceProvider(ctypes.byref(self._provider))

    def load(self, path: Path) -> Any:
        with path.open("rb") as file, self._lock:
            flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
            self._content = np.frombuffer(mmap.mmap(file.fileno(), 0, flags, mmap.PROT_READ), np.uint8)
            self._hook.value = ctypes.cast(self._allocate, ctypes.c_void_p).value
            try:
                return mujoco.MjModel.from_binary_path(f"{_PREFIX}:{path}")
            finally:
                self._hook.value = None
                del self._content

    def _read(self, _: Any, buffer: Any) -> int:
        buffer[0] = self._content.ctypes.data
        return self._content.size

    def _populated(self, size: int) -> int | None:
        address: int | None = self._libc.aligned_alloc(_ALIGNMENT, -(-size // _ALIGNMENT) * _ALIGNMENT)
        if address and size >= LEAST:
            first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
            self._libc.madvise(first, (address + size - first) // mmap.PAGESIZE * mmap.PAGESIZE, _POPULATE)
        return address
