"""The chapters about a run: success, drops, language following, exclusions."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from simeval.analysis.by_category import ALL_SUITES
from simeval.analysis.by_task import CellDrop
from simeval.analysis.success import ConditionDrop, ConditionRate
from simeval.report.blocks import (
    ArtifactCollector,
    Block,
    BulletList,
    Chapter,
    Figure,
    KeyValueTable,
    Table,
    Text,
    columns,
)
from simeval.report.chapters.latency import latency_blocks
from simeval.report.data import Section
from simeval.report.figures.heat import MAX_LABELLED, MAX_TASKS, plot_heat
from simeval.report.figures.style import MarkerStyle
from simeval.report.figures.success import by_family, plot_severity, plot_success
from simeval.report.format import (
    NOTHING,
    OVER_STATES,
    adjusted,
    decimal,
    error_notes,
    findable_text,
    p_value,
    paired_methods,
    verdicts,
    with_drop,
    with_interval,
)
from simeval.report.terminal.tables import ANYTIME_METHODS, CATEGORIES, FOLLOWING, flag_note
from simeval.stats.anytime import METHOD as ANYTIME
from simeval.stats.study import ConditionInfo

SMALL = 20
"""Number of episodes per condition below which the page has a note."""

Known = Mapping[str, ConditionInfo]


def provenance(section: Section) -> Iterator[Block]:
    """Policy, plan, software and scenes of a run, and its instructions."""
    yield KeyValueTable(section.provenance, "Policy, plan and software")
    for caution in section.cautions:
        is_name = caution.partition(":")[0] in section.suites
        yield Text(f"{caution if is_name else caution[0].upper() + caution[1:]}.", "note")
    if section.instructions:
        rows = tuple((row.suite, str(row.task), row.text or "(empty)") for row in section.instructions)
        yield Table(
            "Original instructions", columns("suite", "task", "instruction", words=["instruction"]), rows, folded=True
        )


def success_figure(
    section: Section, suite: str, styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector
) -> Figure | None:
    """Success and drop of every condition of a suite; `None` if no episode ran to its end."""
    rates = tuple(row for row in section.analysis.rates if row.suite == suite)
    drops = tuple(row for row in section.analysis.drops if row.suite == suite)
    if all(row.rate is None for row in rates):
        return None
    artifacts = artifacts.scoped(suite)
    caption = "Success with Wilson's 95 % interval on the effective number of episodes; dashed: the clean rate."
    if drops:
        caption += (
            f" Beside it the paired drop with {_interval_of(drops)}; filled where the verdict is a drop "
            "(interval above 0 and adjusted p below .05), hollow elsewhere."
        )
    known = {condition.name: condition for condition in section.conditions}
    csv = artifacts.add_table("success", rates), artifacts.add_table("drops", drops)
    plot = partial(plot_success, rates, drops, known, styles)
    return artifacts.add_figure("success", f"Success per condition on {suite}", plot, caption, csv)


def success_chapters(
    section: Section, styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector, *, shown: str = ""
) -> Iterator[Chapter]:
    """Success and drops, one chapter per suite, then the mean of the suites.

    Args:
        section: the run.
        styles: of the axis families.
        artifacts: gets figures and tables.
        shown: the suite whose `success_figure` is on the page already; may be empty.
    """
    known = {condition.name: condition for condition in section.conditions}
    for suite in section.suites:
        rates = tuple(row for row in section.analysis.rates if row.suite == suite)
        drops = tuple(row for row in section.analysis.drops if row.suite == suite)
        cells = tuple(cell for cell in section.cells if cell.suite == suite)
        figure = success_figure(section, suite, styles, artifacts) if suite != shown else None
        blocks = (
            *([figure] if figure else ()),
            *_success(rates, drops, artifacts.scoped(suite)),
            *_inference(section, drops),
            *_severity(drops, known, styles, artifacts.scoped(suite)),
            *latency_blocks(section, suite, artifacts.scoped(suite)),
            *_by_category(section, suite, artifacts.scoped(suite)),
            *_heat(cells, artifacts.scoped(suite)),
            *_by_task(section, suite, artifacts.scoped(suite)),
        )
        yield Chapter(f"Success on {suite}", blocks)
    if section.analysis.overall:
        rows = tuple((r.condition, str(r.suites), with_interval(r.rate, r.interval)) for r in section.analysis.overall)
        csv = artifacts.add_table("overall", section.analysis.overall)
        table = Table(
            "Equal-weight mean of the suites", columns("condition", "suites", "success % [95 % CI]"), rows, csv
        )
        by_category = _by_category(section, ALL_SUITES, artifacts.scoped("suites"))
        yield Chapter("Mean of the suites", (table, *by_category))
    language = tuple(_language(section, artifacts))
    if language:
        yield Chapter("Language following", language)


def _success(
    rates: Sequence[ConditionRate], drops: Sequence[ConditionDrop], artifacts: ArtifactCollector
) -> Iterator[Block]:
    csv = artifacts.add_table("success", rates), artifacts.add_table("drops", drops)
    few = [row.n for row in rates if row.n < SMALL]
    if all(row.rate is None for row in rates):
        yield Text("No episode ran to its end, so there is no success rate.", "note")
    if few:
        yield Text(
            f"Few episodes: {min(few)} in the smallest condition. The intervals are wide because the data are thin.",
            "note",
        )
    heads: tuple[str, ...] = (
        "condition",
        "n",
        "success % [95 % CI]",
        "across tasks %",
        "steps to success",
        "errors",
        "infeasible",
    )
    yield Table("Success", columns(*heads), tuple(map(_rate_row, rates)), csv[0])
    if drops:
        several = adjusted(drops)
        drop, p = "drop, points [95 % CI]", "p, adjusted"
        if several > 1:
            drop, p = "drop, points [95 % CI, unadjusted]", f"p, adjusted for {several} comparisons"
        heads = (
            *("condition", "pairs", "clean %", "perturbed %", drop, "harmed / helped", "p"),
            *(p, "retention %", "verdict", "note"),
        )
        rows = tuple(map(_drop_row, drops))
        heading = columns(*heads, words=["verdict", "note"])
        yield Table("Drop against none", heading, rows, csv[1])


def _inference(section: Section, drops: tuple[ConditionDrop, ...]) -> Iterator[Block]:
    """What the tests of a suite's drops can find, or that they hold at any look."""
    if drops:
        yield Text(ANYTIME_METHODS if section.analysis.inference == "anytime" else findable_text(drops), "note")


