"""The terminal tables of how far failures got."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from simeval.analysis.stage_counts import ConditionDivergence, StageCounts
from simeval.analysis.stages import DIVERGED
from simeval.report.export import record
from simeval.report.format import NOTHING
from simeval.report.terminal.tables import plain_table
from simeval.store.stages import STAGES_FILE

UNTOLD = "not told"
DRIFT_HEADS = ("audited", "frame\nat step", "drift\nthere", "drift, all\nframes")
METHOD = (
    f"how far failures got: from the stored states, by fixed rules (docs: why episodes failed). diverged: {DIVERGED}."
)
DRIFT_METHOD = (
    "drift there: median over the audited episodes of the drift (standard deviations) at the last audited frame up to "
    "the step at which they diverged; beside it the median over all audited frames of the same episodes."
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
    if counts.divergences:
        with_drift = has_drift(counts)
        table = plain_table("diverged from the unperturbed twin", "condition", roomy=roomy)
        for header in ("pairs", "diverged", "median\nstep", *(DRIFT_HEADS if with_drift else ())):
            table.add_column(header, justify="right", no_wrap=True)
        for one in counts.divergences:
            cells = str(one.pairs), str(one.diverged), number(one.median_step)
            name = name_of(counts, one.suite, one.condition)
            table.add_row(Text(name), *cells, *(drift_cells(one) if with_drift else ()))
        parts += [table, Text()]
    return Group(*parts, *(Text(line) for line in remarks(counts)), *(Text(line) for line in methods(counts)))


def has_drift(counts: StageCounts) -> bool:
    """Whether the drift at the divergence is known of any episode."""
    return any(row.audited for row in counts.divergences)


def drift_cells(row: ConditionDivergence) -> tuple[str, str, str, str]:
    """The cells under `DRIFT_HEADS`."""
    return str(row.audited), number(row.median_frame_step), number(row.median_drift, 3), number(row.median_drift_all, 3)


def methods(counts: StageCounts) -> Iterator[str]:
    """How the tables were made, a line each."""
    yield METHOD
    if has_drift(counts):
        yield DRIFT_METHOD


def name_of(counts: StageCounts, suite: str, condition: str) -> str:
    """A condition, with its suite if there are several."""
    suites = [row.suite for row in counts.counts] + [row.suite for row in counts.divergences]
    several = len(set(suites)) > 1
    return f"{suite}: {condition}" if several else condition


def number(value: float | None, digits: int = 6) -> str:
    """A median, with significant digits."""
    return NOTHING if value is None else f"{value:.{digits}g}"


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
        yield f"{counts.missing} of {counts.failures} failures are not in {STAGES_FILE}: simeval show RUN --stages."
    yield from _about_drift(counts)
    untold = sum(number for _, number in counts.untold) + counts.missing
    if counts.failures and SHARE <= untold / counts.failures < 1:
        yield "caution: the episodes without a stage may be unlike the others, for instance if only some were kept."


def _about_drift(counts: StageCounts) -> Iterator[str]:
    if counts.drift_note:
        yield f"drift at the divergence: {counts.drift_note}."
    elif any(row.diverged for row in counts.divergences) and not has_drift(counts):
        yield "drift at the divergence: nothing was audited up to that step (simeval audit RUN --frames replay)."


def stages_record(counts: StageCounts) -> dict[str, Any]:
    """The numbers of the tables, JSON-ready."""
    content: dict[str, Any] = record(counts)
    return {**content, "failures": counts.failures, "remarks": list(remarks(counts))}
