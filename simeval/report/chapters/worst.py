"""The chapter of a search for a bad condition."""

from collections.abc import Iterator

from simeval.analysis.worst import WorstFound
from simeval.report.blocks import ArtifactCollector, Block, Chapter, Table, Text, columns
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
    rows = tuple((row.condition, str(row.successes), str(row.episodes), decimal(row.suggested)) for row in found.listed)
    csv = artifacts.add_table("looked-worst", found.listed)
    yield Table("Looked worst in the search", columns("condition", "succeeded", "of", "suggested, %"), rows, csv)
    yield Text(METHOD, "note")
