"""Pinned numerics: every library runs the same code on every x86-64-v3 processor.

Libraries choose their kernels by the processor. Kernels for different instruction sets add in a different order, so
they round differently, and a closed loop amplifies the difference into different episodes. `pin` therefore sets the
environment variable that controls the choice in each library. It runs when `envs` is imported, and `simeval` imports
`envs` first.

Non-obvious behaviour:
- A library reads its variable when it is loaded. A library that was imported before `envs` keeps its kernels; a warning
  says so, and `simeval.core.kernels` records the kernels that are in use.
- The previous value of each variable is kept in another variable, so that `native` can restore it in a new process.
- Processes inherit the pins: Ray's workers, the scene compiler, the doctor's probes.
- glibc chooses its functions by processor too, but uses the same ones (FMA) on all processors of this level.
"""

import json
import os
import platform
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PORTABLE, NATIVE = "portable", "native"
MODES = (PORTABLE, NATIVE)

VARIABLE = "SIMEVAL_NUMERICS"
"""Environment variable that chooses the mode of a Python process; `--numerics` sets it."""

LEVEL = "x86-64-v3"
"""The level that the pins request: AVX2 and FMA. Source: the x86-64 psABI's microarchitecture levels."""

_BEFORE = "SIMEVAL_NUMERICS_BEFORE"
_EARLY: list[str] = []
_V3_FLAGS = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"})

_NUMPY_BEYOND = "AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
"""NumPy's dispatch targets above the level; NumPy ignores targets that the processor or its version lacks."""

_PINS: Mapping[str, Mapping[str, str]] = {
    # On processors with AVX-512 each was measured to change actions or motion, except those of Numba and Mesa.
    "numpy": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": _NUMPY_BEYOND},
    # MKL's AVX2 branch differs between AMD and Intel processors; only COMPATIBLE is the same on both.
    "torch": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    # Without features Numba adds the processor's own to the level. Without FMA no product can be fused with a sum.
    "numba": {"NUMBA_CPU_NAME": LEVEL, "NUMBA_CPU_FEATURES": "-fma"},
    # Mesa's software renderer. With 128 bits it renders the same pixels, with 512 it crashes.
    "OpenGL": {"LP_NATIVE_VECTOR_WIDTH": "256"},
}
_OPENCV = {"OPENCV_CPU_DISABLE": "AVX512-SKX"}


@cache
def processor_flags() -> frozenset[str]:
    """CPU flags by their Linux names; empty where they are unavailable."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").partition(":")[2].split())


@cache
def processor_name() -> str:
    """Model name of the processor; different processors may share a name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


@cache
def level() -> str:
    """`x86-64-v3`, or a description of a processor that cannot run the pinned kernels."""
    machine = platform.machine()
    if machine not in ("x86_64", "AMD64"):
        return machine
    flags = processor_flags()
    if not flags:
        return f"{machine} on {platform.system()}, instructions unknown"
    missing = sorted(_V3_FLAGS - flags)
    return f"{machine} without {', '.join(missing)}" if missing else LEVEL


@cache
def pins() -> Mapping[str, str]:
    """Environment variables to set on this processor, with their values; empty if it is not of `LEVEL`."""
    if level() != LEVEL:
        return {}
    chosen = {name: value for library in _PINS.values() for name, value in library.items()}
    # OpenCV prints a warning on stderr where there is nothing to disable.
    return chosen | (_OPENCV if "avx512f" in processor_flags() else {})


def mode() -> str:
    """The mode of this process: `portable` or `native`."""
    return NATIVE if os.environ.get(VARIABLE) == NATIVE else PORTABLE


def pinned() -> bool:
    """Whether this process computes the same numbers as every other portable process on this level."""
    return mode() == PORTABLE and level() == LEVEL


def loaded_early() -> tuple[str, ...]:
    """Libraries that were loaded before they could be pinned."""
    return tuple(_EARLY)


def environment() -> dict[str, str]:
    """Environment variables for a process on another machine, so that it computes the same numbers as this one."""
    return {VARIABLE: mode(), **(pins() if mode() == PORTABLE else {})}


def prepare(new_mode: str) -> None:
    """Set the environment variables for a new process in this mode; the present process keeps its numerics."""
    os.environ[VARIABLE] = new_mode
    if new_mode == NATIVE:
        _restore()


def pin() -> None:
    """Pin all libraries that are not loaded yet, unless the process is `native`; called when `envs` is imported."""
    requested = os.environ.get(VARIABLE, PORTABLE)
    if requested not in MODES:
        warnings.warn(f"{VARIABLE}={requested}: must be {' or '.join(MODES)}; portable is used", stacklevel=2)
    if mode() == NATIVE:
        _restore()
        return
    changed = {name: os.environ.get(name) for name, value in pins().items() if os.environ.get(name) != value}
    _EARLY[:] = [name for name, values in _PINS.items() if name in sys.modules and changed.keys() & values.keys()]
    os.environ.update(pins())
    if changed:
        os.environ.setdefault(_BEFORE, json.dumps(changed))
    if _EARLY:
        warnings.warn(
            f"{' and '.join(_EARLY)} imported before simeval: episodes of this process may differ on another type of "
            "processor. Import simeval first; workers (--workers 1 and more) are not affected",
            RuntimeWarning,
            stacklevel=2,
        )


def _restore() -> None:
    """Restore the variables that `pin` changed, in this or a parent process."""
    for name, value in json.loads(os.environ.pop(_BEFORE, "{}")).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
