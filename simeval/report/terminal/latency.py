"""The terminal table of what latency cost."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.analysis.latency import LatencyLimit, LatencyRow
from simeval.report.format import NOTHING, decimal

METHOD = (
    "latency: control steps from a question to its answer; control Hz: actions of the policy per simulated second; "
    "held: steps without one; stale: steps of the last chunk while an answer was awaited; replans: answers per episode "
    "that took over before it was used up."
)
HEADS = ("latency,\nsteps", "asked,\nHz", "control,\nHz", "held\n%", "stale\n%", "replans")


def render_latency(rows: Sequence[LatencyRow], limits: Sequence[LatencyLimit], margin: float, table: Table) -> Group:
    """One table over all suites, then up to which latency success stays within the margin.

    Args:
        rows: how the policy was executed.
        limits: by suite and way of execution.
        margin: the drop that still counts as robust (fraction).
        table: an empty table with a column for the condition.
    """
    for header in HEADS:
        table.add_column(header, justify="right", no_wrap=True)
    for suite, part in groupby(rows, key=lambda row: row.suite):
        for row in part:
            name = row.condition if len({row.suite for row in rows}) == 1 else f"{suite}: {row.condition}"
            table.add_row(Text(name), *cells(row))
    parts: list[RenderableType] = [table, *(Text(line) for line in limit_lines(limits, margin)), Text(METHOD)]
    return Group(*parts)


def cells(row: LatencyRow) -> tuple[str, ...]:
    """The numbers of a row."""
    rates = (NOTHING if value is None else f"{value:.1f}" for value in (row.asked_hz, row.control_hz))
    return f"{row.mean_steps:.1f}", *rates, decimal(row.idle), decimal(row.stale), f"{row.replans:.1f}"


def limit_lines(limits: Sequence[LatencyLimit], margin: float) -> list[str]:
    """A line per suite and way: the largest latency within the margin, and what its interval leaves open."""
    return [
        f"{limit.suite}, {limit.way}: success stays within {100 * margin:.0f} points of none up to {_amount(limit)}; "
        f"shown up to {limit.low:g}, not excluded up to {limit.high:g}"
        f"{', the largest tested' if limit.high == limit.tested[-1] else ''} (95 %, unadjusted)."
        for limit in limits
    ]


def _amount(limit: LatencyLimit) -> str:
    ms = f" ({limit.largest * limit.step_ms:.0f} ms)" if limit.step_ms else ""
    return f"{limit.largest:g} control steps{ms}"
