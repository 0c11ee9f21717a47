"""Predictions from drift: conditions left out of the fit, calibration, screening."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simeval.report.figures.labels import Label, place_labels
from simeval.report.figures.style import INK, MUTED, Canvas, MarkerStyle, add_grid, format_as_percent, strength_of
from simeval.stats.loco import Loco
from simeval.stats.screening import ScreeningRow
from simeval.stats.study import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_prediction(loco: Loco, used: Sequence[Point], styles: Mapping[str, MarkerStyle], canvas: Canvas) -> "Figure":
    """Left: every condition, predicted from the others; right: calibration of task x condition cells."""
    figure = canvas.figure(6.6 if canvas.narrow else 3.7)
    left, right = figure.subplots(*((2, 1) if canvas.narrow else (1, 2)))
    for ax, title in ((left, "conditions left out"), (right, "calibration of cells")):
        ax.set_title(title)
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        ax.set_xlabel("predicted success, %")
        ax.set_ylabel("observed success, %")
        for axis in (ax.xaxis, ax.yaxis):
            format_as_percent(axis)
        add_grid(ax, "both")
    for group in loco.calibration:
        right.plot([group.predicted] * 2, [group.interval.low, group.interval.high], color=INK, linewidth=1)
        right.plot([group.predicted], [group.observed], zorder=3, **MarkerStyle(INK, "o").filled())
    for row in loco.held_out:
        left.plot([row.predicted], [row.observed], zorder=3, **styles[used[row.condition].axis_family].filled())
    seen = [rate for row in loco.held_out for rate in (row.predicted, row.observed)]
    seen += [rate for row in loco.calibration for rate in (row.predicted, row.interval.low, row.interval.high)]
    for ax in (left, right):
        ax.set_xlim(max(-0.03, min(seen) - 0.06), min(1.03, max(seen) + 0.06))
        ax.set_ylim(ax.get_xlim())
        ax.set_aspect("equal", adjustable="box")
    labels = [
        Label(
            row.predicted, row.observed, strength_of(used[row.condition].condition, used[row.condition].axis_family, 14)
        )
        for row in loco.held_out
        if loco.band is not None and abs(row.residual) >= 0.5 * loco.band.half_width
    ]
    place_labels(left, labels, canvas.font - 1.5, unlabelled=[(row.predicted, row.observed) for row in loco.held_out])
    return figure


def plot_screening(screening: Sequence[ScreeningRow], canvas: Canvas) -> "Figure":
    """Share of the harmful conditions caught, and the worst drop missed, by conditions rolled out."""
    figure = canvas.figure(4.6 if canvas.narrow else 2.7)
    caught, missed = figure.subplots(*((2, 1) if canvas.narrow else (1, 2)))
    rolled = [row.rolled_out for row in screening]
    caught.step([0, *rolled], [0.0, *(row.caught or 0.0 for row in screening)], where="post", color=INK)
    _at_random(caught, len(rolled))
    caught.set_ylim(-0.03, 1.05)
    caught.set_ylabel("harmful conditions caught, %")
    lost = [(row.rolled_out, row.worst_missed) for row in screening if row.worst_missed is not None]
    missed.step([place for place, _ in lost], [drop for _, drop in lost], where="post", color=INK)
    missed.set_ylabel("largest drop missed, points")
    missed.set_ylim(bottom=min(0.0, *(drop for _, drop in lost), 0.0))
    for ax in (caught, missed):
        ax.set_xlim(0, len(rolled))
        ax.set_xlabel("conditions rolled out, most drift first")
        ax.xaxis.get_major_locator().set_params(integer=True)
        format_as_percent(ax.yaxis)
        add_grid(ax, "both")
    return figure


def _at_random(ax: "Axes", k: int) -> None:
    """Expected result of rolling out at random."""
    ax.plot([0, k], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate("at random", (0.72 * k, 0.72), (4, -8), textcoords="offset points", color=MUTED, fontsize="small")
