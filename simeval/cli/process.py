"""The process around a verb: its exit code, its error line, and its end.

Non-obvious behaviour:
- Only a verb that returns gives exit code 0. Foreign code that calls `sys.exit(0)` does not.
- Foreign code may close the standard streams, or replace them. Then there is a line on the other one, and exit code 1.
- The process exits at once when all is flushed: threads and exit handlers of foreign code may never end.
"""

import _thread
import contextlib
import errno
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from simeval.core import json_output
from simeval.core.errors import ConfigError, RunError, error_line
from simeval.core.files import failure_line
from simeval.core.interrupts import is_interrupt, noted
from simeval.core.texts import escaped, shown

UsageError: Any = typer.BadParameter.__base__
"""click's class; some versions of Typer have their own copy of click, and this works with all of them."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells; some versions of Typer return it, others raise."""

LONGEST = 560
"""Characters of a message at most: messages quote user input and contents of files."""

_CLOSED = (
    "standard output or error was closed while the command ran, for instance by a policy or a plugin, so some of its "
    "text is lost; what was finished is safe"
)
SAFE = "what was finished is safe, the same command resumes"


def carry_out(app: Callable[..., Any], argv: Sequence[str]) -> int:
    """Carry out a command line: 0 done, 1 not to its end, 2 bad input (one line on standard error), 130 interrupted.

    With `--gate`, 0 and 3 to 5 are verdicts; see `simeval.analysis.gate.EXIT_CODES`.

    Args:
        app: a Typer application.
        argv: the arguments after the command's name.
    """
    hook, sys.unraisablehook = sys.unraisablehook, _on_unraisable
    if logging.lastResort:  # prints the warnings of loggers without a handler
        logging.lastResort.setFormatter(_Escaping())
    try:
        with noted():
            code = _code(app, argv)
        with contextlib.suppress(OSError):
            json_output.restore()
        if code == INTERRUPTED:
            _say("\ninterrupted; the same command resumes")
        return code
    finally:
        sys.unraisablehook = hook


def _code(app: Callable[..., Any], argv: Sequence[str]) -> int:
    try:
        return int(app(args=[*argv] or ["--help"], standalone_mode=False) or 0)
    except BaseException as error:  # noqa: BLE001  each kind has its code and its line
        return INTERRUPTED if isinstance(error, typer.Abort) or is_interrupt(error) else _code_of(error)


def _code_of(error: BaseException) -> int:
    """Print why a verb ended, and return its exit code."""
    try:
        raise error
    except ConfigError as error:
        return _print_error(str(error), 2)
    except UsageError as error:
        return _print_error(error.format_message(), 2)
    except RunError as error:
        return _print_error(f"{error}; {SAFE}", 1)
    except BrokenPipeError:
        return 1
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):  # the same command would end here again
            return _print_error(f"{failure_line(error)}; what was finished is safe", 2)
        return _print_error(f"{failure_line(error)}; {SAFE}", 1)
    except MemoryError:
        return _print_error(f"there is not enough memory; {SAFE}", 1)
    except Exception as error:  # noqa: BLE001  a bug in simeval, mostly
        return _print_unexpected(error)
    except BaseException as error:  # noqa: BLE001  SystemExit and the like: a signal, or foreign code
        if isinstance(error.__context__, BrokenPipeError):  # click's answer to a reader that has gone
            return 1
        return _print_error(f"ended by {error_line(error)}; {SAFE}", 1)


def open_streams() -> None:
    """Replace standard streams that the caller has closed (`>&-`) by the null device.

    Otherwise the next file that is opened gets the descriptor, and foreign code prints into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003  gets the lowest free number
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  open to the end


def leave(code: int) -> NoReturn:
    """Flush and end this process without waiting for threads of foreign code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 1
        except OSError as error:
            code = code or 1
            _say(f"simeval: standard output: {error.strerror or error}")
        except (ValueError, AttributeError):
            code = code or _print_error(_CLOSED, 1)
    with contextlib.suppress(ValueError, AttributeError, OSError):
        sys.stderr.flush()
    logging.shutdown()
    os._exit(code)


class _Escaping(logging.Formatter):
    """Escapes control characters: warnings quote folders, nodes and exceptions."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(escaped, super().format(record).split("\n")))


def _on_unraisable(lost: "sys.UnraisableHookArgs") -> None:
    """Raise again an interrupt that arrived inside a destructor or a callback, where Python drops it."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        # With a delay: raised here it would be dropped again.
        threading.Timer(0.05, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(lost)


def _opencv_remedy() -> str:
    from simeval.doctor.installed import opencv_remedy
    from simeval.doctor.surroundings import installed_packages

    return opencv_remedy(installed_packages())


def _print_unexpected(error: Exception) -> int:
    if isinstance(error, ImportError) and error.name == "cv2":
        return _print_error(f"OpenCV cannot be loaded: {error}; {_opencv_remedy()}", 2)
    if isinstance(error, ValueError | AttributeError) and not (_is_open(sys.stdout) and _is_open(sys.stderr)):
        return _print_error(_CLOSED, 1)
    traceback.print_exc()  # a report needs all of it
    return 1


def _print_error(text: str, code: int) -> int:
    _say(f"simeval: {shown(' '.join(text.split()), LONGEST)}")
    return code


def _say(line: str) -> None:
    """Write a line to standard error; nowhere if foreign code has closed it or put something else in its place."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{line}\n")


def _is_open(stream: Any) -> bool:
    return not getattr(stream, "closed", True)
