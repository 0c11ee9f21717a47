"""Lines over layers, one per policy, and points in the plane, one panel per policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simeval.report.figures.style import INK, MUTED, Canvas, MarkerStyle, add_grid, family_styles, format_as_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True, slots=True)
class LayerPanel:
    """One quantity over layers.

    Attributes:
        title: its name.
        layers: in order.
        lines: policy -> value by layer; `None` is not plotted.
        references: (label, value) of horizontal lines.
        percent: label the ticks in per cent.
    """

    title: str
    layers: tuple[str, ...]
    lines: Mapping[str, Sequence[float | None]]
    references: tuple[tuple[str, float], ...] = ()
    percent: bool = True


@dataclass(frozen=True, slots=True)
class PlanePanel:
    """Points in the plane with their labels."""

    title: str
    points: tuple[tuple[float, float], ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScatterPanel:
    """Points (group, x, y) against one number."""

    title: str
    points: tuple[tuple[str, float, float], ...]


def plot_scatter(panels: Sequence[ScatterPanel], label: str, canvas: Canvas) -> "Figure":
    """A panel per predictor, on one scale of y."""
    shape = (len(panels), 1) if canvas.narrow else (1, len(panels))
    names = list(dict.fromkeys(name for panel in panels for name, _, _ in panel.points))
    styles = family_styles(names)
    figure = canvas.figure((2.6 * len(panels) if canvas.narrow else 3.0) + 0.16 * len(names))
    axes = figure.subplots(*shape, squeeze=False, sharey=True).ravel()
    for ax, panel in zip(axes, panels, strict=True):
        for name in names:
            chosen = [(x, y) for group, x, y in panel.points if group == name]
            if chosen:
                ax.plot(*zip(*chosen, strict=True), label=name, **styles[name].filled(5.0))
        ax.set_xlabel(panel.title)
        add_grid(ax, "both")
        format_as_percent(ax.yaxis)
    axes[0].set_ylabel(label)
    handles = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=1 if canvas.narrow else 4)
    return figure


def plot_layers(panels: Sequence[LayerPanel], policies: Sequence[str], canvas: Canvas) -> "Figure":
    """A panel per quantity; below each other on a narrow page."""
    columns = 1 if canvas.narrow else min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    styles = family_styles(policies)
    figure = canvas.figure(2.3 * lines + 0.3 + 0.18 * len(policies))
    axes = figure.subplots(lines, columns, squeeze=False)
    for ax, panel in zip(axes.flat, panels, strict=False):
        for number, policy in enumerate(policies):
            values = panel.lines.get(policy, ())
            style = styles[policy]
            for known in _parts(panel.layers, values):
                ax.plot(
                    *zip(*known, strict=True), LINES[number % len(LINES)], color=style.color, marker=style.marker,
                    markersize=4, linewidth=1.2, label=policy,
                )  # fmt: skip
        for label, value in panel.references:
            ax.axhline(value, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
            ax.annotate(label, (1, value), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                        ha="right", fontsize="small", color=MUTED)  # fmt: skip
        ax.set_xticks(range(len(panel.layers)), panel.layers, rotation=90, fontsize="small")
        ax.set_title(panel.title)
        add_grid(ax, "y")
        if panel.percent:
            format_as_percent(ax.yaxis)
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_visible(False)
    handles = {line.get_label(): line for ax in axes.flat for line in ax.get_lines() if line.get_label() in policies}
    figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=1 if canvas.narrow else 4)
    return figure


def _parts(layers: Sequence[str], values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The points of each part of the network: what enters the action expert does not come out of the layer before."""
    parts: dict[str, list[tuple[int, float]]] = {}
    for x, (layer, value) in enumerate(zip(layers, values, strict=False)):
        if value is not None:
            parts.setdefault("expert" if layer.startswith("expert") else "", []).append((x, value))
    return list(parts.values())


def plot_planes(panels: Sequence[PlanePanel], canvas: Canvas) -> "Figure":
    """A panel per policy; the same label has the same colour and marker in all of them."""
    columns = min(1 if canvas.narrow else COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    names = sorted({label for panel in panels for label in panel.labels})
    styles: Mapping[str, MarkerStyle] = family_styles(names)
    figure = canvas.figure(2.6 * lines + 0.16 * len(names))
    axes = figure.subplots(lines, columns, squeeze=False)
    for ax, panel in zip(axes.flat, panels, strict=False):
        for name in names:
            chosen = [point for point, label in zip(panel.points, panel.labels, strict=True) if label == name]
            if chosen:
                style = styles[name]
                ax.plot(*zip(*chosen, strict=True), linestyle="", marker=style.marker, markersize=4,
                        markerfacecolor=style.color, markeredgecolor=INK, markeredgewidth=0.3, label=name)  # fmt: skip
        ax.set_title(panel.title)
        ax.set_xticks([])
        ax.set_yticks([])
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_visible(False)
    handles = {line.get_label(): line for ax in axes.flat for line in ax.get_lines() if line.get_label() in names}
    shown = [label if len(label) <= 44 else f"{label[:43]}…" for label in handles]
    figure.legend(handles.values(), shown, loc="outside lower left", ncols=1 if canvas.narrow else 2, fontsize="small")
    return figure
