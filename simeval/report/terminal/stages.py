"""The terminal tables of how far failures got."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from simeval.analysis.stage_counts import Parting, StageCounts
from simeval.report.export import record
from simeval.report.format import NOTHING
from simeval.report.terminal.tables import plain_table
from simeval.store.stages import STAGES_FILE

UNTOLD = "not told"
METHOD = (
    "how far failures got: from the stored states, by fixed rules (docs: why episodes failed). parted: the hand is "
    "more than 5 cm from where it is in the unperturbed twin at the same control step."
)
SHARE = 0.1
"""Share of failures without a stage from which on a line says that the shares are of the others. Our choice."""


def render_stages(counts: StageCounts, *, roomy: bool = False) -> Group:
    """One table of stages and one of partings, over all suites, with the remarks."""
    parts: list[RenderableType] = []
    if counts.counts:
        table = plain_table("how far failures got", "condition", roomy=roomy)
        table.add_column("failures", justify="right", no_wrap=True)
        table.add_column("stage", no_wrap=True)
        table.add_column("episodes", justify="right", no_wrap=True)
        table.add_column("most often at", overflow="fold")
        for name, rows in groupby(counts.counts, key=lambda row: name_of(counts, row.suite, row.condition)):
            for place, row in enumerate(rows):
                first = (Text(name), str(row.failures)) if not place else (Text(""), "")
                table.add_row(*first, row.stage or UNTOLD, str(row.count), Text(at_object(row.object, row.of_object)))
        parts += [table, Text()]
    if counts.partings:
        table = plain_table("parted from the unperturbed twin", "condition", roomy=roomy)
        for header in ("pairs", "parted", "median\nstep"):
            table.add_column(header, justify="right", no_wrap=True)
        for parting in counts.partings:
            name = name_of(counts, parting.suite, parting.condition)
            table.add_row(Text(name), str(parting.pairs), str(parting.parted), step_of(parting))
        parts += [table, Text()]
    return Group(*parts, *(Text(line) for line in remarks(counts)), Text(METHOD))


def name_of(counts: StageCounts, suite: str, condition: str) -> str:
    """A condition, with its suite if there are several."""
    suites = [row.suite for row in counts.counts] + [row.suite for row in counts.partings]
    several = len(set(suites)) > 1
    return f"{suite}: {condition}" if several else condition


def step_of(parting: Parting) -> str:
    """The median step of a row."""
    return NOTHING if parting.median_step is None else f"{parting.median_step:g}"


def at_object(name: str, count: int) -> str:
    """The object that a stage concerns most often, and how often."""
    return f"{name} ({count})" if name else NOTHING


def remarks(counts: StageCounts) -> Iterator[str]:
    """What the tables leave out, a line each."""
    if not counts.failures:
        yield "no episode failed."
    for reason, number in counts.untold:
        yield f"not told for {number} of {counts.failures} failures: {reason}."
    if counts.missing:
        yield f"{counts.missing} of {counts.failures} failures are newer than {STAGES_FILE}: simeval show RUN --stages."
    untold = sum(number for _, number in counts.untold) + counts.missing
    if counts.failures and SHARE <= untold / counts.failures < 1:
        yield "caution: the episodes without a stage may be unlike the others, for instance if only some were kept."


def stages_record(counts: StageCounts) -> dict[str, Any]:
    """The numbers of the tables, JSON-ready."""
    content: dict[str, Any] = record(counts)
    return {**content, "failures": counts.failures, "remarks": list(remarks(counts))}
