"""Which kernels the numerical libraries of this process actually use, for manifests.

Versions are not enough: one version holds kernels for several processors. `envs.numerics` requests some of them. This
module queries the libraries themselves, because a library that was loaded too early uses others.

Non-obvious behaviour:
- oneDNN cannot be queried: the record holds what was requested of it, unless torch was loaded before the pins.
- A record of `native` numerics also names the processor: libraries choose block sizes by its caches.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from envs import numerics

UNPINNED = "not pinned"
"""Numerics of runs that were made before there was a choice."""

_MKL_BRANCHES = {1: "by processor", 2: "automatic", 3: "COMPATIBLE", 10: "AVX2", 12: "AVX512", 14: "AVX512_E1"}
"""Source: MKL's `mkl_types.h`, `MKL_CBWR_*`."""

_IN_POLICY = ("kernels", "gpu", "determinism")


@cache
def of_simulation() -> dict[str, str]:
    """The mode, and the kernels that motion, images and perturbations depend on, by library."""
    import cv2
    import numpy as np  # noqa: F401  loads its BLAS
    from numpy._core import _multiarray_umath  # type: ignore[attr-defined]  # NumPy's types leave it out
    from threadpoolctl import threadpool_info

    blas = {info["architecture"] for info in threadpool_info() if info["internal_api"] == "openblas"}
    features = _multiarray_umath.__cpu_features__
    dispatched = [name for name in _multiarray_umath.__cpu_dispatch__ if features.get(name)]
    lines = [word.lstrip("*") for word in cv2.getCPUFeaturesLine().split() if not word.endswith("?")]
    kernels = {
        "OpenBLAS": "+".join(sorted(blas)) or "none",
        "NumPy": dispatched[-1] if dispatched else "baseline",
        "OpenCV": lines[-1] if lines else "baseline",
        "Numba": _numba(),
        "libm": " ".join(platform.libc_ver()).strip() or platform.system(),
    }
    return {"mode": numerics.mode(), **kernels, **_processor()}


@cache
def of_torch() -> str:
    """Kernels that a network on a CPU depends on, in one line; imports torch."""
    import torch

    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        branch = _MKL_BRANCHES.get(ctypes.CDLL(str(library)).mkl_serv_cbwr_get(-1), "unknown")
    except (OSError, AttributeError):
        branch = "none"
    requested = os.environ.get("ONEDNN_MAX_CPU_ISA", "by processor")
    onednn = "unknown, torch was loaded first" if "torch" in numerics.loaded_early() else requested
    return f"ATen {torch.backends.cpu.get_cpu_capability()}, MKL {branch}, oneDNN {onednn}"


def _numba() -> str:
    # Not imported only for this: it takes half a second.
    config = sys.modules.get("numba.core.config")
    name = getattr(config, "CPU_NAME", None) or os.environ.get("NUMBA_CPU_NAME")
    return str(name or "by processor")


def _processor() -> dict[str, str]:
    if numerics.pinned():
        return {}
    return {"processor": f"{numerics.processor_name()}, {instructions()}"}


def instructions() -> str:
    """The instruction sets of the processor by which libraries choose kernels: `x86-64-v3, AVX-512`."""
    beyond = ", AVX-512" if "avx512f" in numerics.processor_flags() else ""
    return f"{numerics.level()}{beyond}"


def describe(identity: Mapping[str, Any]) -> str:
    """Description of the numerics of a run or audit, from the `identity` of its manifest."""
    return f"{_mode(identity)} ({_list(_parts(identity))})" if _parts(identity) else _mode(identity)


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """How the numerics of two identities differ, naming both; `None` if all that both record is equal.

    Args:
        first: `identity` of a run's or an audit's manifest, or a part of one.
        second: another.
    """
    modes = _mode(first), _mode(second)
    if modes[0] != modes[1]:
        return f"{describe(first)} -> {describe(second)}"
    parts = _parts(first), _parts(second)
    # A scripted policy has no network, and one on a CPU no GPU.
    changes = [(name, parts[0][name], parts[1][name]) for name in parts[0] if name in parts[1]]
    other = [f"{name} {before} -> {after}" for name, before, after in changes if before != after]
    return "; ".join(other) or None


def audit_note(run: Mapping[str, Any], audit: Mapping[str, Any]) -> str | None:
    """A note on an audit whose numerics differ from its run's, from both identities; `None` if they do not."""
    other = difference(run, audit)
    return f"other numerics than the run's, so predictions may differ from the rollout's: {other}" if other else None


def belongs(path: str) -> bool:
    """Whether a value of an identity, by its dotted path, is part of the numerics."""
    names = path.split(".")
    return "numerics" in names[:2] or (names[0] == "policy" and names[-1] in _IN_POLICY)


def _mode(identity: Mapping[str, Any]) -> str:
    setting = identity.get("settings", {}).get("numerics", UNPINNED)
    return str(identity.get("numerics", {}).get("mode", setting))


def _parts(identity: Mapping[str, Any]) -> dict[str, str]:
    policy = identity.get("policy", {})
    network = {f"the policy's {name}": str(policy[name]) for name in _IN_POLICY if name in policy}
    libraries = {name: value for name, value in identity.get("numerics", {}).items() if name != "mode"}
    return libraries | network


def _list(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parts.items())
