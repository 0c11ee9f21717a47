"""Terminal tables of a run. Plain text when piped; legible at 80 columns, with long condition names folded."""

from collections.abc import Iterable
from itertools import groupby

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.analysis.by_category import ALL_SUITES
from simeval.analysis.success import ConditionDrop, ConditionRate, FlagCount, OverallRate, RunAnalysis
from simeval.core.types import CLEAN
from simeval.report.format import (
    NOTHING,
    adjusted,
    decimal,
    error_notes,
    findable_text,
    headline,
    p_value,
    paired_methods,
    verdicts,
    with_drop,
    with_interval,
)
from simeval.report.terminal.latency import render_latency
from simeval.report.terminal.names import NamesTable
from simeval.store.run import Run

ROOMY = 100
"""Console width from which columns are two spaces apart instead of one."""
METHODS = "95 % intervals: what other initial states of the same tasks would give (success by Wilson's formula)."
PAIRED_METHODS = (
    "95 % intervals: what other initial states of the same tasks would give (success by Wilson's formula, drop by {}); "
    "p by {}{}."
)
ANYTIME_METHODS = (
    "inference: anytime. Drops, their 95 % intervals and p hold however often one looks and whenever one stops "
    "(e-values by betting on the pairs, in rounds over the tasks). The estimate of a drop that stopped its condition "
    "is a tenth to a quarter too large on average; its interval holds. 'Costs less' is one-sided at 5 %, so the "
    "two-sided interval may reach beyond the margin. Drops weigh a condition's pairs equally, rates the "
    "tasks. Success by Wilson's formula, which takes the number of episodes for one that was fixed beforehand."
)
HOLM = ", adjusted for the number of comparisons in a suite (Holm)"
FOLLOWING = (
    "index: P(instructed goal | its instruction) - P(that goal | the original instruction); "
    "ignore rate: P(original goal | other instruction) / P(original goal | original instruction); "
    "went for it: the gripper first closed next to what the instructed goal wants moved."
)


CATEGORIES = "by category: equal-weight mean over tasks; 95 % intervals by Wilson over the tasks of a category."


def print_origin(console: Console, run: Run) -> None:
    """Print the notes of a run and its folder, which end what is printed of it."""
    for line in (*(f"note: {note}" for note in run.manifest["notes"]), f"run folder: {run.folder}"):
        console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)


def print_run(console: Console, run: RunAnalysis, *, policy: str, assets: str) -> None:
    """Print the tables of a finished run.

    Args:
        console: destination.
        run: the tables.
        policy: name of the policy.
        assets: description of the scenes, one line.
    """
    console.print(render_tables(run, policy=policy, assets=assets, roomy=console.width >= ROOMY))


def render_tables(run: RunAnalysis, *, policy: str, assets: str, roomy: bool = False) -> Group:
    """Headline, one table per suite, language following if it was tested, and remarks.

    Args:
        run: the tables.
        policy: name of the policy.
        assets: description of the scenes, one line.
        roomy: set the columns further apart.
    """
    parts: list[RenderableType] = [Text(headline(policy, run), style="bold"), Text()]
    for suite, rates in groupby(run.rates, key=lambda row: row.suite):
        drops = tuple(row for row in run.drops if row.suite == suite)
        parts += [_suite_table(suite, rates, drops, roomy=roomy)]
        parts += [Text(verdicts(drops, run.margin)), Text()] if drops else [Text()]
    if run.categories:
        parts += [*_category_tables(run, roomy=roomy), Text(CATEGORIES), Text()]
    if run.latency:
        latency = plain_table("what latency cost", "condition", roomy=roomy)
        parts += [render_latency(run.latency, run.latency_limits, run.margin, latency), Text()]
    if run.overall:
        parts += [_overall_table(run.overall, roomy=roomy), Text()]
    if run.language:
        parts += [render_language(run, roomy=roomy)]
    parts += [Text(line) for line in (*error_notes(run.rates, run.drops), *map(flag_note, run.flags))]
    parts += [Text(_methods(run)), Text(assets)]
    return Group(*parts)


def _methods(run: RunAnalysis) -> str:
    if not run.drops:
        return METHODS
    if run.inference == "anytime":
        return ANYTIME_METHODS
    holm = HOLM if adjusted(run.drops) > 1 else ""
    paired = PAIRED_METHODS.format(*paired_methods(row.interval for row in run.drops), holm)
    return f"{paired} {findable_text(run.drops)}"


def render_by_task(run: RunAnalysis, *, roomy: bool = False) -> Group:
    """Success per task and condition, one table per suite, and the spread between tasks."""
    parts: list[RenderableType] = []
    for suite, rows in groupby(run.tasks, key=lambda row: row.suite):
        table = plain_table(f"{suite}, by task", "task", "condition", roomy=roomy)
        for header in ("n", "success %\n[95 % CI]", "errors"):
            table.add_column(header, justify="right", no_wrap=True)
        for row in rows:
            success = with_interval(row.rate, row.interval)
            table.add_row(str(row.task), Text(row.condition), str(row.n), success, str(row.errors))
        parts.append(table)
        parts += [Text(_spread(rate)) for rate in run.rates if rate.suite == suite and rate.across_tasks]
        parts.append(Text())
    return Group(*parts)


