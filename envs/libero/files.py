"""LIBERO's files: finds its meshes, imports its package, reads its initial states.

Non-obvious behaviour:
- Importing `libero.libero` without a config file asks a question on stdin. So the file is written first, atomically, in
  a folder of simeval's.
- LIBERO, robosuite and gym print at import and when a scene is built; all of it is suppressed.
- The initial-state files are zips with a pickled array. They are read without torch, by an unpickler that can build
  NumPy arrays and nothing else.
"""

import contextlib
import io
import logging
import os
import pickle
import sys
import tempfile
import types
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.asset_files import refuse_strays
from envs.assets import BUNDLED
from envs.base import EnvError
from envs.caches import cache_folder
from envs.libero.catalog import libero_root
from envs.libero.official import INSTALL, packaged
from envs.libero.recolored import register_recolored

HUB_ASSETS = "lerobot/libero-assets"
"""Hub dataset with LIBERO's meshes and textures. Source: hf-libero 0.1.4."""

_ASSET_FOLDERS = ("articulated_objects", "scenes", "stable_hope_objects", "stable_scanned_objects", "textures")


def resolve_assets(choice: str | None) -> Path:
    """Find the asset folder that LIBERO's scenes are built from.

    Args:
        choice: a path; `bundled` for simeval's light models; `official` (or `None`) for LIBERO's own, from
            `SIMEVAL_LIBERO_ASSETS`, the installed packages, the user's cache, or the hub, the first that has them;
            `cached` for the same without the hub; `hub`.

    Raises:
        EnvError: there is no such folder; the message says what to pass instead.
    """
    if choice == "bundled":
        return _checked(BUNDLED, "--assets bundled")
    if choice not in (None, "official", "cached", "hub"):
        return _checked(Path(str(choice)).expanduser(), "--assets")
    here = None if choice == "hub" else local_assets()
    if here:
        return here.folder
    if choice == "cached":
        raise EnvError(f"LIBERO's own assets are not on this machine; {INSTALL}")
    return _download()


@dataclass(frozen=True)
class Located:
    """LIBERO's own asset folder, and where it was found."""

    folder: Path
    source: str
    """`SIMEVAL_LIBERO_ASSETS`, `the installed packages` or `the cache`."""


def local_assets() -> Located | None:
    """LIBERO's own asset folder on this machine, without the hub's cache; `None` if there is none.

    Raises:
        EnvError: the first place that should have it is no such folder, or incomplete.
    """
    variable = os.environ.get("SIMEVAL_LIBERO_ASSETS")
    cached = Path("~/.cache/libero/assets").expanduser()
    if variable:
        source, folder = "SIMEVAL_LIBERO_ASSETS", Path(variable).expanduser()
    elif installed := packaged():
        source, folder = "the installed packages", installed
    elif cached.is_dir():
        source, folder = "the cache", cached
    else:
        return None
    return Located(_checked(folder, source), source)


def _checked(folder: Path, origin: str) -> Path:
    if not folder.is_dir():
        raise EnvError(f"{origin}: no such folder: {folder}")
    missing = [name for name in _ASSET_FOLDERS if not (folder / name).is_dir()]
    if missing:
        raise EnvError(f"{origin}: {folder} is not a LIBERO asset folder (it has no '{missing[0]}')")
    resolved = folder.resolve()
    if resolved != BUNDLED.resolve():
        refuse_strays(resolved)
    return resolved


def _download() -> Path:
    from huggingface_hub import snapshot_download

    try:
        downloaded = Path(snapshot_download(HUB_ASSETS, repo_type="dataset", etag_timeout=5))
    except Exception as error:  # noqa: BLE001  the hub client raises a dozen types for "not available"
        reason = type(error).__name__
        raise EnvError(
            f"LIBERO's assets are neither installed nor cached nor downloadable ({reason}); {INSTALL}, "
            "pass --assets PATH or --assets bundled, or set SIMEVAL_LIBERO_ASSETS"
        ) from None
    refuse_strays(downloaded)
    return downloaded


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress output and warnings of third-party code."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def _write_config() -> None:
    root = libero_root()
    paths = {"benchmark_root": root, "bddl_files": root / "bddl_files", "init_states": root / "init_files"}
    paths |= {"datasets": root.parent / "datasets", "assets": root / "assets"}
    lines = [f"{key}: {path}\n" for key, path in paths.items()]
    base = cache_folder("libero")
    try:
        _write_whole(base / "config.yaml", lines)
    except OSError:  # no room, or another user's
        base = Path(tempfile.gettempdir()) / f"simeval-libero-{os.getuid()}"
        _write_whole(base / "config.yaml", lines)
    os.environ["LIBERO_CONFIG_PATH"] = str(base)


def _write_whole(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, suffix=".yaml") as file:
        file.writelines(lines)
    Path(file.name).replace(path)


@cache
def import_libero() -> Any:
    """Import LIBERO's environment module, once and quietly (2 s, 0.2 GB; it does not import torch)."""
    _write_config()
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    with silence(), _without_matplotlib(), _own_opengl():
        import libero.libero.envs as module
        import libero.libero.envs.base_object as base_object
    register_recolored(base_object)
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    return module


@contextlib.contextmanager
def _own_opengl() -> Iterator[None]:
    """Keep robosuite from choosing the OpenGL backend and device; `envs.sim.opengl` does that.

    At import it rejects a `MUJOCO_EGL_DEVICE_ID` that is not in `CUDA_VISIBLE_DEVICES`, although CUDA and EGL number
    devices differently, and it may set `MUJOCO_GL` to another backend than MuJoCo was imported with.
    """
    names = ("MUJOCO_EGL_DEVICE_ID", "MUJOCO_GL")
    before = {name: os.environ[name] for name in names if name in os.environ}
    os.environ.pop("MUJOCO_EGL_DEVICE_ID", None)
    try:
        yield
    finally:
        os.environ.update(before)


@contextlib.contextmanager
def _without_matplotlib() -> Iterator[None]:
    """Save every worker matplotlib (12 MB, 0.1 s): LIBERO imports it for the colours of a window that never opens."""
    names = [name for name in ("matplotlib", "matplotlib.cm") if name not in sys.modules]
    sys.modules.update({name: types.ModuleType(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def use_assets(folder: Path) -> None:
    """Make scenes that are built from now on load their meshes from `folder`."""
    import_libero()
    import libero.libero

    libero.libero._assets_path_cache = str(folder)


class _ArrayUnpickler(pickle.Unpickler):
    _ALLOWED = frozenset(
        {
            ("_codecs", "encode"),  # how old pickles write bytes
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise EnvError(f"initial-state file wants to load {module}.{name}; only numpy arrays are allowed")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


@cache
def init_states(path: Path) -> NDArray[np.float64]:
    """Read the published initial states of a task: `float64[50, 1 + nq + nv]`.

    LIBERO's own files are pickles in zips, LIBERO-PRO's (`.npz`) hold one array called `states`, LIBERO-plus's hold one
    state without the first dimension.

    Raises:
        EnvError: the file is missing or contains anything but one array.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return np.asarray(arrays["states"], dtype=np.float64)
        with zipfile.ZipFile(path) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
            states = _ArrayUnpickler(io.BytesIO(archive.read(member))).load()
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise EnvError(f"cannot read initial states {path}: {error}") from None
    return np.atleast_2d(np.asarray(states, dtype=np.float64))
