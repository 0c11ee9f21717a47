"""User-defined axes and suites: a Python file, executed once in every process that plans or runs episodes.

Workers are sent the text of the file, not its path: a worker on another machine runs the same code, and the manifest
records their digest. A profile (`latency_profile`), which is data, takes the same way.

A plugin is code, and a run folder or a recipe may come from a stranger: neither makes simeval read a plugin. Only files
that the user names in the command at hand are read, and for an existing run only the text that it was made with.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from envs.goals import EnvError
from envs.sim.opengl import select_backend
from envs.suites import registered_suites, unregister_suites_but
from perturbations.base import axes, unregister_all_but
from simeval.core import latency_profile
from simeval.core.errors import ConfigError
from simeval.core.source_file import SourceFile, as_config_error, execute, read_source
from simeval.core.time_limit import Overdue, time_limit

SECONDS = 60.0
"""Time limit of executing a plugin, and of its axes choosing their tasks. Our choice; importing torch takes 20."""


Plugin = SourceFile
"""A file of axes and suites."""


def read(paths: Sequence[str]) -> tuple[Plugin, ...]:
    """Read plugin files.

    Raises:
        ConfigError: one cannot be read.
    """
    return tuple(read_source(path, "--plugin") for path in paths)


def digests(plugins: Sequence[Plugin]) -> dict[str, str]:
    """SHA-256 of each by file name, as stored in a manifest.

    Raises:
        ConfigError: two of them have the same file name.
    """
    by_name: dict[str, str] = {}
    for plugin in plugins:
        name = Path(plugin.path).name
        if by_name.setdefault(name, plugin.sha256) != plugin.sha256:
            raise ConfigError(f"--plugin {plugin.path}: another plugin is named {name}; rename one")
    return by_name


def named_again(folder: Path, manifest: Mapping[str, Any], named: Sequence[str]) -> tuple[Plugin, ...]:
    """Read the plugins that the user names for a stored run.

    Args:
        folder: the run.
        manifest: its manifest.
        named: paths from the command at hand; more than those of the run are allowed.

    Raises:
        ConfigError: a plugin of the run is not named, or has another text.
    """
    stored, plugins = manifest["identity"].get("plugins") or {}, read(named)
    given = digests(plugins)
    for name, digest in stored.items():
        if digest in given.values():
            continue
        if name in given:
            raise ConfigError(
                f"--plugin {name}: is not the one that {folder} was made with (sha256 {given[name][:8]}, "
                f"there {str(digest)[:8]})"
            )
        raise ConfigError(
            f"{folder}: was made with the plugin {name}; a plugin is code, so name it yourself: "
            f"--plugin {_last_path(manifest, name)}"
        )
    return plugins


def _last_path(manifest: Mapping[str, Any], name: str) -> str:
    paths = [str(path) for path in manifest["config"].get("plugin") or ()]
    return next((path for path in paths if Path(path).name == name), name)


@contextlib.contextmanager
def limited(paths: Sequence[str]) -> Iterator[None]:
    """A time limit for code that calls the axes of plugins; no limit without plugins.

    Raises:
        ConfigError: the body took too long.
    """
    try:
        with time_limit(SECONDS if paths else None, "axes only say which tasks they are for"):
            yield
    except Overdue as error:
        raise ConfigError(f"--plugin {', '.join(paths)}: {error}") from None


def load(plugins: Sequence[Plugin]) -> None:
    """Register the axes and suites of plugins in this process; plugins loaded before are not executed again.

    Raises:
        ConfigError: a plugin raises, declares an axis or a suite whose name is taken, or declares none.
    """
    for plugin in plugins:
        if plugin.module("plugin") not in sys.modules:
            _execute(plugin)


def _execute(plugin: Plugin) -> None:
    with contextlib.suppress(EnvError):  # the file may import MuJoCo, which fixes its backend then
        select_backend()
    known, suites = {info.name for info in axes()}, registered_suites()
    try:
        if plugin.path.endswith(latency_profile.SUFFIX):
            latency_profile.register_axis(plugin.source)
            sys.modules[plugin.module("plugin")] = ModuleType(plugin.module("plugin"))  # so that it is not loaded again
        else:
            execute(plugin, "plugin", seconds=SECONDS, limit="a plugin only declares axes and suites")
        if {info.name for info in axes()} == known and registered_suites() == suites:
            raise ConfigError(
                f"--plugin {plugin.path}: it registers no axis and no suite; decorate a function with register(...), "
                "or call register_suite(...)"
            )
    except BaseException as error:  # noqa: BLE001  becomes one line, or is raised again
        sys.modules.pop(plugin.module("plugin"), None)
        unregister_all_but(known)
        unregister_suites_but(suites)
        raise as_config_error(error, plugin, "--plugin") from None
