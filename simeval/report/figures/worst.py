"""Where a search for a bad condition found failures: the conditions that it tried along each axis, and its find."""

import math
from typing import TYPE_CHECKING

from simeval.analysis.worst import Rate, Tried, WorstFound
from simeval.report.figures.style import (
    HARM,
    HELP,
    INK,
    MUTED,
    Canvas,
    add_grid,
    format_as_percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "worst"
_TRIED = (
    "Circles: the conditions that the search tried, at their strength on the axis (100 % is the end of the range) and "
    "the success that their episodes and those of their neighbours suggest; larger with more episodes, hollow where "
    "other axes change too. Dotted: success at random conditions."
)
_CONFIRMED = (
    "Diamond: the worst found, with its success on fresh pairs and its 95 % interval; it is in the panel of each axis "
    "that it changes. Dashed: its clean twins."
)


def caption_of(found: WorstFound) -> str:
    """What the marks are; without those that are not there before the confirmation."""
    return f"{_TRIED} {_CONFIRMED}" if found.confirmation.rate.episodes else _TRIED


def plot_worst(found: WorstFound, canvas: Canvas) -> "Figure":
    """One panel per axis; conditions that change several axes are in the panel of each.

    Args:
        found: the result of the search.
        canvas: the page.
    """
    count = len(found.labels)
    columns = min(count, 1 if canvas.narrow else 2)
    lines = -(-count // columns)
    figure = canvas.figure(2.6 * lines)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for number, (ax, label) in enumerate(zip(axes.flat, found.labels, strict=False)):
        _panel(ax, found, number)
        ax.set_title(label)
    for ax in list(axes.flat)[count:]:
        ax.set_visible(False)
    format_as_percent(axes[0, 0].yaxis)
    figure.supylabel("success, %", fontsize="medium")
    return figure


def along(found: WorstFound, axis: int) -> tuple[Tried, ...]:
    """The tried conditions that change an axis."""
    return tuple(row for row in found.seen if row.shares[axis])


def _panel(ax: "Axes", found: WorstFound, axis: int) -> None:
    rows = along(found, axis)
    for row in rows:
        alone = sum(map(bool, row.shares)) == 1
        ax.plot(
            [row.shares[axis]],
            [row.suggested],
            marker="o",
            markersize=2.5 * math.sqrt(row.episodes) + 1,
            markerfacecolor=HELP if alone else "none",
            markeredgecolor=HELP,
            markeredgewidth=0.9,
            alpha=0.6,
            linestyle="",
        )
    for rate, style in ((found.confirmation.clean, "--"), (found.uniform, ":")):
        if rate.rate is not None:
            ax.axhline(rate.rate, color=MUTED, linewidth=0.9, linestyle=style)
    find = found.seen[0]
    if find.shares[axis]:
        _mark(ax, find.shares[axis], found.confirmation.rate)
    both = any(row.shares[axis] < 0 for row in rows)
    ax.set_xlim(-1.05 if both else 0, 1.05)
    ax.set_ylim(-0.06, 1.06)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_xlabel("strength, % of the range")
    format_as_percent(ax.xaxis)
    add_grid(ax, "y")


def _mark(ax: "Axes", x: float, rate: Rate) -> None:
    """The find; nothing before its confirmation has begun."""
    if rate.rate is None or rate.low is None or rate.high is None:
        return
    ax.plot([x, x], [rate.low, rate.high], color=HARM, linewidth=1.4, zorder=3)
    ax.plot(
        [x],
        [rate.rate],
        marker="D",
        markersize=6.5,
        color=HARM,
        markeredgecolor=INK,
        markeredgewidth=0.6,
        linestyle="",
        zorder=4,
    )
