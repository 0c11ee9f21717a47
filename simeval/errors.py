"""The two kinds of failure a run knows."""

from typing import Literal

from simeval.texts import uncolored, well_formed

Phase = Literal["build", "reset", "observe", "perturb", "policy", "step", "worker"]


class ConfigError(Exception):
    """The request cannot be carried out as asked. One line for the user; the command line exits with code 2."""


class EpisodeError(Exception):
    """One episode broke. It becomes an `error` row; the run goes on.

    Attributes:
        phase: what the loop was doing.
    """

    def __init__(self, phase: Phase, text: str) -> None:
        super().__init__(text)
        self.phase: Phase = phase

    def __reduce__(self) -> tuple[type["EpisodeError"], tuple[Phase, str]]:
        return EpisodeError, (self.phase, str(self))  # the default would call the constructor with the text alone


def error_line(error: Exception) -> str:
    """An exception as one line for an `error` row, at most 500 characters."""
    return " ".join(f"{type(error).__name__}: {_text(error)}".split())[:500]


def first_line(error: Exception) -> str:
    """The first line of an exception's text that says something; its type if none does."""
    return next((line.strip() for line in _text(error).splitlines() if line.strip()), type(error).__name__)


def _text(error: Exception) -> str:
    """What an exception says, as text: Ray colours it, and it may hold half of a surrogate pair."""
    return well_formed(uncolored(str(error)))


def nearest(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """A suggestion for a mistyped name: `; did you mean 'noise'?`, or the known names if none is close."""
    import difflib

    close = difflib.get_close_matches(word[:200], known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