def _rate_row(row: ConditionRate) -> tuple[str, ...]:
    across = row.across_tasks
    return (
        row.condition,
        str(row.n),
        with_interval(row.rate, row.interval),
        f"{decimal(across.low)} to {decimal(across.high)}" if across else NOTHING,
        NOTHING if row.mean_steps is None else f"{row.mean_steps:.0f}",
        str(row.errors),
        str(row.infeasible),
    )


def _drop_row(row: ConditionDrop) -> tuple[str, ...]:
    note = row.note
    if not note and row.sensitivity is not None and row.smallest_visible is None:
        note = "too few pairs to show any drop"
    return (
        row.condition,
        str(row.pairs) + (f" ({row.missing} missing)" if row.missing else ""),
        decimal(row.clean_rate),
        decimal(row.perturbed_rate),
        with_drop(row),
        f"{row.harmed} / {row.helped}",
        p_value(row.p),
        p_value(row.p_holm),
        decimal(row.retention),
        row.verdict or "n/a",
        note,
    )


def _interval_of(drops: Sequence[ConditionDrop], level: str = "") -> str:
    if any(row.interval is not None and row.interval.method == ANYTIME for row in drops):
        return f"{'a' if level else 'an'}{level} interval that holds at any number of pairs"
    method, _ = paired_methods(row.interval for row in drops)
    if method.endswith(OVER_STATES):
        return f"its{level} interval ({method})"
    return f"Bonett and Price's{level} interval"


def _severity(
    drops: Sequence[ConditionDrop], known: Known, styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector
) -> Iterator[Block]:
    families = by_family(drops, known)
    if not families:
        return
    alone = [row.condition for row in drops if not any(row in rows for rows in families.values())]
    interval = _interval_of(drops, " 95 %")
    rest = " on pairs" if "Bonett" in interval else ""
    if OVER_STATES in interval:
        rest = ", repeats of a state counted once"
    caption = f"Drop against strength, from mild to strong, with {interval}{rest}."
    if alone:
        caption += " Conditions of one strength are in the figure above only."
    csv = artifacts.add_table("conditions", [known[row.condition] for row in drops if row.condition in known])
    plot = partial(plot_severity, families, styles)
    yield artifacts.add_figure(
        "severity", "Drop against strength, one panel per family", plot, caption, (csv, f"{artifacts.prefix}drops.csv")
    )


