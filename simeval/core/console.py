"""A console that escapes control characters in manifests, folder names, instructions and exceptions."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from simeval.core.texts import escaped

NARROWEST = 80
"""Least width of what is printed (columns). In a narrower terminal rich would leave out columns and cut numbers; lines
that the terminal wraps lose nothing."""


class PlainConsole(Console):
    """Prints texts as they are: without markup, and with control characters escaped."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False)
        if self.width < NARROWEST:
            self.width = NARROWEST

    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError`, as other output does when its reader is gone; rich would raise `SystemExit`."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `rich.console.Console.render`; all output passes through here, also the cells of a table."""
        for segment in super().render(renderable, options):
            safe = segment.control or segment.text.isprintable()
            yield segment if safe else segment._replace(text=_lines(segment.text))


def _lines(text: str) -> str:
    return "\n".join(map(escaped, text.split("\n")))
