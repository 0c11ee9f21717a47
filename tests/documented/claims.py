"""Pieces of a page that are written from rows: a claim, a table, a screen.

A claim is a piece of text with `{names}` for the numbers; white space in it stands for any. It must occur once in its
file. A table is found by its header line, a screen by the line above it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"


@dataclass(frozen=True)
class Claim:
    """A piece of text with numbers in it; `values` are filled in where `text` has `{names}`."""

    file: str
    text: str
    values: Mapping[str, str]

    def written(self, content: str) -> str:
        """The content of the file with these numbers.

        Raises:
            ValueError: the text does not occur exactly once.
        """
        parts = re.split(r"\{(\w+)\}", self.text)
        pattern = "".join(
            _NUMBER if i % 2 else r"\s+".join(map(re.escape, re.split(r"\s+", part))) for i, part in enumerate(parts)
        )
        found = list(re.finditer(pattern, content))
        if len(found) != 1:
            raise ValueError(f"{self.file}: {len(found)} times instead of once: {self.text}")
        (match,) = found
        return content[: match.start()] + self._filled(match[0], parts) + content[match.end() :]

    def _filled(self, old: str, parts: Sequence[str]) -> str:
        """The old text with new numbers: its line breaks stay."""
        pattern = "".join(
            f"({_NUMBER})" if i % 2 else "(" + r"\s+".join(map(re.escape, re.split(r"\s+", part))) + ")"
            for i, part in enumerate(parts)
        )
        match = re.fullmatch(pattern, old)
        assert match is not None
        return "".join(self.values[parts[i]] if i % 2 else match[i + 1] for i in range(len(parts)))


@dataclass(frozen=True)
class Table:
    """A Markdown table below a header line: what its rows say, by their first cells."""

    file: str
    header: str
    rows: Callable[[], Mapping[str, Sequence[str]]]

    def written(self, content: str) -> str:
        """The content of the file with these rows.

        Raises:
            ValueError: there is not exactly one such table.
        """
        head, *rest = content.split(self.header + "\n")
        if len(rest) != 1:
            raise ValueError(f"{self.file}: {len(rest)} tables with the header {self.header}")
        lines = rest[0].split("\n")
        end = next(i for i, line in enumerate(lines) if not line.startswith("|"))
        rows = [f"| {' | '.join([first, *cells])} |" for first, cells in self.rows().items()]
        return "\n".join([head + self.header, lines[0], *rows, *lines[end:]])


@dataclass(frozen=True)
class Screen:
    """A block of terminal output below a line of text, from its first line that starts with `first`."""

    file: str
    below: str
    screen: Callable[[], str]

    def written(self, content: str) -> str:
        """The content of the file with this block.

        Raises:
            ValueError: there is not exactly one such block.
        """
        pattern = re.escape(self.below) + r"\s+```\n(.*?)```"
        found = list(re.finditer(pattern, content, re.DOTALL))
        if len(found) != 1:
            raise ValueError(f"{self.file}: {len(found)} blocks below: {self.below}")
        return content[: found[0].start(1)] + self.screen() + content[found[0].end(1) :]


type Statement = Claim | Table | Screen
