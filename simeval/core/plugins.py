"""Perturbation axes of a user's own: one Python file, executed once in every process that plans or runs episodes.

The text of the file travels, not its name: a worker on another machine runs the same axes, and the manifest says which.

A plugin is code, and a run folder or a recipe may be a stranger's: neither has a plugin read. Only what the person
names in the command at hand is, and for a run that exists only the text that it was made with.
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
"""How long a plugin may take to run, and its axes to say which tasks they are for. Ours; torch is imported in 20."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A file of axes.

    Attributes:
        path: where it was read.
        source: its text.
        sha256: of the text, 64 hex digits.
    """

    path: str
    source: str
    sha256: str

    @property
    def module(self) -> str:
        """Name under which it is imported: another text is another module."""
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
    """SHA-256 of each, by the file's name, as a manifest keeps them.

    Raises:
        ConfigError: two have one name.
    """
    found: dict[str, str] = {}
    for plugin in plugins:
        name = Path(plugin.path).name
        if found.setdefault(name, plugin.sha256) != plugin.sha256:
            raise ConfigError(f"--plugin {plugin.path}: another plugin is named {name}; rename one")
    return found


def named_again(folder: Path, manifest: Mapping[str, Any], named: Sequence[str]) -> tuple[Plugin, ...]:
    """Read the plugins that a person names for a stored run.

    Args:
        folder: the run.
        manifest: what it says of itself.
        named: paths, from the command at hand; there may be others among them than the run was made with.

    Raises:
        ConfigError: one of the run's is not named, or has another text.
    """
    stored, found = manifest["identity"].get("plugins") or {}, read(named)
    here = digests(found)
    for name, digest in stored.items():
        if digest in here.values():
            continue
        if name in here:
            raise ConfigError(
                f"--plugin {name}: is not the one that {folder} was made with (sha256 {here[name][:8]}, "
                f"there {str(digest)[:8]})"
            )
        raise ConfigError(
            f"{folder}: was made with the plugin {name}; a plugin is code, so name it yourself: "
            f"--plugin {_last_seen(manifest, name)}"
        )
    return found


def _last_seen(manifest: Mapping[str, Any], name: str) -> str:
    paths = [str(path) for path in manifest["config"].get("plugin") or ()]
    return next((path for path in paths if Path(path).name == name), name)


@contextlib.contextmanager
def limited(paths: Sequence[str]) -> Iterator[None]:
    """A time limit for what asks the axes of plugins; none where there are no plugins.

    Raises:
        ConfigError: it took too long.
    """
    try:
        with time_limit(SECONDS if paths else None, "axes only say which tasks they are for"):
            yield
    except Overdue as error:
        raise ConfigError(f"--plugin {', '.join(paths)}: {error}") from None


def load(plugins: Sequence[Plugin]) -> None:
    """Register the axes of plugins in this process; those that are there already stay.

    Raises:
        ConfigError: one does not run, declares an axis whose name is taken, or declares none.
    """
    for plugin in plugins:
        if plugin.module not in sys.modules:
            _execute(plugin)


def _execute(plugin: Plugin) -> None:
    module = types.ModuleType(plugin.module)
    module.__file__ = plugin.path
    known = {info.name for info in axes()}
    sys.modules[plugin.module] = module  # dataclasses and pickle look it up there
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
    """Where in the plugin an error was raised."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            found = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {found})" if found else ""
