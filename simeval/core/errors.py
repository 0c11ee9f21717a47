"""The exceptions of simeval, and how an exception of foreign code becomes a line of text."""

from typing import Literal

from simeval.core.interrupts import is_interrupt
from simeval.core.texts import uncolored, well_formed

Phase = Literal["build", "reset", "observe", "perturb", "policy", "step", "worker"]


class SimevalError(Exception):
    """The base of every error that simeval raises on purpose: one line of text, which says what to do.

    Public functions raise nothing else but `OSError`, where a disk or a network fails. The packages `envs` and
    `perturbations` do not know simeval and have errors of their own (`EnvError`; `SpecError`, `Infeasible`): public
    functions turn those into a `ConfigError`, or into an episode's row.
    """


class ConfigError(SimevalError):
    """The request cannot be carried out. One line for the user; the command line exits with code 2."""


class RunError(SimevalError):
    """The run cannot go on, though the request was valid. One line; the command line exits with code 1."""


class EpisodeError(SimevalError):
    """One episode broke. It becomes an `error` row; the run goes on.

    Attributes:
        phase: phase of the loop that broke.
    """

    def __init__(self, phase: Phase, text: str) -> None:
        super().__init__(text)
        self.phase: Phase = phase

    def __reduce__(self) -> tuple[type["EpisodeError"], tuple[Phase, str]]:
        return EpisodeError, (self.phase, str(self))  # the default would call the constructor with the text alone


USER_MODULES = ("simeval_policy_", "simeval_plugin_")
"""Beginnings of the names of modules that are executed from a user's file; see `simeval.core.source_file`."""


def ends_process(error: BaseException) -> bool:
    """Whether an exception asks this process to end: Ctrl-C, or what Ray raises in a worker that gets a SIGTERM.

    Ctrl-C may come as another exception; see `simeval.core.interrupts`.

    Anything else that foreign code raises, `SystemExit` and bare `BaseException` included, is a fault of that code.
    """
    from_ray = isinstance(error, SystemExit) and "ray_terminate_msg" in vars(error)
    return from_ray or is_interrupt(error)


def message_of(error: BaseException) -> str:
    """The text of an exception, without a library's colours; empty if its `__str__` raises."""
    try:
        return well_formed(uncolored(str(error)))
    except BaseException as broken:
        if isinstance(broken, KeyboardInterrupt):
            raise
        return ""


def error_line(error: BaseException) -> str:
    """An exception as one line for an `error` row, at most 500 characters; its type alone if it has no text."""
    return " ".join(f"{type(error).__name__}: {message_of(error)}".split())[:500].removesuffix(":")


def user_line(error: BaseException) -> str:
    """Where a user's file raised an exception: ` (mine.py line 14)`, the innermost such place; empty if none did."""
    place, trace = "", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__", "")).startswith(USER_MODULES):
            place = f" ({frame.f_code.co_filename.rpartition('/')[2]} line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def first_line(error: BaseException) -> str:
    """The first non-empty line of an exception's text; its type if there is none."""
    return next((line.strip() for line in message_of(error).splitlines() if line.strip()), type(error).__name__)


def nearest(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """A suggestion for a mistyped name: `; did you mean 'noise'?`, or the known names if none is close."""
    import difflib

    close = difflib.get_close_matches(word[:200], known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
