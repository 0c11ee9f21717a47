"""The tables of a study in the terminal; legible at 80 columns."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.analysis.study import StudyResults, SuiteStudy
from simeval.report.format import NOTHING, decimal, p_value, with_interval
from simeval.report.study.rows import (
    DRIFT,
    PAIRED,
    RANKS,
    SEEDS,
    GroupRow,
    gain_rows,
    group_row,
    policy_row,
    verdicts,
    word,
)
from simeval.report.terminal.tables import ROOMY, plain_table
from simeval.stats.intervals import Interval


def print_study_tables(console: Console, results: StudyResults) -> None:
    """Print what a study found."""
    console.print(render_study(results, roomy=console.width >= ROOMY))


def render_study(results: StudyResults, *, roomy: bool = False) -> Group:
    """Per suite: what can be said, the policies, and gains; of recipes where they have several seeds."""
    parts: list[RenderableType] = []
    for suite in results.suites:
        parts += [*(Text(line, style="bold") for line in verdicts(suite, results.baseline)), Text()]
        parts += [_policies(suite, roomy=roomy), Text()]
        if suite.groups:
            parts += [_group_ranks(suite, roomy=roomy), Text(), *_groups(suite, results.baseline, roomy=roomy)]
            parts += [Text(SEEDS), Text("Gains of single policies are in the report.")]
        elif suite.gains:
            parts += [*_gains(suite, results.baseline, roomy=roomy), Text(PAIRED)]
        parts += [Text(RANKS), Text()]
    parts += [Text(f"not in the numbers: {name}: {reason}") for name, reason in results.left_out]
    parts += [Text(f"note: {note}") for note in results.notes]
    return Group(*parts, Text(results.assets))


def number(value: float | None, measure: str) -> str:
    """A value of a measure: drift in its own unit, all others in per cent or points."""
    if measure != DRIFT:
        return decimal(value)
    return NOTHING if value is None else f"{value:z.3f}"


def ranged(value: float | None, interval: Interval | None, measure: str) -> str:
    """The same with its interval."""
    if measure != DRIFT or value is None or interval is None:
        return with_interval(value, interval) if measure != DRIFT and interval else number(value, measure)
    return f"{number(value, measure)} [{number(interval.low, measure)}, {number(interval.high, measure)}]"


def spread(row: GroupRow) -> str:
    """Mean and deviation over seeds."""
    text = number(row.mean, row.measure)
    return text if row.deviation is None else f"{text} ± {number(row.deviation, row.measure)}"


def _policies(suite: SuiteStudy, *, roomy: bool) -> Table:
    table = plain_table(f"{suite.suite}, policies", "policy", roomy=roomy)
    for header in ("rank", "clean %\n[95 % CI]", "perturbed\n%", "lost,\npoints", "follows\n%", "drift"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in map(policy_row, suite.policies):
        clean = with_interval(row.clean, row.clean_interval)
        values = decimal(row.perturbed), decimal(row.lost), decimal(row.following), number(row.drift, DRIFT)
        table.add_row(Text(row.policy), row.rank or NOTHING, clean, *values)
    return table


def _group_ranks(suite: SuiteStudy, *, roomy: bool) -> Table:
    table = plain_table(f"{suite.suite}, recipes, over their training seeds", "recipe", roomy=roomy)
    for header in ("rank", "seeds"):
        table.add_column(header, justify="right", no_wrap=True)
    seeds = {row.group: len(row.values.by_seed) for row in suite.groups if row.measure == "success"}
    for name, rank in suite.group_ranks:
        table.add_row(Text(name), rank, str(seeds.get(name, 0)))
    return table


def _groups(suite: SuiteStudy, baseline: str, *, roomy: bool) -> list[RenderableType]:
    rows = [group_row(row) for row in suite.groups]
    parts: list[RenderableType] = []
    for measure in dict.fromkeys(row.measure for row in rows):
        unit = "" if measure == DRIFT else ", %"
        table = plain_table(
            f"{measure}{unit}: mean ± deviation over seeds, gain over {baseline}", "recipe", roomy=roomy
        )
        # Side by side, the two intervals leave no space for names at 80 columns.
        gain = ("gain [over seeds]", "[over episodes]") if roomy else ("gain [over seeds]\n[over episodes]",)
        for header in ("mean", *gain, "p, adj.", ""):
            table.add_column(header, justify="right", no_wrap=True)
        for condition in dict.fromkeys(row.condition for row in rows if row.measure == measure):
            table.add_row(Text(condition, style="italic"))
            _add(table, [row for row in rows if (row.measure, row.condition) == (measure, condition)], roomy=roomy)
        parts += [table, Text()]
    reasons = dict.fromkeys(f"{row.group}: {row.note}" for row in rows if row.note)
    return [*parts, *(Text(reason) for reason in reasons)]


def _add(table: Table, rows: Sequence[GroupRow], *, roomy: bool) -> None:
    for row in rows:
        gain = ranged(row.gain, row.over_seeds, row.measure)
        episodes = ranged(row.gain, row.over_episodes, row.measure).partition(" ")[2]
        gains = (gain, episodes) if roomy else (f"{gain}\n{episodes}".rstrip(),)
        table.add_row(Text(f"  {row.group}"), spread(row), *gains, p_value(row.p_holm), row.says)


def _gains(suite: SuiteStudy, baseline: str, *, roomy: bool) -> list[RenderableType]:
    """A table per measure: its name as a third column leaves no space for the others at 80 columns."""
    parts: list[RenderableType] = []
    rows = tuple(gain_rows(suite))
    for measure in dict.fromkeys(row.measure for row in rows):
        unit = "" if measure == DRIFT else ", points"
        table = plain_table(f"{suite.suite}, {measure}{unit}: gain over {baseline}", "policy", "condition", roomy=roomy)
        for header in ("gain [95 % CI]", "p, adj.", ""):
            table.add_column(header, justify="right", no_wrap=True)
        for row in rows:
            if row.measure == measure:
                gain = ranged(row.gain.gain, row.gain.interval, measure)
                says = word(row.gain.direction, measure)
                table.add_row(Text(row.policy), Text(row.gain.condition), gain, p_value(row.gain.p_holm), says)
        parts += [table, Text()]
    return parts
