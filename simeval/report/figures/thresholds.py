"""Success along each axis of a search: the curve with its band, the episodes, and the threshold."""

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simeval.analysis.thresholds import AxisThreshold, Thresholds
from simeval.core.files import whole_file
from simeval.report.figures.style import (
    GRID,
    HARM,
    HELP,
    INK,
    MUTED,
    Canvas,
    Drawing,
    Plot,
    add_grid,
    format_as_percent,
    render,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "threshold"
CAPTION = (
    "Line and band: success along the axis and its 95 % credible band. Circles: the episodes at a strength, larger "
    "where there are more. Ticks: every episode, successes above and failures below. Vertical: the threshold and its "
    "95 % credible interval."
)


def drawing_of(found: Thresholds) -> Drawing:
    """The rendered figure."""
    return render(NAME, f"Success along the strength of {found.line}", plot(found))


def write_figure(found: Thresholds, folder: Path) -> tuple[Path, Path]:
    """Write the figure as SVG and PNG; returns their paths."""
    drawing = drawing_of(found)
    paths = folder / f"{NAME}.svg", folder / f"{NAME}.png"
    for path, content in zip(paths, (drawing.svg, drawing.png), strict=True):
        with whole_file(path) as partial_file:
            partial_file.write_bytes(content)
    return paths


def plot(found: Thresholds) -> Plot:
    """The figure, one panel per axis."""
    return partial(plot_thresholds, found)


def plot_thresholds(found: Thresholds, canvas: Canvas) -> "Figure":
    """One panel per axis, weak strengths to the left."""
    columns = min(len(found.axes), 1 if canvas.narrow else 2)
    lines = -(-len(found.axes) // columns)
    figure = canvas.figure(2.9 * lines)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for ax, axis in zip(axes.flat, found.axes, strict=False):
        _panel(ax, axis, found)
    for ax in list(axes.flat)[len(found.axes) :]:
        ax.set_visible(False)
    format_as_percent(axes[0, 0].yaxis)
    figure.supylabel("success, %", fontsize="medium")
    return figure


def _panel(ax: "Axes", axis: AxisThreshold, found: Thresholds) -> None:
    x = [point.value for point in axis.curve]
    ax.fill_between(
        x, [point.low for point in axis.curve], [point.high for point in axis.curve], color=GRID, linewidth=0
    )
    ax.plot(x, [point.rate for point in axis.curve], color=INK, linewidth=1.4)
    ax.axhline(found.level * axis.curve[0].rate, color=MUTED, linewidth=0.8, linestyle="--")
    tried = [(axis.identity, found.clean_successes, found.clean_episodes)]
    tried += [(row.value, row.successes, row.episodes) for row in axis.placed]
    for value, successes, episodes in tried:
        if episodes:
            size = 2.5 * math.sqrt(episodes) + 1
            style: dict[str, Any] = {"marker": "o", "markersize": size, "markeredgecolor": INK, "markeredgewidth": 0.5}
            ax.plot([value], [successes / episodes], color=HELP, alpha=0.7, linestyle="", **style)
    _ticks(ax, axis, tried)
    if axis.value is not None and axis.low is not None and axis.high is not None:
        ax.axvspan(axis.low, axis.high, color=HARM, alpha=0.18, linewidth=0)
        ax.axvline(axis.value, color=HARM, linewidth=1.2)
    if axis.is_ratio:
        ax.set_xscale("log")
    ax.set_xlim(axis.identity, axis.stop)
    ax.set_ylim(-0.1, 1.1)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_xlabel(axis.unit)
    ax.set_title(axis.text.replace(", perhaps", ",\nperhaps"))
    add_grid(ax, "y")


def _ticks(ax: "Axes", axis: AxisThreshold, tried: list[tuple[float, int, int]]) -> None:
    """A tick for every episode, side by side where they share a strength."""
    for value, successes, episodes in tried:
        for count, place in ((successes, 1.06), (episodes - successes, -0.06)):
            for number in range(count):
                share = 0.004 * (number - (count - 1) / 2)
                spot = value * (axis.stop / axis.identity) ** share if axis.is_ratio else value
                spot += 0 if axis.is_ratio else share * (axis.stop - axis.identity)
                ax.plot([spot], [place], marker="|", markersize=5, color=MUTED, linestyle="", clip_on=False)
