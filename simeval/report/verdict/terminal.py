"""Terminal tables of a gate and of ranks; legible at 80 columns."""

from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.analysis.gate import Gate, Judged
from simeval.analysis.ranks import RankedSuite, Ranking
from simeval.report.format import decimal, p_value, with_interval
from simeval.report.terminal.tables import ROOMY, plain_table
from simeval.report.verdict.text import excluded_loss, headline, methods

RANKS = (
    "rank: 1 + the number of policies shown to be better, to the number of those not shown to be worse; policies that "
    "share ranks cannot be told apart. Differences on the same episodes, p adjusted by Holm over all pairs of policies."
)


def print_gate(console: Console, gate: Gate) -> None:
    """Print what was judged, and last the verdict, on one line: the end of a log is read first, and searched."""
    console.print(render_gate(gate, roomy=console.width >= ROOMY))
    console.print(Text(headline(gate), style="bold"), soft_wrap=True)


def render_gate(gate: Gate, *, roomy: bool = False) -> Group:
    """A table per suite, and the rules."""
    parts: list[RenderableType] = []
    for suite, rows in groupby(gate.conditions, key=lambda row: row.evidence.suite):
        parts += [_gate_table(gate, suite, list(rows), roomy=roomy), Text()]
    parts += [Text(f"note: {note}") for note in gate.notes]
    if gate.conditions:
        parts.append(Text(methods(gate)))
    return Group(*parts)


def _gate_table(gate: Gate, suite: str, rows: list[Judged], *, roomy: bool) -> Table:
    table = plain_table(f"{suite}, gate with a margin of {decimal(gate.margin)} points", "condition", roomy=roomy)
    for header in ("pairs", "gain, points\n[95 % CI]", "loses\nat most", "p", "pairs to\nsettle"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        one = row.evidence
        gain = with_interval(one.gain, one.interval)
        needed = str(row.pairs_to_settle or "")
        loss = excluded_loss(row, gate.margin)
        table.add_row(*(Text(one.condition), str(one.n), gain, loss, p_value(row.p), needed, row.verdict))
    return table


def print_ranking(console: Console, ranking: Ranking) -> None:
    """Print the ranks of several policies."""
    console.print(render_ranking(ranking, roomy=console.width >= ROOMY))


def render_ranking(ranking: Ranking, *, roomy: bool = False) -> Group:
    """Per suite: ranks, success by condition, and all pairs of policies."""
    parts: list[RenderableType] = []
    for suite in ranking.suites:
        letters = dict(zip(ranking.policies, map(_letter, range(len(ranking.policies))), strict=True))
        parts += [Text(best(suite), style="bold"), Text()]
        table = plain_table(f"{suite.suite}, by {suite.score}, {suite.pairs} pairs", "policy", roomy=roomy)
        for header in ("rank", "success %"):
            table.add_column(header, justify="right", no_wrap=True)
        for row in suite.policies:
            table.add_row(Text(f"{letters[row.policy]}: {row.policy}"), row.rank, decimal(row.rate))
        parts += [table, Text(), _rates(suite, letters, roomy=roomy), Text()]
        table = plain_table(f"{suite.suite}, differences", "policies", roomy=roomy)
        for header in ("gain, points [95 % CI]", f"p, adjusted\nfor {len(suite.differences)}", ""):
            table.add_column(header, justify="right", no_wrap=True)
        for pair in suite.differences:
            gain, said = with_interval(pair.gain, pair.interval), pair.says
            names = Text(f"{letters[pair.b]} - {letters[pair.a]}")
            table.add_row(names, gain, p_value(pair.p_holm), said and f"{letters[pair.b]} {said}")
        parts += [table, Text()]
    parts += [Text(f"note: {note}") for note in ranking.notes]
    return Group(*parts, Text(RANKS), Text(ranking.assets))


def _rates(suite: RankedSuite, letters: dict[str, str], *, roomy: bool) -> Table:
    table = plain_table(f"{suite.suite}, success in %", "condition", roomy=roomy)
    for letter in letters.values():
        table.add_column(letter, justify="right", no_wrap=True)
    for condition, rates in suite.rates:
        table.add_row(Text(condition), *(decimal(rate) for rate in rates))
    return table


def best(suite: RankedSuite) -> str:
    """Who is first, in one sentence."""
    first = [row.policy for row in suite.policies if row.rank.split("-")[0] == "1"]
    if len(first) == 1:
        return f"{suite.suite}: {first[0]} is better than all others."
    return f"{suite.suite}: {', '.join(first)} may be first; they cannot be told apart."


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"P{index + 1}"
