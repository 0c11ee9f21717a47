"""Heat map of drops by task and condition."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simeval.analysis.by_task import CellDrop
from simeval.report.figures.style import GRID, HARM, HELP, INK, MUTED, Canvas, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRONGEST = 0.8
"""Opacity of a cell with a drop of 100 points either way; more would hide its numbers."""
MAX_LABELLED = 12
"""With more tasks the cells are too small for numbers."""
MAX_TASKS = 130
"""LIBERO-90 and LIBERO-10 together have 100."""


def plot_heat(cells: Sequence[CellDrop], canvas: Canvas) -> "Figure":
    """Tasks across, conditions down; colour: drop; numbers: harmed / helped pairs."""
    tasks, names = sorted({cell.task for cell in cells}), list(dict.fromkeys(cell.condition for cell in cells))
    row = 0.36 if canvas.narrow else 0.24
    figure = canvas.figure(row * len(names) + 1.0)
    ax, key = figure.subplots(2, 1, height_ratios=[row * len(names) + 0.3, 0.2])
    numbered = len(tasks) <= MAX_LABELLED
    size = min(canvas.font - 1, (canvas.width - (0.2 if canvas.narrow else 1.9)) / len(tasks) * 72 / 3.4)
    for cell in cells:
        _cell(ax, tasks.index(cell.task), names.index(cell.condition), cell, size if numbered else None, canvas)
    ax.set_xlim(-0.5, len(tasks) - 0.5)
    ax.set_ylim(len(names) - 0.5, -0.5)
    every = max(1, len(tasks) // 20)
    ax.set_xticks(range(0, len(tasks), every), [str(task) for task in tasks[::every]])
    ax.xaxis.set_ticks_position("top")
    ax.set_xlabel("task")
    ax.xaxis.set_label_position("top")
    if canvas.narrow:
        ax.set_yticks([])
        for y, name in enumerate(names):
            ax.annotate(name, (-0.5, y - 0.22), (2, 0), textcoords="offset points", fontsize="small", va="center")
    else:
        ax.set_yticks(range(len(names)), names)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    _key(key)
    return figure


def _cell(ax: "Axes", x: int, y: int, cell: CellDrop, size: float | None, canvas: Canvas) -> None:
    from matplotlib.patches import Rectangle

    # On a narrow page the condition's name is in the upper part of a row.
    top, height = (y - 0.02, 0.46) if canvas.narrow else (y - 0.46, 0.92)
    drop = cell.drop or 0.0
    color = HARM if drop > 0 else HELP
    ax.add_patch(Rectangle((x - 0.47, top), 0.94, height, facecolor="none", edgecolor=GRID, linewidth=0.5))
    if drop:
        ax.add_patch(
            Rectangle((x - 0.47, top), 0.94, height, facecolor=color, alpha=STRONGEST * abs(drop), linewidth=0)
        )
    if size is not None:
        text = f"{cell.harmed}/{cell.helped}" if cell.drop is not None else "-"
        quiet = cell.drop is None or not (cell.harmed or cell.helped)
        middle = top + height / 2
        shown = ax.text(
            x, middle, text, ha="center", va="center_baseline", fontsize=size, color=MUTED if quiet else INK
        )
        shown.set_in_layout(False)  # it fits its cell, and measuring hundreds of texts takes seconds


def _key(ax: "Axes") -> None:
    from matplotlib.patches import Rectangle

    steps = (-1.0, -0.5, 0.0, 0.5, 1.0)
    for place, drop in enumerate(steps):
        color = HARM if drop > 0 else HELP
        ax.add_patch(Rectangle((place, 0), 0.96, 1, facecolor=color, alpha=STRONGEST * abs(drop), linewidth=0))
        ax.add_patch(Rectangle((place, 0), 0.96, 1, facecolor="none", edgecolor=GRID, linewidth=0.5))
    ax.set_xlim(-1.5, len(steps) + 1.5)
    ax.set_ylim(0, 1)
    ax.set_yticks([])
    ax.set_xticks([place + 0.48 for place in range(len(steps))], [percent(step) for step in steps])
    ax.set_xlabel("drop, points (blue: helped); in the cells: harmed / helped pairs", fontsize="small")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
