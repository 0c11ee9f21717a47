"""OpenGL set-up: chooses MuJoCo's backend and the EGL device, and reports in one line what a machine lacks.

Non-obvious behaviour:
- MuJoCo fixes its OpenGL backend when it is first imported, so `select_backend` has to run before that. The import
  itself fails if the backend's library is missing. `check_drawing` checks what only rendering needs.
- CUDA's devices are not EGL's: a container without the graphics capability has all CUDA devices and no GPU in EGL, and
  renders on Mesa's single device. So EGL itself is queried, as MuJoCo does.
- Mesa's software rasteriser starts a thread per core; with one rollout worker per core a single thread is faster.
"""

import os
from collections.abc import Mapping, MutableMapping, Sequence
from difflib import get_close_matches
from typing import Any

from envs.goals import EnvError
from envs.sim.egl import LIBRARY, Device, devices, loads, starts

_OFF = ("disable", "disabled", "off", "false", "0")
_SCREEN = ("glfw", "glx", "enable", "enabled", "on", "true", "1")
_HEADLESS = {"egl": (LIBRARY,), "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")}
"""Values of `MUJOCO_GL`. Only those in `_HEADLESS` need the libraries given. Source: `mujoco/gl_context.py` (3.3)."""

PACKAGES = {"egl": "libegl1 libgl1-mesa-dri libopengl0", "osmesa": "libosmesa6"}
"""Packages with the libraries of a backend, on Debian and Ubuntu."""


def _installed(backend: str) -> bool:
    return any(loads(library) for library in _HEADLESS[backend])


def select_backend() -> str:
    """Choose MuJoCo's OpenGL backend (a set `MUJOCO_GL` wins), and limit software OpenGL to one thread.

    Returns:
        `egl`, `osmesa`, or the value of `MUJOCO_GL` in lower case. `MUJOCO_GL` is set to it.

    Raises:
        EnvError: there is no such backend, or its library is not installed, so that MuJoCo could not be imported.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")
    backend = _requested_backend(os.environ)
    if backend:
        _refuse_impossible(backend, os.environ)
    else:
        backend = _installed_headless() or ""
        if not backend:
            raise EnvError(f"no headless OpenGL found; on Debian: apt-get install {PACKAGES['egl']}")
    os.environ["MUJOCO_GL"] = backend  # robosuite's comparison is case-sensitive
    return backend


def _requested_backend(environ: Mapping[str, str]) -> str:
    """`MUJOCO_GL` as MuJoCo reads it; empty if it is not set."""
    return environ.get("MUJOCO_GL", "").strip().lower()


def _installed_headless() -> str | None:
    """A backend that renders without a screen on this machine."""
    if _installed("egl") and (devices() or not _installed("osmesa")):
        return "egl"
    return "osmesa" if _installed("osmesa") else None


def _refuse_impossible(backend: str, environ: Mapping[str, str]) -> None:
    known = (*_HEADLESS, *_SCREEN, *_OFF)
    if backend not in known:
        close = get_close_matches(backend, known, n=1, cutoff=0.6)
        hint = f"did you mean '{close[0]}'? Else " if close else ""
        raise EnvError(f"MUJOCO_GL={environ['MUJOCO_GL'][:60]}: MuJoCo has no such backend; {hint}{_instead()}")
    if backend not in _HEADLESS:
        return
    if not _installed(backend):
        raise EnvError(
            f"MUJOCO_GL={backend}: {_HEADLESS[backend][0]} is not installed; "
            f"on Debian: apt-get install {PACKAGES[backend]}; or {_instead()}"
        )
    platform = environ.get("PYOPENGL_PLATFORM")
    if platform and platform.lower() != backend:
        raise EnvError(f"PYOPENGL_PLATFORM={platform[:60]} does not go with MUJOCO_GL={backend}; unset it")
    if backend == "egl" and not (loads("libOpenGL.so.0") or loads("libGL.so.1")):
        raise EnvError("MUJOCO_GL=egl: libOpenGL.so.0 is not installed; on Debian: apt-get install libopengl0")


def _instead() -> str:
    """The remedy for a backend that is not available."""
    working = _installed_headless()
    return f"unset it, {working} works here" if working else f"unset it and apt-get install {PACKAGES['egl']}"


def check_drawing() -> str:
    """Check without rendering whether the machine and its environment variables allow MuJoCo to render.

    Returns:
        The backend, as `select_backend`.

    Raises:
        EnvError: rendering is impossible; the line names the cause and the remedy.
    """
    backend, environ = select_backend(), os.environ
    if backend in _OFF:
        raise EnvError(f"MUJOCO_GL={backend} turns rendering off, and images are needed; {_instead()}")
    if backend in _SCREEN:
        if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
            raise EnvError(f"MUJOCO_GL={backend} renders to a screen, and DISPLAY is not set; {_instead()}")
    elif backend == "egl":
        _refuse_device(environ)
    return backend


def _refuse_device(environ: Mapping[str, str]) -> None:
    count, device = len(devices()), environ.get("MUJOCO_EGL_DEVICE_ID")
    if not count:
        raise EnvError(
            "EGL has no device to render on; on Debian: apt-get install libgl1-mesa-dri; in a container with a GPU: "
            "-e NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics"
        )
    if device is None:
        return
    if not (device.isascii() and device.isdigit() and len(device) < 10 and int(device) < count):
        available, choice = f"{count} devices here, 0 to {count - 1}", "one of these"
        if count == 1:
            available, choice = "one device here", "0"
        raise EnvError(
            f"MUJOCO_EGL_DEVICE_ID={device[:60]}: EGL has {available}{_visible(environ)}; unset it, or set {choice}"
        )


def _visible(environ: Mapping[str, str]) -> str:
    """A hint that CUDA numbers devices differently, where that may be the cause."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    return f", whatever CUDA_VISIBLE_DEVICES={visible[:60]} says" if visible else ""


