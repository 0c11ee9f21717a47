"""Which OpenGL draws the images: MuJoCo's backend, EGL's devices, and what a machine lacks, said in one line.

Non-obvious behaviour:
- MuJoCo fixes its OpenGL backend when it is first imported, so `select_backend` has to run before that. With a backend
  whose library is missing that import itself breaks; what only drawing needs is asked by `check_drawing`.
- CUDA's devices are not EGL's: a container without the graphics capability has all of the first and none of the
  second, and draws by Mesa's one device. So EGL itself is asked, as MuJoCo asks it.
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
"""Values of `MUJOCO_GL`; source: `mujoco/gl_context.py`, MuJoCo 3.3. All but the last kind need no library of ours."""

PACKAGES = {"egl": "libegl1 libgl1-mesa-dri libopengl0", "osmesa": "libosmesa6"}
"""Where the libraries of a backend come from, on Debian and Ubuntu."""


def _installed(backend: str) -> bool:
    return any(loads(library) for library in _HEADLESS[backend])


def select_backend() -> str:
    """Choose MuJoCo's OpenGL backend (a set `MUJOCO_GL` wins), and keep software OpenGL to one thread.

    Returns:
        `egl`, `osmesa`, or what `MUJOCO_GL` says, in lower case, as which it is set again.

    Raises:
        EnvError: MuJoCo could not be imported so: there is no such backend, or its library is not installed.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")
    asked = _asked(os.environ)
    if asked:
        _refuse_impossible(asked, os.environ)
    else:
        asked = _headless_here() or ""
        if not asked:
            raise EnvError(f"no headless OpenGL found; on Debian: apt-get install {PACKAGES['egl']}")
    os.environ["MUJOCO_GL"] = asked  # robosuite compares it letter by letter
    return asked


def _asked(environ: Mapping[str, str]) -> str:
    """`MUJOCO_GL` as MuJoCo reads it; empty if it is to be chosen."""
    return environ.get("MUJOCO_GL", "").strip().lower()


def _headless_here() -> str | None:
    """A backend that draws here without a screen."""
    if _installed("egl") and (devices() or not _installed("osmesa")):
        return "egl"
    return "osmesa" if _installed("osmesa") else None


def _refuse_impossible(backend: str, environ: Mapping[str, str]) -> None:
    known = (*_HEADLESS, *_SCREEN, *_OFF)
    if backend not in known:
        close = get_close_matches(backend, known, n=1, cutoff=0.6)
        meant = f"did you mean '{close[0]}'? Else " if close else ""
        raise EnvError(f"MUJOCO_GL={environ['MUJOCO_GL'][:60]}: MuJoCo has no such backend; {meant}{_instead()}")
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
    """What to do about a backend that cannot be had."""
    here = _headless_here()
    return f"unset it, {here} works here" if here else f"unset it and apt-get install {PACKAGES['egl']}"


def check_drawing() -> str:
    """Find out without drawing anything whether the machine and its environment variables let MuJoCo draw.

    Returns:
        The backend, as `select_backend`.

    Raises:
        EnvError: they do not; the line says which of them is in the way and what to do.
    """
    backend, environ = select_backend(), os.environ
    if backend in _OFF:
        raise EnvError(f"MUJOCO_GL={backend} turns drawing off, and images are needed; {_instead()}")
    if backend in _SCREEN:
        if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
            raise EnvError(f"MUJOCO_GL={backend} draws on a screen, and DISPLAY is not set; {_instead()}")
    elif backend == "egl":
        _refuse_device(environ)
    return backend


def _refuse_device(environ: Mapping[str, str]) -> None:
    found, wanted = len(devices()), environ.get("MUJOCO_EGL_DEVICE_ID")
    if not found:
        raise EnvError(
            "EGL has no device to draw on; on Debian: apt-get install libgl1-mesa-dri; in a container with a GPU: "
            "-e NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics"
        )
    if wanted is None:
        return
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and int(wanted) < found):
        there, instead = f"{found} devices here, 0 to {found - 1}", "one of these"
        if found == 1:
            there, instead = "one device here", "0"
        raise EnvError(
            f"MUJOCO_EGL_DEVICE_ID={wanted[:60]}: EGL has {there}{_visible(environ)}; unset it, or set {instead}"
        )


def _visible(environ: Mapping[str, str]) -> str:
    """That CUDA counts otherwise, where it may be the cause."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    return f", whatever CUDA_VISIBLE_DEVICES={visible[:60]} says" if visible else ""


def device_of(slot: int, found: Sequence[Device], environ: Mapping[str, str]) -> int | None:
    """Which device a worker draws on; MuJoCo would always take the first that works.

    Args:
        slot: which of the node's workers it is, from 0.
        found: what EGL enumerates.
        environ: what is set already wins, and `CUDA_VISIBLE_DEVICES` limits the choice.

    Returns:
        Its index, or `None` to leave it to MuJoCo.
    """
    gpus = [device.index for device in found if device.nvidia]
    if len(gpus) < 2 or "MUJOCO_EGL_DEVICE_ID" in environ or (_asked(environ) or "egl") != "egl":
        return None
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in gpus] if visible is None else visible.replace(" ", "").split(",")
    # Names such as GPU-8f3e or MIG-... say nothing about EGL's order, nor do numbers that EGL does not have.
    if len(names) < 2 or not all(name.isdecimal() and int(name) in gpus for name in names):
        return None
    return int(names[slot % len(names)])


def take_device(slot: int, environ: MutableMapping[str, str] | None = None) -> None:
    """Have this process draw on a device of its own, as far as there are several.

    Args:
        slot: which of the node's workers it is, from 0.
        environ: where `MUJOCO_EGL_DEVICE_ID` is set; this process' own variables if `None`.
    """
    environ = os.environ if environ is None else environ
    index = device_of(slot, devices(), environ)
    if index is not None and starts(index):
        environ["MUJOCO_EGL_DEVICE_ID"] = str(index)


def make_renderer(model: Any, size: int) -> Any:
    """A `mujoco.Renderer` of a model, for images of `size` pixels per side.

    Raises:
        EnvError: no OpenGL context could be made.
    """
    backend = check_drawing()
    import mujoco

    quiet_destructors()
    try:
        return mujoco.Renderer(model, size, size)
    except Exception as error:  # noqa: BLE001  MuJoCo and PyOpenGL raise many types here
        raise EnvError(
            f"no OpenGL context with MUJOCO_GL={backend}: {' '.join(str(error).split())[:200]}; "
            "simeval doctor --only opengl says more"
        ) from None


def quiet_destructors() -> None:
    """Let MuJoCo's objects that could not be made die quietly; their destructors miss what was never set."""
    import mujoco

    missing = [(mujoco.Renderer, "_gl_context"), (mujoco.Renderer, "_mjr_context")]
    missing += [(getattr(mujoco, "GLContext", None), "_context")]
    for kind, name in missing:
        if isinstance(kind, type) and not hasattr(kind, name):
            setattr(kind, name, None)
