"""Checks of what is installed: Python, the pinned versions, and packages that overwrite each other."""

import sys
from collections.abc import Mapping
from pathlib import Path

from simeval.doctor.findings import Finding, failure, note, ok
from simeval.doctor.surroundings import Machine, canonical

LOCK = Path(__file__).parents[2] / "requirements.lock"
"""Beside the source, in a checkout and in the image; an installed wheel has none."""

_INSTALL = "make clean setup; elsewhere: pip install --no-deps -r requirements.lock"


def check_python(here: Machine) -> Finding:
    """Whether this is the Python that the lock was made for."""
    version = ".".join(map(str, here.python))
    if here.python == (3, 12):
        return ok("python", version)
    return failure(
        "python", f"Python {version}, but the pinned packages need 3.12", "install Python 3.12; make clean setup"
    )


def read_lock(lock: Path) -> dict[str, str]:
    """Pinned version of every distribution, by canonical name."""
    pins = (line.split("#")[0].split(";")[0].strip() for line in lock.read_text().splitlines())
    pairs = (pin.split("==") for pin in pins if "==" in pin)
    return {canonical(name.strip()): version.strip() for name, version in pairs}


def check_versions(here: Machine, lock: Path = LOCK) -> Finding:
    """Whether the installed versions are the pinned ones: other versions give other rows."""
    if not lock.is_file():
        return note("versions", "no requirements.lock to compare with: numbers may differ from a checkout's")
    pins = read_lock(lock)
    missing = [name for name in pins if name not in here.installed]
    other = [
        f"{name} {here.installed[name]} (pinned: {version})"
        for name, version in pins.items()
        if name in here.installed and not same_version(here.installed[name], version)
    ]
    if not missing and not other:
        return ok("versions", f"{len(pins)} packages as pinned")
    parts = [f"not installed: {_some(missing)}"] if missing else []
    parts += [f"other version: {_some(other)}"] if other else []
    return failure("versions", "; ".join(parts), _INSTALL)


def same_version(installed: str, pinned: str) -> bool:
    """Whether two spellings mean the same version; `2.11.0+cpu` is 2.11.0 from another index."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(installed).public == Version(pinned).public
    except InvalidVersion:
        return installed == pinned


def opencv_remedy(installed: Mapping[str, str]) -> str:
    """The commands that make OpenCV load on a server: the libraries of its build for desktops, or the other build.

    Args:
        installed: version of every installed distribution.
    """
    return (
        "on Debian: apt-get install libgl1 libglib2.0-0; or: pip uninstall -y opencv-python && "
        f"pip install --no-deps --force-reinstall {_headless(installed)}"
    )


def _headless(installed: Mapping[str, str]) -> str:
    version = installed.get("opencv-python-headless")
    return f"opencv-python-headless=={version}" if version else "opencv-python-headless"


def check_opencv(here: Machine) -> Finding:
    """Whether OpenCV can be loaded, and is of one version.

    lerobot asks for the headless build, robosuite and LIBERO for the other; pip installs both, into one folder.
    """
    builds = {name: here.installed[name] for name in sorted(here.installed) if name.startswith("opencv-")}
    if not builds:
        return failure("opencv", "OpenCV is not installed", _INSTALL)
    names = " and ".join(f"{name} {version}" for name, version in builds.items())
    if len(set(builds.values())) > 1:
        others = " ".join(name for name in builds if name != "opencv-python-headless")
        return failure(
            "opencv",
            f"{names}: versions that overwrite each other",
            f"pip uninstall -y {others} && pip install --no-deps --force-reinstall {_headless(here.installed)}",
        )
    loaded = here.run([sys.executable, "-c", "import cv2"], 60.0)
    if loaded.code != 0:
        return failure("opencv", loaded.reason, opencv_remedy(here.installed))
    return ok("opencv", names)


def check_lerobot(here: Machine) -> Finding:
    """Which third-party packages of policies lerobot would import, wherever a checkpoint is loaded."""
    from simeval.core.provenance import LEROBOT_PLUGIN

    prefix = canonical(LEROBOT_PLUGIN)
    plugins = [f"{name.replace('-', '_')} {here.installed[name]}" for name in here.installed if name.startswith(prefix)]
    if plugins:
        return note(
            "lerobot",
            f"{_some(plugins)}: lerobot imports third-party policies by itself, wherever a checkpoint is loaded",
        )
    version = here.installed.get("lerobot")
    if version is None:
        return failure("lerobot", "lerobot is not installed", _INSTALL)
    return ok("lerobot", f"{version}, without third-party policies")


def _some(names: list[str], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
