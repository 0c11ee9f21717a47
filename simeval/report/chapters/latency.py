"""The part of a suite's chapter about latency: success against it, and what the wait cost."""

from collections.abc import Iterator
from functools import partial

from simeval.core.types import CLEAN
from simeval.report.blocks import ArtifactCollector, Block, BulletList, Table, columns
from simeval.report.data import Section
from simeval.report.figures.latency import plot_latency
from simeval.report.terminal.latency import HEADS, METHOD, cells, limit_lines

CAPTION = (
    "Success with Wilson's 95 % interval against latency, by what the robot does meanwhile; dashed: without latency."
)


def latency_blocks(section: Section, suite: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    """Nothing for a suite without latency."""
    rows = tuple(row for row in section.analysis.latency if row.suite == suite)
    if not rows:
        return
    csv = artifacts.add_table("latency", rows)
    drawn = tuple(row for row in rows if row.steps is not None and row.rate is not None)
    if len({row.steps for row in drawn}) > 1:
        clean = next((row.rate for row in section.analysis.rates if (row.suite, row.condition) == (suite, CLEAN)), None)
        plot = partial(plot_latency, drawn, clean)
        yield artifacts.add_figure("latency", f"Success against latency on {suite}", plot, CAPTION, (csv,))
    heads = columns("condition", *(head.replace("\n", " ") for head in HEADS))
    yield Table("What latency cost", heads, tuple((row.condition, *cells(row)) for row in rows), csv, METHOD)
    limits = tuple(limit for limit in section.analysis.latency_limits if limit.suite == suite)
    if limits:
        artifacts.add_table("latency_limits", limits)
        yield BulletList(tuple(limit_lines(limits, section.analysis.margin)))
