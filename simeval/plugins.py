"""Perturbation axes of a user's own: one Python file, executed once in every process that plans or runs episodes.

The text of the file travels, not its name: a worker on another machine runs the same axes, and the manifest says which.
"""

import hashlib
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perturbations.base import axes, unregister_all_but
from simeval.errors import ConfigError, error_line
from simeval.files import read_regular


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
        exec(compile(plugin.source, plugin.path, "exec"), module.__dict__)
        if {info.name for info in axes()} == known:
            raise ConfigError(f"--plugin {plugin.path}: it registers no axis; decorate a function with register(...)")
    except BaseException as error:
        del sys.modules[plugin.module]
        unregister_all_but(known)
        if isinstance(error, Exception) and not isinstance(error, ConfigError):
            raise ConfigError(f"--plugin {plugin.path}: {error_line(error)}{_line(error, plugin.path)}") from None
        raise


def _line(error: Exception, path: str) -> str:
    """Where in the plugin an error was raised."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            found = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {found})" if found else ""
