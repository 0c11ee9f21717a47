"""Finds the package `metaworld`, and checks that it is the version that these suites are written for."""

import importlib.metadata

from envs.goals import EnvError

VERSION = "3.1.1"
REMEDY = f"the package metaworld {VERSION} is not installed; run: pip install --no-deps metaworld=={VERSION}"
"""Without dependencies: all but MuJoCo are simeval's own, and it asks for MuJoCo 3.3.0, simeval for 3.3.2."""


def installed() -> str | None:
    """Version of the installed package; `None` if there is none."""
    try:
        return importlib.metadata.version("metaworld")
    except importlib.metadata.PackageNotFoundError:
        return None


def metaworld_present() -> bool:
    """Whether the version that these suites are written for is installed."""
    return installed() == VERSION


def require_metaworld() -> None:
    """Check that it is.

    Raises:
        EnvError: it is not; says how to install it.
    """
    found = installed()
    if found is None:
        raise EnvError(REMEDY)
    if found != VERSION:
        raise EnvError(f"metaworld {found} is installed, and other versions have other scenes; {REMEDY.split('; ')[1]}")
