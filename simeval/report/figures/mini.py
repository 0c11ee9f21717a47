"""The two figures of the small audit: drift by instruction, and drift against the strength of image perturbations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perturbations.term import number_text
from simeval.core.files import whole_file
from simeval.drift.mini import CONTROL, LANGUAGE, Metrics, MiniAudit, SeedSummary, SummaryStats
from simeval.report.figures.style import INK, MUTED, OKABE_ITO, PNG_DPI, RC, WIDE, add_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
"""Panels side by side."""
SHOWN = (("drift_exec", "drift_exec\n(per dimension)"), ("l2_raw", "l2_raw\n(action units)"))
"""Plotted measures and their axis labels."""
FILLS = ("", "///", "xx", "...", "\\\\\\", "++", "oo", "--")
"""Hatches that distinguish bars without colour."""
LINES = ("-", "--", "-.", ":")
POINTS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True, slots=True)
class _Panel:
    """One axis of perturbation and one measure."""

    axis: str
    members: tuple[SeedSummary, ...]
    measure: str
    label: str
    floor: SummaryStats | None


def write_figures(audit: MiniAudit, folder: Path) -> None:
    """Plot what was measured: `language_sensitivity.png` and `ood_sensitivity.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = {group: tuple(m for m in members if m.means) for group, members in audit.groups}
    language = groups.pop(LANGUAGE, ())
    panels = [
        _Panel(axis, members, measure, label, _stats_of(audit.floor.means, measure) if audit.floor else None)
        for measure, label in SHOWN
        for axis, members in groups.items()
        if members
    ]
    if any(member.variant.condition != CONTROL for member in language):
        words = [
            _Panel(LANGUAGE, language, measure, label, _stats_of(audit.floor.means, measure) if audit.floor else None)
            for measure, label in SHOWN
        ]
        _save(partial(_plot_language, audit, words), folder / "language_sensitivity.png")
    if panels:
        _save(partial(_plot_ood, audit, panels), folder / "ood_sensitivity.png")


def _save(plot: Callable[[], "Figure"], path: Path) -> None:
    """Save a figure in the style of a report; the same bytes for the same numbers."""
    import matplotlib as mpl
    import matplotlib.style

    # "default" first: the figures must not depend on the user's settings.
    with matplotlib.style.context(["default", RC]), mpl.rc_context({"font.size": WIDE.font}):
        figure = plot()
        with whole_file(path) as unfinished:
            figure.savefig(unfinished, dpi=PNG_DPI, metadata={"Software": None})


def _plot_language(audit: MiniAudit, panels: Sequence[_Panel]) -> "Figure":
    """A bar per instruction with the seeds as dots."""
    bars = len(panels[0].members)
    figure = WIDE.figure(1.1 + 0.38 * bars)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
        for place, member in enumerate(panel.members):
            spread = _stats_of(member.means, panel.measure)
            ax.barh(
                place, spread.mean, 0.66, xerr=spread.std or 0, capsize=3, ecolor=INK, edgecolor=INK, linewidth=0.7,
                color=OKABE_ITO[place % len(OKABE_ITO)], hatch=FILLS[place % len(FILLS)], alpha=0.85,
            )  # fmt: skip
            seeds = [_stats_of(metrics, panel.measure).mean for _, metrics in member.by_seed]
            ax.plot(seeds, [place] * len(seeds), "o", color="white", markeredgecolor=INK, markersize=4)
        names = [str(member.variant.value) + member.variant.aim for member in panel.members]
        ax.set_yticks(range(bars), names if panel is panels[0] else [""] * bars)
        ax.invert_yaxis()
        ax.set_xlabel(panel.label.replace("\n", " "))
        add_grid(ax, "x")
        if panel.floor:
            ax.axvline(panel.floor.mean, color=INK, linestyle=":", linewidth=1.4, label="another sampling noise")
    _caption(figure, audit, "instruction")
    return figure


def _plot_ood(audit: MiniAudit, panels: Sequence[_Panel]) -> "Figure":
    """A panel per axis, a row of panels per measure."""
    axes = len(panels) // len(SHOWN)
    columns = min(axes, COLUMNS)
    lines = -(-axes // columns)
    figure = WIDE.figure(0.9 + 1.75 * lines * len(SHOWN))
    grid = figure.subplots(lines * len(SHOWN), columns, squeeze=False)
    for row, (measure, _) in enumerate(SHOWN):
        measure_panels = [panel for panel in panels if panel.measure == measure]
        top = 1.08 * max(
            [
                _stats_of(m.means, measure).mean + (_stats_of(m.means, measure).std or 0)
                for p in measure_panels
                for m in p.members
            ]
            + [panel.floor.mean for panel in measure_panels if panel.floor]
        )
        places = grid[row * lines : (row + 1) * lines].flat
        for place, ax in enumerate(places):
            if place >= len(measure_panels):
                ax.set_visible(False)
                continue
            _plot_strengths(ax, measure_panels[place])
            # One scale for all axes of a measure: their strengths are not comparable, their drifts are.
            ax.set_ylim(0, top or 1)
            ax.set_ylabel(measure_panels[place].label if place % columns == 0 else "")
            ax.tick_params(labelleft=place % columns == 0)
    _caption(figure, audit, "perturbation of the images")
    return figure


def _plot_strengths(ax: "Axes", panel: _Panel) -> None:
    """Mean drift against strength, one line per aim; the identity value is plotted at 0."""
    values = {member.variant.value for member in panel.members} | {panel.members[0].variant.identity}
    numbers = sorted(value for value in values if not isinstance(value, str))
    words = sorted(
        (value for value in values if isinstance(value, str)), key=lambda v: v != panel.members[0].variant.identity
    )
    places = {value: place for place, value in enumerate([*numbers, *words])}
    default_label = "both cameras" if any(member.variant.aim.startswith("@") for member in panel.members) else "default"
    for line, aim in enumerate(dict.fromkeys(member.variant.aim for member in panel.members)):
        by_value = {m.variant.value: _stats_of(m.means, panel.measure) for m in panel.members if m.variant.aim == aim}
        by_value = {panel.members[0].variant.identity: SummaryStats(0.0, None, 0.0, 0.0)} | by_value
        ordered = sorted(by_value, key=lambda value: places[value])
        ax.errorbar(
            [places[value] for value in ordered],
            [by_value[value].mean for value in ordered],
            [by_value[value].std or 0 for value in ordered],
            linestyle=LINES[line % len(LINES)], marker=POINTS[line % len(POINTS)], capsize=3, markersize=5,
            color=OKABE_ITO[line % len(OKABE_ITO)], markeredgecolor=INK, linewidth=1.4, label=aim or default_label,
        )  # fmt: skip
    if panel.floor:
        ax.axhline(panel.floor.mean, color=INK, linestyle=":", linewidth=1.4)
    ax.set_xticks(range(len(places)), [*map(number_text, numbers), *words])
    ax.margins(x=0.07)
    ax.set_title(panel.axis)
    if any(member.variant.aim for member in panel.members):
        ax.legend()
    add_grid(ax, "y")


def _caption(figure: "Figure", audit: MiniAudit, what: str) -> None:
    seeds = f"{len(audit.seeds)} seeds" if len(audit.seeds) > 1 else "1 seed"
    spread = "; mean and std over seeds" if len(audit.seeds) > 1 else ""
    floor = "\ndotted: another sampling noise on the clean frame" if audit.floor else ""
    figure.suptitle(
        f"Action drift by {what}: {audit.frames} frames, {seeds}{spread}{floor}", fontsize="medium", color=MUTED
    )


def _stats_of(metrics: Metrics | None, measure: str) -> SummaryStats:
    assert metrics is not None  # members without were left out
    stats: SummaryStats = getattr(metrics, measure)
    return stats
