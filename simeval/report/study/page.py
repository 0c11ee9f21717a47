"""The page of a study: per suite one chapter, with its tables and a dot plot per condition."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from simeval.analysis.study import StudyResults, SuiteStudy
from simeval.analysis.study_scores import MEASURES
from simeval.core import provenance
from simeval.report.blocks import ArtifactCollector, Block, BulletList, Chapter, Table, Text, columns
from simeval.report.data import ReportData
from simeval.report.export import record
from simeval.report.figures.forest import Mark, Panel, Row, plot_forest
from simeval.report.figures.style import MarkerStyle, family_styles
from simeval.report.format import NOTHING, decimal, p_value, with_interval
from simeval.report.page import write_page
from simeval.report.representation.chapter import representation_chapters
from simeval.report.study.extras import StudyExtras, mini_tables, rival_blocks
from simeval.report.study.rows import (
    DRIFT,
    PAIRED,
    RANKS,
    SEEDS,
    gain_rows,
    group_row,
    policy_row,
    rate_rows,
    seed_rows,
    verdicts,
    word,
)
from simeval.report.study.terminal import number, ranged, spread

SCHEMA_VERSION = 1
FOLLOWED = MEASURES["following"]
NOTHING_MORE = StudyExtras()


def study_record(results: StudyResults, extras: StudyExtras = NOTHING_MORE) -> dict[str, Any]:
    """All numbers of a study, JSON-ready."""
    found = {"schema_version": SCHEMA_VERSION, **record(results), "mini_audit": record(extras.mini)}
    return found | {"representation": record(extras.representation), "rivals": record(extras.rivals)}


def write_study_report(results: StudyResults, folder: Path, out: Path, extras: StudyExtras = NOTHING_MORE) -> Path:
    """Write the report of a study.

    Args:
        results: what it found.
        folder: the study, for the command that rebuilds the page.
        out: folder, created if missing.
        extras: what is shown beside its episodes.

    Raises:
        ConfigError: the folder cannot be written.
    """
    artifacts = ArtifactCollector()
    parts = [Chapter("Result", tuple(_result(results)), level=2)]
    for suite in results.suites:
        own = artifacts.scoped(suite.suite) if len(results.suites) > 1 else artifacts
        parts.append(Chapter(suite.suite, tuple(_suite(suite, results.baseline, own)), level=2))
        parts += _extras(suite.suite, extras, own)
    if extras.representation is not None:
        parts += representation_chapters(extras.representation, artifacts.scoped("inside"), extras.sheets)
    rebuild = Text(f"Rebuild: `simeval report {folder}`")
    methods = [Text(RANKS), Text(PAIRED)]
    if any(suite.groups for suite in results.suites):
        methods.append(Text(SEEDS))
    parts += [Chapter("Methods", tuple(methods), level=2), Chapter("How to rebuild", (rebuild,), level=2)]
    data = ReportData(
        title=f"Study {results.name}",
        sections=(),
        generated_by=f"simeval {provenance.version('simeval')}",
        rebuild=f"simeval report {folder}",
    )
    return write_page(data, parts, artifacts, {"summary.json": study_record(results, extras)}, out)


def _result(results: StudyResults) -> Iterator[Block]:
    for suite in results.suites:
        for line in verdicts(suite, results.baseline):
            yield Text(line, "verdict")
    if not results.suites:
        yield Text("No policy of this study has run to its end.", "lead")
    if results.left_out:
        yield Text("Not in the numbers:")
        yield BulletList(tuple(f"{name}: {reason}" for name, reason in results.left_out))
    if results.notes:
        yield BulletList(results.notes)
    if results.assets:
        yield Text(results.assets, "note")


def _suite(suite: SuiteStudy, baseline: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    yield _policies(suite, artifacts)
    yield _by_condition(suite)
    yield from _dots(suite, artifacts)
    if suite.groups:
        yield from _groups(suite, baseline, artifacts)
    yield from _gains(suite, baseline, artifacts)
    yield from _representation(suite)


def _extras(suite: str, extras: StudyExtras, artifacts: ArtifactCollector) -> Iterator[Chapter]:
    for mini in extras.mini:
        if mini.suite == suite:
            yield Chapter("The small audit, before and after", tuple(mini_tables(mini, artifacts)))
    for study in extras.rivals:
        if study.suite == suite:
            yield Chapter("Does what is kept inside predict success?", tuple(rival_blocks(study, artifacts)))


def _policies(suite: SuiteStudy, artifacts: ArtifactCollector) -> Table:
    values = [policy_row(one) for one in suite.policies]
    rows = tuple(
        (
            *(row.policy, row.group, NOTHING if row.seed is None else str(row.seed), row.rank or NOTHING),
            *(with_interval(row.clean, row.clean_interval), decimal(row.perturbed), decimal(row.lost)),
            *(with_interval(row.following, row.following_interval), number(row.drift, DRIFT)),
        )
        for row in values
    )
    heads = columns(
        *("policy", "group", "seed", "rank", "clean % [95 % CI]", "perturbed %", "lost, points"),
        *("instruction followed % [95 % CI]", "drift"),
        words=["group"],
    )
    note = "Perturbed: mean over the perturbed conditions. Drift: mean over the conditions of the audit."
    return Table("Policies side by side", heads, rows, artifacts.add_table("policies", values), note)


def _by_condition(suite: SuiteStudy) -> Table:
    """Success, what was followed, and drift: a row per policy, a column per condition."""
    found: list[dict[tuple[str, str], str]] = []
    for one in suite.policies:
        cells = {(MEASURES["success"], row.condition): decimal(row.rate) for row in one.analysis.rates}
        cells |= {(FOLLOWED, row.condition): decimal(row.followed.rate) for row in one.analysis.language}
        found.append(cells | {("drift", condition): number(value, DRIFT) for condition, value in one.drift})
    order = (MEASURES["success"], FOLLOWED, "drift")
    keys = sorted({key: None for cells in found for key in cells}, key=lambda key: order.index(key[0]))
    rows = tuple(
        (one.name, *(cells.get(key, NOTHING) for key in keys)) for one, cells in zip(suite.policies, found, strict=True)
    )
    heads = columns("policy", *(f"{measure}, {condition}" for measure, condition in keys))
    return Table("By condition", heads, rows, note="In per cent; drift in its own unit. Intervals are in the figures.")


def _dots(suite: SuiteStudy, artifacts: ArtifactCollector) -> Iterator[Block]:
    values = rate_rows(suite)
    csv = artifacts.add_table("success", values)
    styles = family_styles(row.group for row in values)
    for place, condition in enumerate(dict.fromkeys(row.condition for row in values)):
        shown = [row for row in values if row.condition == condition]
        rows = [
            Row(row.policy, (Mark(row.rate, row.interval, styles[row.group]),), first=_starts(shown, i))
            for i, row in enumerate(shown)
        ]
        panel = Panel(f"success under {condition}, %", low=0.0, high=1.0)
        yield artifacts.add_figure(
            f"success-{place:02d}",
            f"Success of each policy on {suite.suite} under {condition}",
            partial(plot_forest, rows, [panel]),
            f"Success under `{condition}`, with 95 % intervals for other initial states; a colour per group.",
            (csv,),
        )


def _starts(rows: list[Any], i: int) -> bool:
    return i > 0 and rows[i].group != rows[i - 1].group


def _groups(suite: SuiteStudy, baseline: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    heads = columns("recipe", "rank")
    yield Table("Ranks of recipes, over their training seeds", heads, suite.group_ranks, note=RANKS)
    values = [group_row(row) for row in suite.groups]
    csv = artifacts.add_table("recipes", values)
    artifacts.add_table("seeds", seed_rows(suite))
    styles = family_styles(row.group for row in values)
    for place, measure in enumerate(dict.fromkeys(row.measure for row in values)):
        mine = [row for row in values if row.measure == measure]
        gains = [row for row in mine if row.gain is not None]
        if gains:
            rows = [
                Row(f"{row.group}, {row.condition}", _marks(row, styles), first=_is_next(gains, i))
                for i, row in enumerate(gains)
            ]
            unit = "" if measure == DRIFT else ", points"
            panels = [
                Panel(f"over seeds{unit}", 0.0, points=measure != DRIFT),
                Panel(f"over episodes{unit}", 0.0, points=measure != DRIFT),
            ]
            caption = f"Gain over {baseline} in {measure}, with 95 % intervals. Filled: a difference is called."
            alt = f"Gains of recipes over {baseline} in {measure}"
            yield artifacts.add_figure(f"recipes-{place}", alt, partial(plot_forest, rows, panels), caption, (csv,))
        table = tuple(
            (
                *(row.group, row.condition, str(row.seeds), spread(row)),
                ranged(row.mean, row.interval, measure) if row.interval else NOTHING,
                *(
                    ranged(row.gain, row.over_seeds, measure),
                    ranged(row.gain, row.over_episodes, measure),
                    p_value(row.p_holm),
                    row.says,
                    row.note,
                ),
            )
            for row in mine
        )
        names = columns(
            *("recipe", "condition", "seeds", "mean ± deviation", "mean [95 % CI over seeds]"),
            *("gain [95 % CI over seeds]", "gain [95 % CI over episodes]", "p, adjusted", "says", "note"),
            words=["condition", "says", "note"],
        )
        yield Table(f"{measure}, over {baseline}", names, table, csv, "" if place else SEEDS)


def _marks(row: Any, styles: Any) -> tuple[Mark, Mark]:
    style: MarkerStyle = styles[row.group]
    filled = bool(row.says)
    return Mark(row.gain, row.over_seeds, style, filled), Mark(row.gain, row.over_episodes, style, filled)


def _is_next(rows: list[Any], i: int) -> bool:
    return i > 0 and rows[i].condition != rows[i - 1].condition


def _gains(suite: SuiteStudy, baseline: str, artifacts: ArtifactCollector) -> Iterator[Block]:
    values = list(gain_rows(suite))
    if not values:
        yield Text(f"No other policy than those of {baseline} is finished, so there is nothing to compare.", "note")
        return
    rows = tuple(
        (
            *(row.policy, row.baseline, row.measure, row.gain.condition, str(row.gain.n)),
            *(ranged(row.gain.gain, row.gain.interval, row.measure), p_value(row.gain.p_holm)),
            *(word(row.gain.direction, row.measure), row.gain.reason),
        )
        for row in values
    )
    heads = columns(
        *("policy", "over", "measure", "condition", "pairs", "gain [95 % CI]", "p, adjusted", "says", "note"),
        words=["over", "measure", "condition", "says", "note"],
    )
    csv = artifacts.add_table("gains", values)
    yield Table("Gains of single policies", heads, rows, csv, PAIRED, folded=bool(suite.groups))


def _representation(suite: SuiteStudy) -> Iterator[Block]:
    names = list(dict.fromkeys(name for one in suite.policies for name, _ in one.representation))
    if not names:
        return
    found = [(one.name, dict(one.representation)) for one in suite.policies]
    rows = tuple(
        (name, *(f"{values[name]:.3f}" if name in values else NOTHING for _, values in found)) for name in names
    )
    heads = columns("distance to clean frames", *(policy for policy, _ in found))
    yield Table("Representation", heads, rows, note="Of all frames of a condition together.", folded=True)
