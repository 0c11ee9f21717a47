"""What EGL can draw on, as EGL itself enumerates it.

It is asked in this process and by `ctypes`: MuJoCo makes the same calls a moment later, but only once its backend is
settled, which depends on the answer.
"""

import contextlib
import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

LIBRARY = "libEGL.so.1"

MOST_DEVICES = 10
"""MuJoCo looks at no more. Source: `mujoco/egl/egl_ext.py`."""

_EXTENSIONS, _PLATFORM_DEVICE = 0x3055, 0x313F
"""EGL_EXTENSIONS and EGL_PLATFORM_DEVICE_EXT. Source: Khronos, EGL registry."""


@dataclass(frozen=True, slots=True)
class Device:
    """What EGL can draw on.

    Attributes:
        index: its place in EGL's list, which `MUJOCO_EGL_DEVICE_ID` means.
        nvidia: whether it is one of NVIDIA's GPUs, driven by NVIDIA's driver.
    """

    index: int
    nvidia: bool


def loads(library: str) -> bool:
    """Whether a shared library is installed."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@cache
def _library() -> Any:
    with contextlib.suppress(OSError):
        ctypes.CDLL("libOpenGL.so.0", mode=ctypes.RTLD_GLOBAL)  # first, as MuJoCo does: NVIDIA's driver wants it so
    library = ctypes.CDLL(LIBRARY)
    library.eglGetProcAddress.restype, library.eglGetProcAddress.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    library.eglInitialize.restype = ctypes.c_uint
    library.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return library


def _extension(name: str, result: Any, *arguments: Any) -> Any:
    """A function that EGL may have; `None` if it has not."""
    address = _library().eglGetProcAddress(name.encode())
    return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None


def _handles() -> list[int]:
    query = _extension(
        "eglQueryDevicesEXT", ctypes.c_uint, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    )
    found, count = (ctypes.c_void_p * MOST_DEVICES)(), ctypes.c_int()
    if query is None or not query(MOST_DEVICES, found, ctypes.byref(count)):
        return []
    return [handle for handle in found[: count.value] if handle is not None]


@cache
def devices() -> tuple[Device, ...]:
    """What EGL enumerates here, in its order; empty without EGL."""
    if not loads(LIBRARY):
        return ()
    handles = _handles()
    if not handles:
        return ()
    about = _extension("eglQueryDeviceStringEXT", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
    names = [(about(handle, _EXTENSIONS) or b"") if about else b"" for handle in handles]
    return tuple(Device(index, b"EGL_NV_device_cuda" in name) for index, name in enumerate(names))


def starts(index: int) -> bool:
    """Whether a device can really be used: in a container EGL may list GPUs that it was not given."""
    handles = _handles()
    show = _extension("eglGetPlatformDisplayEXT", ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)
    if show is None or index >= len(handles):
        return False
    display = show(_PLATFORM_DEVICE, handles[index], None)
    # Not terminated: MuJoCo initialises the same display again, which costs nothing, and terminates it at exit.
    return bool(display and _library().eglInitialize(display, None, None))
