"""Places labels beside markers without overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin
from typing import TYPE_CHECKING, Any

from simeval.report.figures.style import MUTED, PAPER, freeze_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RADII = (6.0, 9.0, 13.0, 18.0, 24.0, 31.0, 39.0, 48.0)
"""Candidate distances from the marker (points)."""
DIRECTIONS = 16
NEAR = 8.0
"""Distance from which a leader line is plotted (points); also plotted below it if another marker is about as near."""
MARKER = 4.0
"""Half the width of a marker (points)."""


@dataclass(frozen=True, slots=True)
class Label:
    """Text of a point, in data coordinates."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the canvas (points)."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """Area of the intersection."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    def outside(self, frame: "Box") -> float:
        """Area beyond a frame."""
        return (self.right - self.left) * (self.top - self.bottom) - self.overlap(frame)


def place_labels(
    ax: "Axes",
    labels: Sequence[Label],
    size: float,
    bars: Sequence[Box] = (),
    unlabelled: Sequence[tuple[float, float]] = (),
) -> list[Box]:
    """Place every label where it covers least, preferring near places.

    Args:
        ax: the axes; this freezes the layout of its figure.
        labels: the labels; their points must not be covered.
        size: of the text (points).
        bars: error bars to avoid if possible, in data coordinates.
        unlabelled: other points that must not be covered, in data coordinates.

    Returns:
        Boxes of the labels (points on the canvas).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = ax.figure
    assert isinstance(figure, Figure)
    freeze_layout(figure)
    agg: Any = FigureCanvasAgg(figure)
    renderer = agg.get_renderer()
    scale = 72 / figure.dpi
    frame = ax.get_window_extent(renderer)
    inside = Box(frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    spots = [tuple(ax.transData.transform((label.x, label.y)) * scale) for label in labels]
    others = [tuple(ax.transData.transform(place) * scale) for place in unlabelled]
    markers = [Box(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for x, y in (*spots, *others)]
    error_bars = [_on_canvas(ax, bar, scale) for bar in bars]
    taken: list[Box] = []
    for (x, y), label in zip(spots, labels, strict=True):
        note = ax.annotate(
            label.text, (label.x, label.y), (0, 0), textcoords="offset points", fontsize=size, ha="center", va="center"
        )
        note.set_bbox({"facecolor": PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 0.3})
        extent = note.get_window_extent(renderer)
        width, height = extent.width * scale, extent.height * scale
        dx, dy, box = _best_place((x, y), (width, height), (markers, error_bars, taken), inside)
        note.set_position((dx, dy))
        taken.append(box)
        own_distance = _distance(box, (x, y))
        other_distances = [_distance(box, spot) for spot in (*spots, *others) if spot != (x, y)]
        if own_distance > NEAR or min(other_distances, default=own_distance * 2) < 1.4 * own_distance:
            _draw_leader(ax, label, (_clamped(dx, width / 2), _clamped(dy, height / 2)))
    return taken


def _best_place(
    spot: tuple[float, float],
    size: tuple[float, float],
    covered: tuple[Sequence[Box], Sequence[Box], Sequence[Box]],
    inside: Box,
) -> tuple[float, float, Box]:
    """The place with the lowest cost: first no overlap, then near, then few crossed error bars."""
    (x, y), (width, height), (markers, error_bars, taken) = spot, size, covered
    best: tuple[float, float, float, Box] | None = None
    for radius in RADII:
        for step in range(DIRECTIONS):
            angle = 2 * pi * step / DIRECTIONS
            dx, dy = cos(angle) * (radius + width / 2), sin(angle) * (radius + height / 2)
            if best is not None and radius >= best[0]:
                continue  # nothing farther away can be cheaper
            left, bottom = x + dx - width / 2, y + dy - height / 2
            box = Box(left - 1, bottom - 0.5, left + width + 1, bottom + height + 0.5)
            cost = radius + 1000 * box.outside(inside) + 0.4 * sum(box.overlap(other) for other in error_bars)
            cost += 100 * sum(box.overlap(other) for other in (*markers, *taken))
            if best is None or cost < best[0] - 1e-9:
                best = (cost, dx, dy, box)
    assert best is not None
    return best[1:]


def _distance(box: Box, spot: tuple[float, float]) -> float:
    """Distance from a point to a box (points)."""
    x, y = spot
    return hypot(max(box.left - x, 0.0, x - box.right), max(box.bottom - y, 0.0, y - box.top))


def _clamped(middle: float, half: float) -> float:
    """The coordinate of a box nearest to 0, the position of the marker."""
    return min(max(0.0, middle - half), middle + half)


def _on_canvas(ax: "Axes", bar: Box, scale: float) -> Box:
    (left, bottom), (right, top) = (
        ax.transData.transform(corner) * scale for corner in ((bar.left, bar.bottom), (bar.right, bar.top))
    )
    return Box(left - 0.7, bottom - 0.7, right + 0.7, top + 0.7)


def _draw_leader(ax: "Axes", label: Label, to: tuple[float, float]) -> None:
    ax.annotate(
        "",
        (label.x, label.y),
        to,
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
    )
