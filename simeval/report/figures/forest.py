"""Forest plot: rows of values with intervals, for conditions, predictors and strata."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simeval.report.figures.style import INK, MUTED, PAPER, Canvas, MarkerStyle, add_grid, format_as_percent
from simeval.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, TALL_ROW = 0.23, 0.34
"""Height of a row (inches); on a narrow page its label is above it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A value (`None` is not plotted), its interval and its marker style."""

    value: float | None
    interval: Interval | None
    style: MarkerStyle
    filled: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A label and one mark per panel; `first` starts a group."""

    label: str
    marks: tuple[Mark, ...]
    first: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """An axis shared by all rows.

    Attributes:
        title: quantity with its unit.
        line: reference value; `None` for none.
        line_label: label of the reference value.
        low, high: limits that are always shown.
        points: label the ticks in per cent or points.
    """

    title: str
    line: float | None = None
    line_label: str = ""
    low: float | None = None
    high: float | None = None
    points: bool = True


def plot_forest(rows: Sequence[Row], panels: Sequence[Panel], canvas: Canvas) -> "Figure":
    """Panels side by side; below each other on a narrow page."""
    height = (TALL_ROW if canvas.narrow else ROW) * max(2, len(rows)) + 0.75
    figure = canvas.figure(height * (len(panels) if canvas.narrow else 1))
    shape = (len(panels), 1) if canvas.narrow else (1, len(panels))
    axes = figure.subplots(*shape, squeeze=False, sharey=not canvas.narrow).ravel()
    for index, (panel, ax) in enumerate(zip(panels, axes, strict=True)):
        _panel(ax, rows, index, panel, canvas)
    if not canvas.narrow:
        axes[0].set_yticks(range(len(rows)), [row.label for row in rows])
    return figure


def _panel(ax: "Axes", rows: Sequence[Row], index: int, panel: Panel, canvas: Canvas) -> None:
    for y, row in enumerate(rows):
        mark = row.marks[index]
        if mark.interval is not None and mark.value is not None:
            ax.plot([mark.interval.low, mark.interval.high], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
        if mark.value is not None:
            arguments = mark.style.filled() if mark.filled else mark.style.hollow()
            ax.plot([mark.value], [y], zorder=3, clip_on=False, **arguments)
        if row.first and y:
            ax.axhline(y - (0.64 if canvas.narrow else 0.5), color=MUTED, linewidth=0.4, alpha=0.6)
        if canvas.narrow:
            ax.annotate(
                row.label,
                (0, y),
                (0, 5),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )
    if panel.line is not None:
        ax.axvline(panel.line, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        if panel.line_label:
            ax.annotate(
                panel.line_label,
                (panel.line, 1),
                (0, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                fontsize="small",
                color=MUTED,
            )
    if panel.low is not None and panel.high is not None:
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, panel.low), max(high, panel.high))
    ax.set_ylim(len(rows) - 0.4, -0.85 if canvas.narrow else -0.6)
    ax.set_yticks([])
    ax.set_xlabel(panel.title)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    add_grid(ax, "x")
    if panel.points:
        format_as_percent(ax.xaxis)
