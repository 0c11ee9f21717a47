"""How far the failures of every condition got: a stacked bar per condition."""

from itertools import groupby
from typing import TYPE_CHECKING

from simeval.analysis.stage_counts import StageCount
from simeval.report.figures.style import GRID, OKABE_ITO, Canvas, add_grid
from simeval.store.stages import STAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNTOLD = "not told"
MAX_BARS = 40
"""Conditions above which the bars would be too many to read; the table has them all."""


def plot_stages(counts: tuple[StageCount, ...], canvas: Canvas) -> "Figure":
    """One bar per condition: its failures, by stage.

    Args:
        counts: of one suite.
        canvas: where to plot.
    """
    bars = [(condition, {row.stage: row.count for row in rows}) for condition, rows in _bars(counts)]
    used = [stage for stage in (*STAGES, "") if any(stage in parts for _, parts in bars)]
    figure = canvas.figure(0.32 * len(bars) + (1.5 if canvas.narrow else 1.1))
    ax = figure.subplots()
    places, left = range(len(bars)), [0] * len(bars)
    for stage in used:
        widths = [parts.get(stage, 0) for _, parts in bars]
        color = OKABE_ITO[STAGES.index(stage)] if stage else GRID
        ax.barh(places, widths, left=left, height=0.7, color=color, label=stage or UNTOLD, linewidth=0)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    ax.set_yticks(places, [condition if len(condition) <= 28 else f"{condition[:27]}…" for condition, _ in bars])
    ax.invert_yaxis()
    ax.set_xlabel("failures")
    ax.locator_params(axis="x", integer=True)
    add_grid(ax, "x")
    figure.legend(loc="outside upper left", ncols=2 if canvas.narrow else 4)
    return figure


def _bars(counts: tuple[StageCount, ...]) -> list[tuple[str, list[StageCount]]]:
    return [(condition, list(rows)) for condition, rows in groupby(counts, key=lambda row: row.condition)]
