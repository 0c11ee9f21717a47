"""The chapter of a search for a bad condition."""

from collections.abc import Iterator, Sequence
from functools import partial

from simeval.analysis.worst import Tried, WorstFound
from simeval.report.blocks import ArtifactCollector, Block, Chapter, Table, Text, columns
from simeval.report.figures.worst import NAME, caption_of, plot_worst
from simeval.report.format import decimal
from simeval.report.terminal.worst import METHOD, facts_of, headline_of


def worst_chapter(found: WorstFound, policy: str, artifacts: ArtifactCollector) -> Chapter:
    """The find, and the conditions that looked worst."""
    return Chapter("Worst found", tuple(_blocks(found, policy, artifacts)))


def _blocks(found: WorstFound, policy: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    yield Text(f"{headline_of(found, policy)}.")
    facts = facts_of(found)
    csv = artifacts.add_table("worst", [{"what": label, "value": value} for label, value in facts])
    yield Table("The find, on fresh pairs", columns("what", "value", words=["value"]), facts, csv)
    if found.seen:
        seen = artifacts.add_table("tried", [_row(row, found.labels) for row in found.seen])
        alt = f"Success in the search along {', '.join(found.labels)}, and of the worst found on fresh pairs"
        yield artifacts.add_figure(NAME, alt, partial(plot_worst, found), caption_of(found), (seen,))
    rows = tuple((row.condition, str(row.successes), str(row.episodes), decimal(row.suggested)) for row in found.listed)
    csv = artifacts.add_table("looked-worst", [_row(row, found.labels) for row in found.listed])
    yield Table("Looked worst in the search", columns("condition", "succeeded", "of", "suggested, %"), rows, csv)
    yield Text(METHOD, "note")


def _row(row: Tried, labels: Sequence[str]) -> dict[str, object]:
    shares = {f"{label}, share of its range": share for label, share in zip(labels, row.shares, strict=True)}
    return {name: getattr(row, name) for name in ("condition", "successes", "episodes", "suggested")} | shares
