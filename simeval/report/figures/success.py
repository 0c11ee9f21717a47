"""Success and drop of every condition; drop against severity."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simeval.analysis.success import ConditionDrop, ConditionRate
from simeval.core.types import CLEAN
from simeval.report.figures.forest import Mark, Panel, Row, plot_forest
from simeval.report.figures.style import (
    INK,
    MUTED,
    Canvas,
    MarkerStyle,
    add_grid,
    format_as_percent,
    strength_of,
)
from simeval.stats.study import ConditionInfo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN = MarkerStyle(MUTED, "o")


def family_of(condition: str, conditions: Mapping[str, ConditionInfo]) -> str:
    """The axis family of a condition; an unknown condition is a family of its own."""
    known = conditions.get(condition)
    return known.axis_family if known else condition


def plot_success(
    rates: Sequence[ConditionRate],
    drops: Sequence[ConditionDrop],
    conditions: Mapping[str, ConditionInfo],
    styles: Mapping[str, MarkerStyle],
    canvas: Canvas,
) -> "Figure":
    """Success per condition with Wilson's intervals, a line at the clean rate; beside it the paired drops."""
    by_condition = {row.condition: row for row in drops}
    clean = next((row for row in rates if row.condition == CLEAN), None)
    rows, before = [], ""
    order = {name: place for place, name in enumerate(dict.fromkeys(family_of(r.condition, conditions) for r in rates))}
    for rate in sorted(rates, key=lambda rate: order[family_of(rate.condition, conditions)]):
        family = family_of(rate.condition, conditions)
        style, drop = styles.get(family, PLAIN), by_condition.get(rate.condition)
        marks = [Mark(rate.rate, rate.interval, style)]
        if drops:
            shown = drop is not None and drop.verdict == "drop"
            marks.append(Mark(drop.drop, drop.interval, style, filled=shown) if drop else Mark(None, None, style))
        rows.append(Row(rate.condition, tuple(marks), first=family != before))
        before = family
    panels = [Panel("success, %", clean.rate if clean else None, "clean" if clean and clean.rate else "", 0, 1)]
    if drops:
        panels.append(Panel("drop vs none, points", 0.0, "", -0.05, 0.05))
    return plot_forest(rows, panels, canvas)


def by_family(
    drops: Sequence[ConditionDrop], conditions: Mapping[str, ConditionInfo]
) -> Mapping[str, tuple[ConditionDrop, ...]]:
    """Drops of the axis families with at least two strengths, from mild to strong."""
    by_name: dict[str, list[tuple[float, ConditionDrop]]] = {}
    for row in drops:
        known = conditions.get(row.condition)
        if known is not None and known.severity is not None and row.drop is not None:
            by_name.setdefault(known.axis_family, []).append((known.severity, row))
    ordered = {name: sorted(rows, key=lambda pair: pair[0]) for name, rows in by_name.items()}
    return {name: tuple(row for _, row in rows) for name, rows in ordered.items() if len({s for s, _ in rows}) > 1}


def plot_severity(
    families: Mapping[str, Sequence[ConditionDrop]], styles: Mapping[str, MarkerStyle], canvas: Canvas
) -> "Figure":
    """One panel per axis family: drop with its paired interval against strength, from mild to strong."""
    columns = 2 if canvas.narrow else 4
    lines = -(-len(families) // columns)
    figure = canvas.figure(1.75 * lines + 0.2)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for ax, (family, rows) in zip(axes.flat, families.items(), strict=False):
        places = range(len(rows))
        drops = [row.drop or 0.0 for row in rows]
        style = styles[family]
        for place, row in zip(places, rows, strict=True):
            if row.interval is not None:
                ax.plot([place, place], [row.interval.low, row.interval.high], color=INK, linewidth=1)
        ax.plot(places, drops, color=style.color, linewidth=1.3, zorder=2)
        ax.plot(places, drops, zorder=3, **style.filled(5.5))
        ax.axhline(0, color=MUTED, linewidth=0.8)
        names = [strength_of(row.condition, family, 18).replace("@", "\n@") for row in rows]
        crowded = sum(max(map(len, name.split("\n"))) for name in names) > 24
        ax.set_xticks(places, names, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        ax.set_xlim(-0.4, len(rows) - 0.6)
        ax.set_title(strength_of(family, "", 26))
        add_grid(ax, "y")
    for ax in list(axes.flat)[len(families) :]:
        ax.set_visible(False)
    format_as_percent(axes[0, 0].yaxis)
    figure.supylabel("drop, points", fontsize="medium")
    return figure
