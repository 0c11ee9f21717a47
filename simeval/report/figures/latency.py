"""Success against latency, a line per way of execution."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simeval.analysis.latency import LatencyRow
from simeval.report.figures.style import INK, MUTED, Canvas, add_grid, family_styles, format_as_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

APART = 0.06
"""Distance of the lines' marks at one latency, in control steps: their intervals would cover each other."""


def plot_latency(rows: Sequence[LatencyRow], clean: float | None, canvas: Canvas) -> "Figure":
    """Success with its interval against latency; dashed: the rate of none.

    Args:
        rows: of one suite, with a number of control steps.
        clean: the success rate without latency.
        canvas: the page.
    """
    figure = canvas.figure(2.6)
    ax = figure.subplots()
    ways = tuple(dict.fromkeys(row.way for row in rows))
    styles = family_styles(ways)
    for place, way in enumerate(ways):
        line = sorted(
            (row.steps or 0.0, row.rate, row.interval) for row in rows if row.way == way and row.rate is not None
        )
        shift = APART * (place - (len(ways) - 1) / 2)
        at, rates = [steps + shift for steps, _, _ in line], [rate for _, rate, _ in line]
        for x, (_, _, interval) in zip(at, line, strict=True):
            ax.plot([x, x], [interval.low, interval.high], color=INK, linewidth=1)
        ax.plot(at, rates, color=styles[way].color, linewidth=1.3, zorder=2)
        ax.plot(at, rates, zorder=3, label=way, **styles[way].filled(5.5))
    if clean is not None:
        ax.axhline(clean, color=MUTED, linewidth=0.8, linestyle="--")
    ax.set_ylim(-0.02, 1.02)
    step = next((row.step_ms for row in rows if row.step_ms), None)
    ax.set_xlabel("latency, control steps" + (f" of {step:g} ms" if step else ""))
    ax.set_ylabel("success, %")
    format_as_percent(ax.yaxis)
    add_grid(ax, "y")
    ax.legend(frameon=False, fontsize="small")
    return figure
