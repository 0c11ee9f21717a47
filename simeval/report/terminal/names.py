"""Names in the cells of a terminal table: where space is short they break where they can be read, and are never cut.

`instruction:counterfactual+noise:0.3` breaks after `:` and `+`; rich breaks at spaces alone, and else in mid-word.
"""

import re
from collections.abc import Iterator
from typing import Any, Self

from rich.cells import cell_len, chop_cells
from rich.console import Console, JustifyMethod, OverflowMethod
from rich.containers import Lines
from rich.table import Table
from rich.text import Text

_BREAKS = tuple(re.compile(rf"(?<=[{after}])(?=[^{after}])") for after in (r"\s+,", ":/", "_-"))
"""Where a name may break: each kind only where a part between two of the kinds before is too long for the column."""


class Name(Text):
    """A text that breaks between its parts."""

    @classmethod
    def of(cls, text: Text) -> Self:
        """The same text, in its style."""
        return cls(text.plain, style=text.style, spans=list(text.spans))

    def wrap(
        self,
        console: Console,
        width: int,
        *,
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        tab_size: int = 8,
        no_wrap: bool | None = None,
    ) -> Lines:
        """See `rich.text.Text.wrap`."""
        if no_wrap:
            return super().wrap(console, width, justify=justify, overflow=overflow, tab_size=tab_size, no_wrap=no_wrap)
        lines = Lines()
        for line in self.split(allow_blank=True):
            folded = line.divide(list(_offsets(line.plain, max(1, width))))
            for part in folded:
                part.rstrip_end(width)
            if justify:
                folded.justify(console, width, justify=justify, overflow="fold")
            lines.extend(folded)
        return lines


class NamesTable(Table):
    """A table whose texts (`rich.text.Text`) are names."""

    def add_row(self, *renderables: Any, **options: Any) -> None:
        """See `rich.table.Table.add_row`."""
        super().add_row(*(Name.of(cell) if isinstance(cell, Text) else cell for cell in renderables), **options)


def _offsets(text: str, width: int) -> Iterator[int]:
    """Where the lines of a text begin, without the first."""
    start, filled = 0, 0
    for part in _parts(text, width, 0):
        size = cell_len(part.rstrip())
        if filled and filled + size > width:
            yield start
            filled = 0
        filled += cell_len(part)
        start += len(part)


def _parts(text: str, width: int, level: int) -> Iterator[str]:
    """The parts of a text, none wider than a line; cut at any character if there is no better place."""
    if level == len(_BREAKS):
        yield from chop_cells(text, width)
        return
    for part in _BREAKS[level].split(text):
        if cell_len(part.rstrip()) <= width:
            yield part
        else:
            yield from _parts(part, width, level + 1)
