"""The terminal, kept from obeying what manifests, folder names, instructions and exceptions say."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from simeval.core.texts import escaped


class PlainConsole(Console):
    """Prints texts as they are: no markup in them counts, and what a terminal would obey is spelled out."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Let the command end as with any other output that nobody reads: rich would raise `SystemExit`."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `rich.console.Console.render`; all that is printed comes through here, also the cells of a table."""
        for segment in super().render(renderable, options):
            ours = segment.control or segment.text.isprintable()
            yield segment if ours else segment._replace(text=_lines(segment.text))


def _lines(text: str) -> str:
    return "\n".join(map(escaped, text.split("\n")))
