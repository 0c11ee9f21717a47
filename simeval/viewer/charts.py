"""Lines over the steps of an episode, as SVG that takes its colours from the page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

WIDTH, HEIGHT = 600, 44
_MOST = 1200
"""Points of a line; a longer one is thinned out."""


@dataclass(frozen=True, eq=False)
class Line:
    """Values over steps, from step 0 on; NaN leaves a gap. `style` is a class of the style sheet."""

    values: NDArray[np.float64]
    style: str


@dataclass(frozen=True)
class Mark:
    """A step to be marked by a vertical line, with its class."""

    step: float
    style: str


def chart(lines: Sequence[Line], steps: int, marks: Sequence[Mark] = (), low: float = 0.0, high: float = 1.0) -> Markup:
    """A small chart as wide as its place; one unit across is `1 / WIDTH` of `steps`.

    Args:
        lines: drawn in this order.
        steps: step at the right edge.
        marks: vertical lines.
        low: value at the lower edge, lowered where values are smaller.
        high: value at the upper edge, raised where values are larger.
    """
    shown = [line.values[np.isfinite(line.values)] for line in lines]
    low = min([low, *(float(values.min()) for values in shown if len(values))])
    high = max([high, *(float(values.max()) for values in shown if len(values))])
    scale = WIDTH / max(1, steps)
    parts = [_mark(mark, scale) for mark in marks]
    if low < 0 < high:
        parts.append(f'<line class="zero" x1="0" x2="{WIDTH}" y1="{_y(0, low, high)}" y2="{_y(0, low, high)}"/>')
    parts += [f'<path class="{escape(line.style)}" d="{_path(line.values, scale, low, high)}"/>' for line in lines]
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
    return Markup(f"{head}{''.join(parts)}</svg>")


def interval_bar(rate: float | None, low: float, high: float) -> Markup:
    """A rate on a line from 0 to 1, with its interval."""
    point = "" if rate is None else f'<circle cx="{100 * rate:.1f}" cy="6" r="3"/>'
    line = f'<line x1="{100 * low:.1f}" x2="{100 * high:.1f}" y1="6" y2="6"/>'
    axis = '<path class="axis" d="M0 2V10M50 4V8M100 2V10M0 6H100"/>'
    return Markup(f'<svg class="bar" viewBox="-4 0 108 12" aria-hidden="true">{axis}{line}{point}</svg>')


def _y(value: float, low: float, high: float) -> str:
    return f"{HEIGHT - 2 - (HEIGHT - 4) * (value - low) / (high - low):.1f}"


def _mark(mark: Mark, scale: float) -> str:
    x = f"{mark.step * scale:.1f}"
    return f'<line class="{escape(mark.style)}" x1="{x}" x2="{x}" y1="0" y2="{HEIGHT}"/>'


def _path(values: NDArray[np.float64], scale: float, low: float, high: float) -> str:
    every = -(-len(values) // _MOST) or 1
    parts, gap = [], True
    for step in range(0, len(values), every):
        value = float(values[step])
        if not np.isfinite(value):
            gap = True
            continue
        parts.append(f"{'M' if gap else 'L'}{step * scale:.1f} {_y(value, low, high)}")
        gap = False
    return "".join(parts)