def _heat(cells: Sequence[CellDrop], artifacts: ArtifactCollector) -> Iterator[Block]:
    if not cells:
        return
    csv = artifacts.add_table("cells", cells)
    tasks, smallest = len({cell.task for cell in cells}), min(cell.pairs for cell in cells)
    caption = f"Drop by task and condition; in the cells harmed / helped pairs (from {smallest} pairs a cell)."
    if tasks > MAX_LABELLED:
        caption = "Drop by task and condition; harmed and helped pairs of each cell are in the CSV file."
    if tasks > MAX_TASKS:
        yield Text(f"Drops by task and condition: {tasks} tasks, too many to plot; see `{csv}`.", "note")
        return
    yield artifacts.add_figure("heat", "Drop by task and condition", partial(plot_heat, cells), caption, (csv,))


def _by_category(section: Section, suite: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    rates = tuple(row for row in section.analysis.categories if row.suite == suite)
    if not rates:
        return
    rows = tuple(
        (row.category, row.condition, str(row.tasks), with_interval(row.rate, row.interval), str(row.errors))
        for row in rates
    )
    heads = columns("category", "condition", "tasks", "success % [95 % CI]", "errors", words=["category", "condition"])
    yield Table("Success by category", heads, rows, artifacts.add_table("categories", rates), CATEGORIES)


def _by_task(section: Section, suite: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    rates = tuple(row for row in section.analysis.tasks if row.suite == suite)
    if not rates:
        return
    rows = tuple(
        (str(row.task), row.condition, str(row.n), with_interval(row.rate, row.interval), str(row.errors))
        for row in rates
    )
    heads = columns("task", "condition", "n", "success % [95 % CI]", "errors", words=["condition"])
    yield Table("Success by task", heads, rows, artifacts.add_table("tasks", rates), folded=True)


def _language(section: Section, artifacts: ArtifactCollector) -> Iterator[Block]:
    rates = section.analysis.language
    if not rates:
        return
    csv = artifacts.add_table("language", rates)
    heads: tuple[str, ...] = (
        "suite",
        "condition",
        "n",
        "followed: instructed goal",
        "ignored: original goal",
        "neither",
        "errors",
    )
    rows = tuple(
        (
            *(row.suite, row.condition, str(row.n)),
            *(with_interval(share.rate, share.interval) for share in (row.followed, row.ignored, row.neither)),
            str(row.errors),
        )
        for row in rates
    )
    yield Table("Goal reached first, % [95 % CI]", columns(*heads, words=["condition"]), rows, csv)
    measured = [row for row in rates if row.index is not None]
    if not measured:
        yield Text("No unperturbed twin tracked the other goals, so there is no language-following index.", "note")
        return
    heads = ("suite", "condition", "pairs", "index, points [95 % CI]", "ignore rate, % [95 % CI]", "went for it, %")
    rows = tuple(
        (
            *(row.suite, row.condition, str(row.pairs), with_interval(row.index, row.index_interval)),
            with_interval(row.ignore_rate, row.ignore_interval) if row.ignore_interval else decimal(row.ignore_rate),
            decimal(row.approached.rate) if row.approached else NOTHING,
        )
        for row in measured
    )
    yield Table("Language following, paired with none", columns(*heads, words=["condition"]), rows, csv, FOLLOWING)


def warnings_of(section: Section, artifacts: ArtifactCollector) -> Iterator[Block]:
    """Verdicts in one line per suite, flags and errors."""
    analysis = section.analysis
    lines = []
    for suite in section.suites:
        drops = tuple(row for row in analysis.drops if row.suite == suite)
        if drops:
            lines += [f"{suite}, {part}." for part in verdicts(drops, analysis.margin).split(" | ")]
    lines += [*error_notes(analysis.rates, analysis.drops), *map(flag_note, analysis.flags)]
    artifacts.add_table("flags", analysis.flags)
    yield BulletList(tuple(lines)) if lines else Text("No episode broke and none is flagged.")
