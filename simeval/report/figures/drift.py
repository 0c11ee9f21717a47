"""Drift against drop: over all tasks, and within each task."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from simeval.analysis.by_task import TaskPoint
from simeval.report.figures.labels import Box, Label, place_labels
from simeval.report.figures.style import (
    INK,
    MUTED,
    Canvas,
    MarkerStyle,
    add_grid,
    format_as_percent,
    percent,
    strength_of,
)
from simeval.stats.correlation import Correlation
from simeval.stats.study import Point
from simeval.stats.within_task import TaskOrder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE_RANGE = 40.0
"""Largest over smallest drift from which the axis is logarithmic."""
STEPS = 120


def plot_scatter(
    correlation: Correlation,
    hollow: Sequence[Point],
    styles: Mapping[str, MarkerStyle],
    box: Sequence[str],
    canvas: Canvas,
) -> "Figure":
    """Every condition with both intervals, the curves, and the numbers above.

    Args:
        correlation: the plotted correlation.
        hollow: excluded points, plotted with hollow markers.
        styles: marker styles by axis family.
        box: lines of text above the axes.
        canvas: the page.
    """
    used = [point for point in correlation.points if not point.excluded]
    shown = [*used, *hollow]
    families = list(dict.fromkeys(point.axis_family for point in shown))
    lines = -(-len(families) // 2) if canvas.narrow else 0
    title_lines = [part for line in box for part in wrap(line, 50 if canvas.narrow else 100)]
    figure = canvas.figure((4.1 if canvas.narrow else 4.9) + 0.17 * len(title_lines) + 0.16 * lines)
    ax = figure.subplots()
    ax.set_title("\n".join(title_lines), fontsize=canvas.font - 0.8, linespacing=1.35)
    ax.axhline(0, color=MUTED, linewidth=0.8)
    _curves(ax, correlation, used)
    bars = [bar for point in shown for bar in _point(ax, point, styles[point.axis_family], counted=point in used)]
    _scale(ax, [point.drift.mean or 0.0 for point in shown])
    ax.set_xlabel(f"mean drift ({correlation.predictor})")
    ax.set_ylabel("drop in success, points")
    format_as_percent(ax.yaxis)
    add_grid(ax, "both")
    _legend(figure, ax, families, styles, canvas)
    place_labels(ax, [_label(point) for point in shown], canvas.font - 1.5, bars)
    return figure


def _label(point: Point) -> Label:
    return Label(point.drift.mean or 0.0, point.drop or 0.0, strength_of(point.condition, point.axis_family, 18))


def _point(ax: "Axes", point: Point, style: MarkerStyle, *, counted: bool) -> list[Box]:
    """Plot marker and error bars; returns the bars, which labels should avoid."""
    x, y = point.drift.mean or 0.0, point.drop or 0.0
    bars = [Box(x, point.drop_interval.low, x, point.drop_interval.high)]
    if point.drift.interval is not None:
        bars.append(Box(point.drift.interval.low, y, point.drift.interval.high, y))
    for bar in bars:
        ax.plot([bar.left, bar.right], [bar.bottom, bar.top], color=style.color, linewidth=0.9, alpha=0.55, zorder=2)
    ax.plot([x], [y], zorder=3, **(style.filled(6.5) if counted else style.hollow(6.5)))
    return bars


def _curves(ax: "Axes", correlation: Correlation, used: Sequence[Point]) -> None:
    """Success as a function of drift, plotted as the drop from the clean rate."""
    clean = next((p.clean_rate for p in sorted(used, key=lambda p: -p.pairs) if p.clean_rate is not None), None)
    fit = correlation.monotone
    if clean is None or not fit.drift:
        return
    first, last = fit.drift[0], fit.drift[-1]
    places = [first + (last - first) * step / STEPS for step in range(STEPS + 1)]
    drops = [clean - rate for rate in fit.rate]
    ax.plot(fit.drift, drops, color=MUTED, linewidth=1.4, linestyle=(0, (5, 2)), label="monotone curve", zorder=1.5)
    if correlation.curve is None:
        return
    smooth = [clean - correlation.curve.mean(place) for place in places]
    ax.plot(places, smooth, color=INK, linewidth=1.4, label="logistic fit", zorder=1.5)
    band = correlation.loco[0].band
    if band is not None:
        low, high = ([value + sign * band.half_width for value in smooth] for sign in (-1, 1))
        band_label = "largest error seen" if band.level is None else f"{percent(band.level)} % band, new condition"
        ax.fill_between(places, low, high, color=MUTED, alpha=0.12, linewidth=0, label=band_label, zorder=1)


def _scale(ax: "Axes", drifts: Sequence[float]) -> None:
    positive = [drift for drift in drifts if drift > 0]
    ax.margins(x=0.06)
    if not positive or max(positive) < WIDE_RANGE * min(positive):
        if positive:
            ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
        return
    from matplotlib.ticker import FuncFormatter, NullLocator

    ax.set_xscale("symlog", linthresh=min(positive))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _legend(
    figure: "Figure", ax: "Axes", families: Sequence[str], styles: Mapping[str, MarkerStyle], canvas: Canvas
) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], label=strength_of(family, "", 22 if canvas.narrow else 30), **styles[family].filled())
        for family in families
    ]
    curves = [handle for handle in ax.get_legend_handles_labels()[0] if handle.get_label()]
    if canvas.narrow:
        figure.legend(
            handles=[*handles, *curves], loc="outside lower left", ncols=2, columnspacing=1, handletextpad=0.4
        )
    else:
        figure.legend(handles=[*handles, *curves], loc="outside right upper", handletextpad=0.5)


def plot_tasks(
    points: Sequence[TaskPoint],
    orders: Sequence[TaskOrder],
    families: Mapping[str, str],
    styles: Mapping[str, MarkerStyle],
    canvas: Canvas,
) -> "Figure":
    """One panel per task: drift against drop, with the task's rank correlation.

    Args:
        points: of all tasks.
        orders: rank correlation of each task.
        families: axis family of each condition.
        styles: marker styles by axis family.
        canvas: the page.
    """
    rho = {order.task: order.rho for order in orders}
    tasks = sorted({point.task for point in points})
    columns = 2 if canvas.narrow else max(3, min(len(tasks), 5))
    lines = -(-len(tasks) // columns)
    figure = canvas.figure(1.65 * lines + 0.3)
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for ax, task in zip(axes.flat, tasks, strict=False):
        value = rho.get(task)
        text = "no order" if value is None else f"ρ = {value:.2f}".replace("-", "\N{MINUS SIGN}")
        ax.set_title(f"task {task}: {text}", fontsize="small")
        ax.axhline(0, color=MUTED, linewidth=0.8)
        for family in dict.fromkeys(families.values()):
            members = [p for p in points if p.task == task and families[p.condition] == family]
            places = [(p.drift, p.drop) for p in members if p.drift is not None and p.drop is not None]
            ax.plot([x for x, _ in places], [y for _, y in places], zorder=3, **styles[family].filled(4.5))
        add_grid(ax, "both")
    for ax in list(axes.flat)[len(tasks) :]:
        ax.set_visible(False)
    format_as_percent(axes[0, 0].yaxis)
    figure.supxlabel("mean drift in the task", fontsize="medium")
    figure.supylabel("drop, points", fontsize="medium")
    return figure
