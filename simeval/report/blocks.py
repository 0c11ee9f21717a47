"""The blocks of a page before it becomes HTML, and the collector of its files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from simeval.report.figures.style import Drawing, Plot, render


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; text in backticks is set as code."""

    text: str
    style: Literal["plain", "lead", "note", "verdict"] = "plain"
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class BulletList:
    """A list of sentences."""

    items: tuple[str, ...]
    kind: str = "items"


@dataclass(frozen=True, slots=True)
class KeyValueTable:
    """Labels and values; with a title they open on demand."""

    rows: tuple[tuple[str, str], ...]
    title: str = ""
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers are right-aligned."""

    header: str
    numeric: bool = True

    @property
    def long(self) -> bool:
        """Whether it holds sentences."""
        return self.header in ("note", "reason", "instruction")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; `csv` is the file with its numbers; `folded` ones open on demand."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    csv: str = ""
    note: str = ""
    folded: bool = False
    kind: str = "table"

    def tidy(self) -> "Table":
        """The table without an empty column of notes."""
        kept = [i for i, column in enumerate(self.columns) if column.header != "note" or any(r[i] for r in self.rows)]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in kept), rows=rows)


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its caption; `csv` lists the files with its numbers."""

    drawing: Drawing
    caption: str
    csv: tuple[str, ...] = ()
    kind: str = "figure"


@dataclass(frozen=True, slots=True)
class Media:
    """A video or image, as a relative link or a data URL; `folded` ones open on demand."""

    source: str
    caption: str
    video: bool
    link: bool
    folded: bool = False
    kind: str = "media"


Block = Text | BulletList | KeyValueTable | Table | Figure | Media


@dataclass(frozen=True, slots=True)
class Chapter:
    """Blocks under a heading; `level` 2 starts a part of the page, 3 is a section of it."""

    title: str
    blocks: tuple[Block, ...]
    level: int = 3
    anchor: str = ""


@dataclass
class ArtifactCollector:
    """Collects the files that a page refers to.

    Attributes:
        prefix: of the file names, so that policies and suites do not collide.
        drawings: figures, in the order of the page.
        tables: name of a CSV file -> the values of its rows.
        media: name of a file beside the page -> its source.
    """

    prefix: str = ""
    drawings: list[Drawing] = field(default_factory=list)
    tables: dict[str, Sequence[Any]] = field(default_factory=dict)
    media: dict[str, Path] = field(default_factory=dict)

    def scoped(self, *words: str) -> "ArtifactCollector":
        """The same collector with a longer prefix."""
        prefix = "".join(f"{slug(word)}-" for word in words)
        return ArtifactCollector(self.prefix + prefix, self.drawings, self.tables, self.media)

    def add_table(self, name: str, values: Sequence[Any]) -> str:
        """Add the values of a table or figure; returns the name of the CSV file, empty without values."""
        if not values:
            return ""
        file = f"{self.prefix}{name}.csv"
        self.tables[file] = values
        return file

    def add_figure(self, name: str, alt: str, plot: Plot, caption: str, csv: Sequence[str] = ()) -> Figure:
        """Render a figure and add it."""
        drawing = render(f"{self.prefix}{name}", alt, plot)
        self.drawings.append(drawing)
        return Figure(drawing, caption, tuple(file for file in csv if file))


def slug(text: str) -> str:
    """Turn text into a part of a file name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_.-")[:60] or "unnamed"


def columns(*headers: str, words: Sequence[str] = ()) -> tuple[Column, ...]:
    """Columns of a table; the first one and those in `words` have text, the others numbers."""
    return tuple(Column(header, numeric=bool(i) and header not in words) for i, header in enumerate(headers))