def device_of(slot: int, available: Sequence[Device], environ: Mapping[str, str]) -> int | None:
    """Choose the device that a worker renders on; MuJoCo would always take the first that works.

    Args:
        slot: index of the worker on its node, from 0.
        available: the devices that EGL enumerates.
        environ: a set `MUJOCO_EGL_DEVICE_ID` wins, and `CUDA_VISIBLE_DEVICES` limits the choice.

    Returns:
        Its index, or `None` to leave the choice to MuJoCo.
    """
    gpus = [device.index for device in available if device.nvidia]
    if len(gpus) < 2 or "MUJOCO_EGL_DEVICE_ID" in environ or (_requested_backend(environ) or "egl") != "egl":
        return None
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in gpus] if visible is None else visible.replace(" ", "").split(",")
    # Names such as GPU-8f3e or MIG-..., and numbers that EGL does not have, cannot be mapped to EGL's order.
    if len(names) < 2 or not all(name.isdecimal() and int(name) in gpus for name in names):
        return None
    return int(names[slot % len(names)])


def take_device(slot: int, environ: MutableMapping[str, str] | None = None) -> None:
    """Spread the workers of a node over its GPUs: set the EGL device of this process.

    Args:
        slot: index of the worker on its node, from 0.
        environ: where `MUJOCO_EGL_DEVICE_ID` is set; `None` for this process' environment.
    """
    environ = os.environ if environ is None else environ
    index = device_of(slot, devices(), environ)
    if index is not None and starts(index):
        environ["MUJOCO_EGL_DEVICE_ID"] = str(index)


def make_renderer(model: Any, size: int) -> Any:
    """Make a `mujoco.Renderer` for images of `size` pixels per side, in the OpenGL context of this thread.

    Raises:
        EnvError: no OpenGL context could be created.
    """
    backend = check_drawing()
    from envs.sim.gl_context import SharedRenderer, backend_in_use

    if (taken := backend_in_use()) != backend and backend in _HEADLESS:
        raise EnvError(
            f"MuJoCo was imported before simeval had chosen its OpenGL backend, and took {taken or 'none'}; set "
            f"MUJOCO_GL={backend} before MuJoCo is imported"
        )
    quiet_destructors()
    try:
        return SharedRenderer(model, size)
    except Exception as error:  # noqa: BLE001  MuJoCo and PyOpenGL raise many types here
        raise EnvError(
            f"no OpenGL context with MUJOCO_GL={backend}: {' '.join(str(error).split())[:200]}; "
            "simeval doctor --only opengl says more"
        ) from None


def quiet_destructors() -> None:
    """Silence the destructors of MuJoCo objects whose constructor failed; they use attributes that were never set."""
    import mujoco

    missing = [(mujoco.Renderer, "_gl_context"), (mujoco.Renderer, "_mjr_context")]
    missing += [(getattr(mujoco, "GLContext", None), "_context")]
    for kind, name in missing:
        if isinstance(kind, type) and not hasattr(kind, name):
            setattr(kind, name, None)
