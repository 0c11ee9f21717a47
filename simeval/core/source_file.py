"""A Python file that the user names in a command: read once, hashed, and executed in every process that needs it.

Processes are sent the text, not the path: a worker on another machine runs the same code, and manifests record its
digest.
"""

import hashlib
import sys
import types
from dataclasses import dataclass
from pathlib import Path

from simeval.core.errors import ConfigError, ends_process, error_line
from simeval.core.files import read_regular
from simeval.core.time_limit import time_limit


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A Python file.

    Attributes:
        path: path that it was read from.
        source: its text.
        sha256: digest of the text, 64 hex digits.
    """

    path: str
    source: str
    sha256: str

    def module(self, purpose: str) -> str:
        """Name of its module for one purpose; differs for every text."""
        return f"simeval_{purpose}_{self.sha256[:16]}"


def read_source(path: str, option: str) -> SourceFile:
    """Read a file.

    Args:
        path: its path.
        option: the option that names it, for messages.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        source = read_regular(Path(path))
        return SourceFile(str(Path(path).resolve()), source.decode(), hashlib.sha256(source).hexdigest())
    except ConfigError as error:
        raise ConfigError(f"{option} {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise ConfigError(f"{option} {path}: {reason}") from None


def execute(file: SourceFile, purpose: str, *, seconds: float, limit: str) -> types.ModuleType:
    """Execute a file as a module. If it raises, the module is removed again.

    Args:
        file: the file.
        purpose: part of the module's name.
        seconds: time limit.
        limit: what exceeds the limit, for the message.

    Raises:
        BaseException: whatever the file raises, or `Overdue`.
    """
    module = types.ModuleType(file.module(purpose))
    module.__file__ = file.path
    sys.modules[module.__name__] = module  # dataclasses and pickle look the module up there
    try:
        with time_limit(seconds, limit):
            exec(compile(file.source, file.path, "exec"), module.__dict__)
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise
    return module


def as_config_error(error: BaseException, file: SourceFile, option: str) -> ConfigError:
    """An exception of the file's code as one line, with the line number in the file.

    Raises:
        BaseException: `error` itself, if it ends the process.
    """
    if isinstance(error, ConfigError):
        return error
    if ends_process(error):
        raise error
    return ConfigError(f"{option} {file.path}: {error_line(error)}{_line(error, file.path)}")


def _line(error: BaseException, path: str) -> str:
    """The line of the file that raised an error."""
    number, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            number = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {number})" if number else ""
