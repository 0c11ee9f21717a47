"""Terminal tables of a comparison of two runs."""

from collections.abc import Iterable, Sequence
from textwrap import fill

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.analysis.compare import Comparison, SuiteChange
from simeval.report.format import NOTHING, decimal, p_value, paired_methods, with_interval
from simeval.report.terminal.tables import ROOMY, plain_table
from simeval.report.text import format_with_ci
from simeval.stats.change import Gain
from simeval.stats.retention import Retention

METHODS = (
    "success: difference of rates on the same episodes, {}; robustness: "
    "difference of the drops against each policy's own clean episodes, sign-flip test over initial states; kept: "
    "perturbed over clean success, t test on the log ratio over initial states; a policy is called better or worse in "
    "robustness only where both agree; p adjusted by Holm."
)
DRIFT = (
    "drift: mean `drift_exec` on the same frames, in training standard deviations per dimension of each policy; "
    "sign-flip test over episodes."
)
_REASON = 18
"""Characters per line of a reason, which stands where a number would."""


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the comparison of run B with run A."""
    console.print(render_comparison(comparison, roomy=console.width >= ROOMY))


def render_comparison(comparison: Comparison, *, roomy: bool = False) -> Group:
    """One sentence, then success, robustness and drift per suite."""
    parts: list[RenderableType] = [
        Text(sentence(comparison), style="bold"),
        Text(f"A: {comparison.a}"),
        Text(f"B: {comparison.b}"),
        Text(),
    ]
    for suite in comparison.suites:
        parts += [_success(suite, roomy=roomy), Text()]
        if suite.change.robustness:
            overall = [suite.change.overall] if len(suite.change.robustness) > 1 else []
            parts += [_drops(suite, [*suite.change.robustness, *overall], roomy=roomy), Text()]
            parts += [_kept(suite, roomy=roomy), Text()]
        if suite.drift:
            parts += [_drift(suite, roomy=roomy), Text(DRIFT), Text()]
    parts += [Text(f"note: {note}") for note in comparison.notes]
    interval, test = paired_methods(gain.interval for suite in comparison.suites for gain in suite.change.success)
    used = f"interval by {interval}, {test}"
    return Group(*parts, Text(METHODS.format(used)), Text(comparison.assets))


def sentence(comparison: Comparison) -> str:
    """The result as a sentence: where B is better or worse, and the change of the clean rate."""
    sentences = []
    for suite in comparison.suites:
        clean, *others = suite.change.success
        text = f"{suite.suite}: B {_verb(clean)} clean ({with_interval(clean.gain, clean.interval)} points)"
        for word in ("better", "worse"):
            names = [gain.condition for gain in others if gain.direction == word]
            text += f", {word} under {', '.join(names)}" if names else ""
        sentences.append(text)
    return "; ".join(sentences) + "."


def _verb(gain: Gain) -> str:
    return {"better": "better than A", "worse": "worse than A"}.get(gain.direction, "not shown to differ from A")


def _success(suite: SuiteChange, *, roomy: bool) -> Table:
    table = plain_table(f"{suite.suite}, success", "condition", roomy=roomy)
    header = _adjusted_for(suite.change.success)
    _columns(table, "n", "A %", "B %", "gain, points\n[95 % CI]", "only A /\nonly B", header, "")
    for gain in suite.change.success:
        counts = NOTHING if gain.only_a is None else f"{gain.only_a} / {gain.only_b}"
        cells = (
            decimal(gain.a),
            decimal(gain.b),
            with_interval(gain.gain, gain.interval),
            counts,
            p_value(gain.p_holm),
        )
        table.add_row(Text(gain.condition), str(gain.n), *cells, _direction(gain))
    return table


def _drops(suite: SuiteChange, gains: Iterable[Gain], *, roomy: bool) -> Table:
    table = plain_table(f"{suite.suite}, drop against `none`", "condition", roomy=roomy)
    _columns(table, "n", "A points", "B points", "A - B\n[95 % CI]", _adjusted_for(suite.change.robustness), "")
    for gain in gains:
        cells = (decimal(gain.a), decimal(gain.b), with_interval(gain.gain, gain.interval), p_value(gain.p_holm))
        table.add_row(Text(gain.condition or "mean over conditions"), str(gain.n), *cells, _direction(gain))
    return table


def _kept(suite: SuiteChange, *, roomy: bool) -> Table:
    table = plain_table(f"{suite.suite}, success kept of `none`", "condition", roomy=roomy)
    _columns(table, "A %\n[95 % CI]", "B %\n[95 % CI]", "B / A\n[95 % CI]", _adjusted_for(suite.change.retention))
    overall = suite.change.overall_retention
    for kept in (*suite.change.retention, *([overall] if overall and len(suite.change.retention) > 1 else [])):
        ratio = format_with_ci(kept.ratio, kept.interval) if kept.ratio is not None else fill(kept.reason, _REASON)
        shares = [
            with_interval(share, interval) if interval else decimal(share)
            for share, interval in ((kept.a, kept.a_interval), (kept.b, kept.b_interval))
        ]
        table.add_row(Text(kept.condition or "mean over conditions"), *shares, ratio, p_value(kept.p_holm))
    return table


def _drift(suite: SuiteChange, *, roomy: bool) -> Table:
    table = plain_table(f"{suite.suite}, offline action drift", "condition", roomy=roomy)
    _columns(table, "frames", "A", "B", "A - B\n[95 % CI]", _adjusted_for(suite.drift), "")
    for gain in suite.drift:
        interval = gain.interval
        difference = NOTHING if gain.gain is None else f"{gain.gain:z.3f}"
        difference += f" [{interval.low:z.3f}, {interval.high:z.3f}]" if interval else ""
        cells = [NOTHING if value is None else f"{value:.3f}" for value in (gain.a, gain.b)]
        table.add_row(Text(gain.condition), str(gain.n), *cells, difference, p_value(gain.p_holm), _direction(gain))
    return table


def _adjusted_for(rows: Sequence[Gain | Retention]) -> str:
    """The header of adjusted p-values."""
    count = sum(row.p is not None for row in rows)
    return "p" if count < 2 else f"p, adjusted\nfor {count}"


def _columns(table: Table, *headers: str) -> None:
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)


def _direction(gain: Gain) -> str:
    words = {"no difference shown": "", "depends on the scale": "depends on\nthe scale"}
    return fill(gain.reason, _REASON) or words.get(gain.direction, gain.direction)