def render_language(run: RunAnalysis, *, roomy: bool = False) -> Group:
    """The goal reached first under an instruction that names another goal of the scene, one table per suite."""
    parts: list[RenderableType] = []
    for suite, rows in groupby(run.language, key=lambda row: row.suite):
        table = plain_table(f"{suite}, goal reached first, % [95 % CI]", "condition", roomy=roomy)
        for header in ("n", "followed:\ninstructed goal", "ignored:\noriginal goal", "\nneither", "errors"):
            table.add_column(header, justify="right", no_wrap=True)
        for row in rows:
            shares = [with_interval(share.rate, share.interval) for share in (row.followed, row.ignored, row.neither)]
            table.add_row(Text(row.condition), str(row.n), *shares, str(row.errors))
        parts += [table, Text()]
    measured = [row for row in run.language if row.index is not None]
    if measured:
        table = plain_table("language following, paired with `none`", "suite", "condition", roomy=roomy)
        for header in ("pairs", "index, points\n[95 % CI]", "ignore rate, %\n[95 % CI]", "went for\nit, %"):
            table.add_column(header, justify="right", no_wrap=True)
        for row in measured:
            index = with_interval(row.index, row.index_interval)
            ignored = with_interval(row.ignore_rate, row.ignore_interval)
            if row.ignore_rate is not None and row.ignore_interval is None:
                ignored = decimal(row.ignore_rate)
            went = decimal(row.approached.rate) if row.approached else NOTHING
            table.add_row(row.suite, Text(row.condition), str(row.pairs), index, ignored, went)
        parts += [table, Text(FOLLOWING), Text()]
    return Group(*parts)


def flag_note(row: FlagCount) -> str:
    """One line about flagged episodes."""
    count = f"{row.condition} on {row.suite}: {row.episodes} of {row.planned} episodes"
    kind, _, part = row.flag.partition(":")
    match kind:
        case "infeasible":
            return f"{count} left out as infeasible, e.g. {row.example}: {row.reason}"
        case "no_op":
            return f"{count} unchanged by its {part} part, as the policy sees it, e.g. {row.example}"
        case "far_state" | "far_action":
            what = "were given states" if kind == "far_state" else "chose actions"
            remark = "; other units?" if row.condition == CLEAN else ","
            return f"{count} {what} far outside the policy's training data{remark} e.g. {row.example}"
        case "cut_action":
            return f"{count} chose actions far outside -1 to 1, to which they are cut; other units? e.g. {row.example}"
        case "gripper_never_opened":
            what = "never opened the gripper (its command stayed at 0 or above, -1 opens); another convention?"
            return f"{count} {what} e.g. {row.example}"
        case "not_repeatable":
            what = "got other actions for the same request, so pairs differ by more than the perturbation;"
            return f"{count} {what} take random numbers from noise_seed, e.g. {row.example}"
        case "dark":
            return (
                f"{count} got images of {part} with numbers up to 1 from an image axis, so they are black; it "
                f"has to return 0 to 255, e.g. {row.example}"
            )
        case "spill":
            return f"{count} with a change in {part}, which it is not aimed at, e.g. {row.example}"
        case _:
            return f"{count} flagged {row.flag.replace('_', ' ')}, e.g. {row.example}"


def _suite_table(suite: str, rates: Iterable[ConditionRate], drops: Iterable[ConditionDrop], *, roomy: bool) -> Table:
    by_condition = {row.condition: row for row in drops}
    several = adjusted(tuple(by_condition.values()))
    table = plain_table(suite, "condition", roomy=roomy)
    for header in (
        "n",
        "success %\n[95 % CI]",
        "drop vs none,\npoints [95 % CI" + (",\nunadjusted]" if several > 1 else "]"),
        "harmed /\nhelped",
        f"p adj.\nfor {several}" if several > 1 else "p",
        "errors",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for rate in rates:
        drop = by_condition.get(rate.condition)
        table.add_row(
            Text(rate.condition),
            str(rate.n),
            with_interval(rate.rate, rate.interval),
            *_drop_cells(drop),
            str(rate.errors),
            style="bold" if drop and drop.verdict == "drop" else None,
        )
    return table


def _drop_cells(drop: ConditionDrop | None) -> tuple[str, str, str]:
    if drop is None:
        return NOTHING, NOTHING, NOTHING
    counts = f"{drop.harmed} / {drop.helped}"
    if drop.drop is None:
        return "n/a", counts, "n/a"
    return with_drop(drop), counts, p_value(drop.p_holm)


def _category_tables(run: RunAnalysis, *, roomy: bool) -> Iterable[RenderableType]:
    for suite, rows in groupby(run.categories, key=lambda row: row.suite):
        title = "the tasks of all suites" if suite == ALL_SUITES else suite
        table = plain_table(f"{title}, by category", "category", "condition", roomy=roomy)
        for header in ("tasks", "success %\n[95 % CI]", "errors"):
            table.add_column(header, justify="right", no_wrap=True)
        for row in rows:
            success = with_interval(row.rate, row.interval)
            table.add_row(Text(row.category), Text(row.condition), str(row.tasks), success, str(row.errors))
        yield table
        yield Text()


def _overall_table(overall: Iterable[OverallRate], *, roomy: bool) -> Table:
    table = plain_table("mean of the suites", "condition", roomy=roomy)
    table.add_column("suites", justify="right", no_wrap=True)
    table.add_column("success %\n[95 % CI]", justify="right", no_wrap=True)
    for row in overall:
        table.add_row(Text(row.condition), str(row.suites), with_interval(row.rate, row.interval))
    return table


def plain_table(title: str, *names: str, roomy: bool) -> Table:
    """An empty table; `names` are the headers of the text columns, which are folded if space is short."""
    table = NamesTable(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0) if roomy else 0,
    )
    for name in names:
        table.add_column(name, overflow="fold", vertical="top")
    return table


def _spread(rate: ConditionRate) -> str:
    if rate.across_tasks is None:
        return ""
    low, high = decimal(rate.across_tasks.low), decimal(rate.across_tasks.high)
    return f"{rate.condition}: mean {decimal(rate.rate)} %; for other tasks like these {low} to {high} % (t interval)."
