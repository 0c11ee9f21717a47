"""The chapter of a search for thresholds."""

from collections.abc import Iterator

from simeval.analysis.thresholds import AxisThreshold, Thresholds
from simeval.report.blocks import ArtifactCollector, Block, Chapter, Table, Text, columns
from simeval.report.figures.thresholds import CAPTION, NAME, plot
from simeval.report.terminal.thresholds import METHOD, headline_of, note_of


def thresholds_chapter(found: Thresholds, policy: str, artifacts: ArtifactCollector) -> Chapter:
    """The thresholds, the curves, and the strengths that were tried."""
    return Chapter("Thresholds", tuple(_blocks(found, policy, artifacts)))


def _blocks(found: Thresholds, policy: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    yield Text(f"{headline_of(found, policy)}.")
    for axis in found.axes:
        yield Text(f"{axis.text}{note_of(axis)}", "verdict")
    csv = artifacts.add_table(NAME, [_row(axis) for axis in found.axes])
    alt = f"Success along the strength of {found.line}"
    yield artifacts.add_figure(NAME, alt, plot(found), CAPTION, (csv,))
    for axis in found.axes:
        placed = artifacts.scoped(axis.label).add_table("placed", axis.placed)
        rows = tuple((f"{row.value:g}", str(row.successes), str(row.episodes)) for row in axis.placed)
        yield Table(f"Episodes placed on {axis.label}", columns("strength", "succeeded", "of"), rows, placed)
    yield Text(METHOD, "note")


def _row(axis: AxisThreshold) -> dict[str, object]:
    names = ("label", "unit", "value", "low", "high", "beyond", "not_before", "episodes", "errors", "text")
    return {name: getattr(axis, name) for name in names}
