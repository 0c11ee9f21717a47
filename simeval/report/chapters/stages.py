"""The chapter about how far failures got."""

from collections.abc import Iterator
from functools import partial

from simeval.analysis.stage_counts import StageCounts
from simeval.report.blocks import ArtifactCollector, Block, Chapter, Table, Text, columns
from simeval.report.figures.stages import MAX_BARS, plot_stages
from simeval.report.terminal.stages import (
    DRIFT_HEADS,
    UNTOLD,
    at_object,
    drift_cells,
    has_drift,
    methods,
    number,
    remarks,
)


def stages_chapter(counts: StageCounts, artifacts: ArtifactCollector) -> Chapter:
    """A stacked bar per condition, the numbers behind it, and when twins diverged."""
    return Chapter("How far failures got", tuple(_blocks(counts, artifacts)))


def _blocks(counts: StageCounts, artifacts: ArtifactCollector) -> Iterator[Block]:
    csv = artifacts.add_table("stages", counts.counts)
    for suite in dict.fromkeys(row.suite for row in counts.counts):
        rows = tuple(row for row in counts.counts if row.suite == suite)
        if len({row.condition for row in rows}) <= MAX_BARS:
            caption = f"Failures on {suite} by how far they got."
            alt = f"Failures on {suite} by condition and stage"
            yield artifacts.scoped(suite).add_figure("stages", alt, partial(plot_stages, rows), caption, (csv,))
    if counts.counts:
        heads = ("suite", "condition", "failures", "stage", "episodes", "most often at")
        cells = tuple(
            (row.suite, row.condition, str(row.failures), row.stage or UNTOLD, str(row.count),
             at_object(row.object, row.of_object))
            for row in counts.counts
        )  # fmt: skip
        table = columns(*heads, words=["condition", "stage", "most often at"])
        yield Table("Failures by stage", table, cells, csv, folded=True)
    if counts.divergences:
        with_drift = has_drift(counts)
        diverged = tuple(
            (row.suite, row.condition, str(row.pairs), str(row.diverged), number(row.median_step),
             *(drift_cells(row) if with_drift else ()))
            for row in counts.divergences
        )  # fmt: skip
        more = [head.replace("\n", " ") for head in DRIFT_HEADS] if with_drift else []
        head = columns("suite", "condition", "pairs", "diverged", "median step", *more, words=["condition"])
        csv = artifacts.add_table("divergences", counts.divergences)
        yield Table("Diverged from the unperturbed twin", head, diverged, csv)
    for line in remarks(counts):
        yield Text(f"{line[0].upper()}{line[1:]}", "note")
    for line in methods(counts):
        yield Text(line, "note")
