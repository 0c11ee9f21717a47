"""User-defined perturbation axes: a Python file, executed once in every process that plans or runs episodes.

Workers are sent the text of the file, not its path: a worker on another machine runs the same axes, and the manifest
records their digest.

A plugin is code, and a run folder or a recipe may come from a stranger: neither makes simeval read a plugin. Only files
that the user names in the command at hand are read, and for an existing run only the text that it was made with.
"""

import contextlib
import hashlib
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perturbations.base import axes, unregister_all_but
from simeval.core.errors import ConfigError, ends_process, error_line
from simeval.core.files import read_regular
from simeval.core.time_limit import Overdue, time_limit

SECONDS = 60.0
"""Time limit of executing a plugin, and of its axes choosing their tasks. Our choice; importing torch takes 20."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A file of axes.

    Attributes:
        path: path that it was read from.
        source: its text.
        sha256: digest of the text, 64 hex digits.
    """

    path: str
    source: str
    sha256: str

    @property
    def module(self) -> str:
        """Name of its module; differs for every text."""
        return f"simeval_plugin_{self.sha256[:16]}"


def read(paths: Sequence[str]) -> tuple[Plugin, ...]:
    """Read plugin files.

    Raises:
        ConfigError: one cannot be read.
    """
    return tuple(_read(path) for path in paths)


def _read(path: str) -> Plugin:
    try:
        source = read_regular(Path(path))
        return Plugin(str(Path(path).resolve()), source.decode(), hashlib.sha256(source).hexdigest())
    except ConfigError as error:
        raise ConfigError(f"--plugin {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise ConfigError(f"--plugin {path}: {reason}") from None


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
    """Register the axes of plugins in this process; plugins loaded before are not executed again.

    Raises:
        ConfigError: a plugin raises, declares an axis whose name is taken, or declares none.
    """
    for plugin in plugins:
        if plugin.module not in sys.modules:
            _execute(plugin)


def _execute(plugin: Plugin) -> None:
    module = types.ModuleType(plugin.module)
    module.__file__ = plugin.path
    known = {info.name for info in axes()}
    sys.modules[plugin.module] = module  # dataclasses and pickle look the module up there
    try:
        with time_limit(SECONDS, "a plugin only declares axes"):
            exec(compile(plugin.source, plugin.path, "exec"), module.__dict__)
        if {info.name for info in axes()} == known:
            raise ConfigError(f"--plugin {plugin.path}: it registers no axis; decorate a function with register(...)")
    except BaseException as error:
        del sys.modules[plugin.module]
        unregister_all_but(known)
        if isinstance(error, ConfigError) or ends_process(error):
            raise
        raise ConfigError(f"--plugin {plugin.path}: {error_line(error)}{_line(error, plugin.path)}") from None


def _line(error: BaseException, path: str) -> str:
    """The line of the plugin that raised an error."""
    number, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            number = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {number})" if number else ""
