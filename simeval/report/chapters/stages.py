"""The chapter about how far failures got."""

from collections.abc import Iterator
from functools import partial

from simeval.analysis.stage_counts import StageCounts
from simeval.report.blocks import ArtifactCollector, Block, Chapter, Table, Text, columns
from simeval.report.figures.stages import MAX_BARS, plot_stages
from simeval.report.terminal.stages import METHOD, UNTOLD, at_object, remarks, step_of


def stages_chapter(counts: StageCounts, artifacts: ArtifactCollector) -> Chapter:
    """A stacked bar per condition, the numbers behind it, and when twins parted."""
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
    if counts.partings:
        parted = tuple((p.suite, p.condition, str(p.pairs), str(p.parted), step_of(p)) for p in counts.partings)
        head = columns("suite", "condition", "pairs", "parted", "median step", words=["condition"])
        csv = artifacts.add_table("partings", counts.partings)
        yield Table("Parted from the unperturbed twin", head, parted, csv)
    for line in remarks(counts):
        yield Text(f"{line[0].upper()}{line[1:]}", "note")
    yield Text(METHOD, "note")
