"""EGL's rendering devices, as EGL itself enumerates them.

EGL is queried in this process through `ctypes`. MuJoCo makes the same calls later, but only once its backend is chosen,
which depends on the answer.
"""

import contextlib
import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

LIBRARY = "libEGL.so.1"

MOST_DEVICES = 10
"""MuJoCo considers no more devices. Source: `mujoco/egl/egl_ext.py`."""

_EXTENSIONS, _PLATFORM_DEVICE = 0x3055, 0x313F
"""EGL_EXTENSIONS and EGL_PLATFORM_DEVICE_EXT. Source: Khronos, EGL registry."""


@dataclass(frozen=True, slots=True)
class Device:
    """An EGL rendering device.

    Attributes:
        index: position in EGL's list, the value of `MUJOCO_EGL_DEVICE_ID`.
        nvidia: whether it is an NVIDIA GPU with NVIDIA's driver.
    """

    index: int
    nvidia: bool


def loads(library: str) -> bool:
    """Whether a shared library can be loaded."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@cache
def _library() -> Any:
    with contextlib.suppress(OSError):
        ctypes.CDLL("libOpenGL.so.0", mode=ctypes.RTLD_GLOBAL)  # first, as in MuJoCo: NVIDIA's driver needs it
    library = ctypes.CDLL(LIBRARY)
    library.eglGetProcAddress.restype, library.eglGetProcAddress.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    library.eglInitialize.restype = ctypes.c_uint
    library.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return library


def _extension(name: str, result: Any, *arguments: Any) -> Any:
    """An EGL extension function; `None` if it is not available."""
    address = _library().eglGetProcAddress(name.encode())
    return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None


def _handles() -> list[int]:
    query = _extension(
        "eglQueryDevicesEXT", ctypes.c_uint, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    )
    handles, count = (ctypes.c_void_p * MOST_DEVICES)(), ctypes.c_int()
    if query is None or not query(MOST_DEVICES, handles, ctypes.byref(count)):
        return []
    return [handle for handle in handles[: count.value] if handle is not None]


@cache
def devices() -> tuple[Device, ...]:
    """The devices that EGL enumerates, in its order; empty without EGL."""
    if not loads(LIBRARY):
        return ()
    handles = _handles()
    if not handles:
        return ()
    query = _extension("eglQueryDeviceStringEXT", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
    names = [(query(handle, _EXTENSIONS) or b"") if query else b"" for handle in handles]
    return tuple(Device(index, b"EGL_NV_device_cuda" in name) for index, name in enumerate(names))


def starts(index: int) -> bool:
    """Whether a device can be initialised: in a container EGL may list GPUs that the container cannot use."""
    handles = _handles()
    get_display = _extension(
        "eglGetPlatformDisplayEXT", ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
    )
    if get_display is None or index >= len(handles):
        return False
    display = get_display(_PLATFORM_DEVICE, handles[index], None)
    # Not terminated: MuJoCo initialises the same display again, at no cost, and terminates it at exit.
    return bool(display and _library().eglInitialize(display, None, None))
