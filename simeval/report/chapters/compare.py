"""The chapter that compares two runs."""

from collections.abc import Iterator, Sequence
from functools import partial

from simeval.analysis.compare import Comparison, SuiteChange
from simeval.report.blocks import ArtifactCollector, Block, BulletList, Chapter, Table, Text, columns
from simeval.report.figures.forest import Mark, Panel, Row, plot_forest
from simeval.report.figures.style import INK, MarkerStyle
from simeval.report.format import NOTHING, decimal, p_value, with_interval
from simeval.report.text import format_number, format_with_ci
from simeval.stats.change import Gain
from simeval.stats.retention import Retention

PLAIN = MarkerStyle(INK, "o")


def comparison_chapter(comparison: Comparison, artifacts: ArtifactCollector) -> Chapter:
    """Success, robustness and drift, before and after."""
    blocks: list[Block] = [
        Text(f"A, before: {comparison.a}. B, after: {comparison.b}. Gains are positive where B is better."),
        Text(comparison.assets, "note"),
    ]
    if comparison.notes:
        blocks.append(BulletList(comparison.notes))
    for part in comparison.suites:
        blocks += _suite(part, artifacts.scoped("compare", part.suite))
    if not comparison.suites:
        blocks.append(Text("The two runs have no suite in common.", "note"))
    return Chapter("Before and after", tuple(blocks), level=2, anchor="compare")


def _suite(part: SuiteChange, artifacts: ArtifactCollector) -> Iterator[Block]:
    overall = part.change.overall
    if overall.gain is None:
        yield Text(f"{part.suite}: nothing can be compared ({overall.reason}).", "note")
    else:
        yield Text(
            f"{part.suite}: over all perturbed conditions B loses {decimal(overall.gain)} points less than A "
            f"{_limits(overall)}, p {p_value(overall.p)}{_share_kept(part)}: {overall.direction}.",
            "verdict",
        )
    success, robustness = part.change.success, {row.condition: row for row in part.change.robustness}
    csv = artifacts.add_table("success", success), artifacts.add_table("robustness", part.change.robustness)
    if any(row.gain is not None for row in success):
        rows = [Row(row.condition, (_mark(row), _mark(robustness.get(row.condition)))) for row in success]
        panels = [Panel("gain in success, points", 0.0), Panel("gain in robustness, points", 0.0)]
        caption = "B minus A in success, and A's drop minus B's, with 95 % intervals. Filled: called better or worse."
        yield artifacts.add_figure(
            "gains", f"Gains of B over A on {part.suite}", partial(plot_forest, rows, panels), caption, csv
        )
    heads: tuple[str, ...] = (
        "condition",
        "episodes",
        "A %",
        "B %",
        "only A / only B",
        "gain, points [95 % CI]",
        _adjusted(success),
        "says",
        "note",
    )
    table = tuple(_row(row, f"{_count(row.only_a)} / {_count(row.only_b)}") for row in success)
    yield Table(f"Success on {part.suite}", columns(*heads, words=["says", "note"]), table, csv[0])
    p_head = _adjusted(part.change.robustness)
    heads = ("condition", "pairs", "drop A", "drop B", "gain, points [95 % CI]", p_head, "says", "note")
    table = tuple(_row(row) for row in part.change.robustness)
    note = (
        "Robustness is the difference of the drops: a policy that got better everywhere is not thereby more robust. "
        "Points punish the better policy, so a word needs the success kept to agree; else it depends on the scale."
    )
    yield Table(f"Robustness on {part.suite}", columns(*heads, words=["says", "note"]), table, csv[1], note)
    yield from _kept(part, artifacts)
    yield from _drift(part.suite, part.drift, artifacts)


def _kept(part: SuiteChange, artifacts: ArtifactCollector) -> Iterator[Block]:
    rows = tuple(
        (
            *(row.condition, str(row.n)),
            *(
                with_interval(share, interval) if interval else decimal(share)
                for share, interval in ((row.a, row.a_interval), (row.b, row.b_interval))
            ),
            *(format_with_ci(row.ratio, row.interval), p_value(row.p_holm), row.reason),
        )
        for row in part.change.retention
    )
    heads = (
        "condition",
        "pairs",
        "A keeps, %",
        "B keeps, %",
        "B / A [95 % CI]",
        _adjusted(part.change.retention),
        "note",
    )
    note = "Kept: perturbed over clean success, on the same pairs."
    csv = artifacts.add_table("retention", part.change.retention)
    yield Table(f"Success kept on {part.suite}", columns(*heads, words=["note"]), rows, csv, note)


def _share_kept(part: SuiteChange) -> str:
    kept = part.change.overall_retention
    if kept is None or kept.a is None or kept.b is None:
        return ""
    return f"; B keeps {decimal(kept.b)} % of its clean success, A {decimal(kept.a)} %"


def _adjusted(rows: Sequence[Gain | Retention]) -> str:
    count = sum(row.p is not None for row in rows)
    return "p" if count < 2 else f"p, adjusted for {count} comparisons"


def _drift(suite: str, gains: Sequence[Gain], artifacts: ArtifactCollector) -> Iterator[Block]:
    if not gains:
        yield Text(f"{suite}: drift before and after needs an audit of both runs.", "note")
        return
    rows = tuple(
        (
            *(row.condition, str(row.n), format_number(row.a, 3), format_number(row.b, 3)),
            *(format_with_ci(row.gain, row.interval, 3), p_value(row.p_holm), row.direction, row.reason),
        )
        for row in gains
    )
    heads = ("condition", "frames", "drift A", "drift B", "less drift [95 % CI]", _adjusted(gains), "says", "note")
    yield Table(f"Drift on {suite}", columns(*heads, words=["says", "note"]), rows, artifacts.add_table("drift", gains))


def _row(row: Gain, *more: str) -> tuple[str, ...]:
    gain = with_interval(row.gain, row.interval) if row.interval else decimal(row.gain)
    start = (row.condition, str(row.n), decimal(row.a), decimal(row.b), *more)
    return (*start, gain, p_value(row.p_holm), row.direction, row.reason)


def _mark(row: Gain | None) -> Mark:
    if row is None:
        return Mark(None, None, PLAIN)
    return Mark(row.gain, row.interval, PLAIN, filled=row.direction in ("better", "worse"))


def _limits(row: Gain) -> str:
    return "(no interval)" if row.interval is None else f"({decimal(row.interval.low)} to {decimal(row.interval.high)})"


def _count(count: int | None) -> str:
    return NOTHING if count is None else str(count)
