"""Markdown of a gate and of ranks, for a pull request's comment or a job's summary.

Non-obvious behaviour:
- Names come from manifests, so they are escaped: a condition must not open a table cell, a link or a tag.
"""

import re
from collections.abc import Iterable, Sequence

from simeval.analysis.gate import Gate
from simeval.analysis.ranks import RankedSuite, Ranking
from simeval.core.texts import escaped
from simeval.report.format import decimal, p_value, with_interval
from simeval.report.verdict.text import excluded_loss, methods, sentence

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~@&$])")
SIGNS = {"better": "✅", "no worse": "✅", "regression": "❌", "cannot tell": "❔", "not comparable": "⛔"}


def gate_markdown(gate: Gate) -> str:
    """Heading, reason, and a table of conditions."""
    lines = [f"### {SIGNS[gate.verdict]} simeval: {gate.verdict} (exit code {gate.exit_code})", ""]
    lines += [plain(sentence(gate)), ""]
    lines += [f"A: {plain(gate.a)}, B: {plain(gate.b)}" if gate.kind == "compare" else f"Policy: {plain(gate.a)}", ""]
    sides = ("A %", "B %") if gate.kind == "compare" else ("clean %", "perturbed %")
    several = len({row.evidence.suite for row in gate.conditions}) > 1
    heads = (
        *(["suite"] if several else []),
        *("condition", "verdict", "pairs", *sides),
        *("gain, points [95 % CI]", "loses at most", "p (Holm)", "pairs to settle"),
    )
    rows = []
    for row in gate.conditions:
        one = row.evidence
        rows.append(
            (
                *([plain(one.suite)] if several else []),
                plain(one.condition),
                f"{SIGNS[row.verdict]} {row.verdict}" + (f": {plain(one.reason)}" if one.reason else ""),
                *(str(one.n), decimal(one.a), decimal(one.b), with_interval(one.gain, one.interval)),
                *(excluded_loss(row, gate.margin), p_value(row.p), str(row.pairs_to_settle or "")),
            )
        )
    if rows:
        lines += [*_table(heads, rows), ""]
    lines += [f"- {plain(note)}" for note in gate.notes]
    return "\n".join([*lines, "", f"<sub>{plain(methods(gate))}</sub>", ""])


def ranks_markdown(ranking: Ranking) -> str:
    """One table of ranks and one of pairs per suite."""
    lines = ["### simeval: ranks", ""]
    for suite in ranking.suites:
        lines += [f"**{plain(suite.suite)}**, by {plain(suite.score)}, {suite.pairs} pairs that all runs have", ""]
        lines += [*_table(("rank", "policy", "success %"), _ranks(suite)), ""]
        pairs = [
            (plain(f"{pair.a} → {pair.b}"), with_interval(pair.gain, pair.interval), p_value(pair.p_holm), pair.says)
            for pair in suite.differences
        ]
        lines += [*_table(("policies", "gain, points [95 % CI]", "p (Holm)", ""), pairs), ""]
    return "\n".join([*lines, *(f"- {plain(note)}" for note in ranking.notes), ""])


def _ranks(suite: RankedSuite) -> list[tuple[str, ...]]:
    return [(row.rank, plain(row.policy), decimal(row.rate)) for row in suite.policies]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{' --- |' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def plain(text: str) -> str:
    """A text as it is, on one line, whatever marks it has."""
    return _MARKS.sub(r"\\\1", escaped(text.replace("\n", " ")))
