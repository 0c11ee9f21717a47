"""A gate's verdict in words; the terminal, Markdown and JUnit share them."""

from collections.abc import Sequence

from envs.suites import find_suite, is_suite, tasks
from simeval.analysis.gate import EXIT_CODES, Gate, Judged, Verdict
from simeval.core.chances import counted
from simeval.core.types import CLEAN
from simeval.report.format import decimal, p_value, with_interval
from simeval.stats.power import ALPHA

NAMED = 4
"""Conditions that a sentence names; of more, the first ones and the number of the others."""


def headline(gate: Gate) -> str:
    """The verdict, its exit code, and why."""
    return f"gate: {gate.verdict} (exit code {gate.exit_code}): {reason(gate)}"


def sentence(gate: Gate) -> str:
    """Why the verdict is what it is, as a sentence of its own."""
    text = reason(gate)
    return f"{text[:1].upper()}{text[1:]}."


def reason(gate: Gate) -> str:
    """Why the verdict is what it is, after a colon."""
    if not gate.conditions:
        return gate.reason or "there is no condition to judge"
    better, worse, points = _words(gate), _losing(gate), decimal(gate.margin)
    match gate.verdict:
        case "better":
            return f"{better} under {names(gate, 'better')}, and no condition loses {points} points or more"
        case "no worse":
            every = "the one condition" if len(gate.conditions) == 1 else f"each of {len(gate.conditions)} conditions"
            return f"{every} is shown to lose less than {points} points"
        case "regression":
            return f"{worse} under {names(gate, 'regression')}, and not shown to lose less than {points} points there"
        case "cannot tell":
            who = "B" if gate.kind == "compare" else "the policy"
            return f"under {names(gate, 'cannot tell')} {who} may lose {points} points or more; {more_pairs(gate)}"
        case _:
            row = next(row for row in gate.conditions if row.verdict == "not comparable")
            return f"under {names(gate, 'not comparable')}: {row.evidence.reason or 'no pair'}"


def _words(gate: Gate) -> str:
    return "B is better than A" if gate.kind == "compare" else "more success than clean"


def _losing(gate: Gate) -> str:
    return "B is worse than A" if gate.kind == "compare" else "less success than clean"


def names(gate: Gate, verdict: Verdict) -> str:
    """The conditions with a verdict; with several suites, with theirs."""
    several = len({row.evidence.suite for row in gate.conditions}) > 1
    rows = [row.evidence for row in gate.conditions if row.verdict == verdict]
    labels = [f"{row.condition} ({row.suite})" if several else row.condition for row in rows]
    more = len(labels) - NAMED
    return ", ".join(labels[:NAMED]) + (f" and {counted(more, 'other')}" if more > 0 else "")


def more_pairs(gate: Gate) -> str:
    """How many pairs would settle what cannot be told."""
    open_rows = [row for row in gate.conditions if row.verdict == "cannot tell"]
    now = min(row.evidence.n for row in open_rows)
    needed = gate.pairs_to_settle
    if needed is None:
        return f"{counted(now, 'pair')} are too few, and no reasonable number would settle it if all is as estimated"
    text = f"about {needed} pairs per condition would settle it (now {now}), if all is as estimated"
    short = [f"{suite} has {has}" for suite, has in _available(open_rows).items() if has < needed]
    return f"{text}; {', '.join(short)}: choose a wider --margin" if short else text


def _available(rows: Sequence[Judged]) -> dict[str, int]:
    """Pairs that the known ones of these suites have at most, with the repeats that were run."""
    repeats = {row.evidence.suite: row.evidence.n / max(1, row.evidence.units) for row in rows}
    return {
        suite: round(len(tasks(suite)) * find_suite(suite).init_states * each)
        for suite, each in repeats.items()
        if is_suite(suite)
    }


def excluded_loss(row: Judged, margin: float) -> str:
    """The loss that is excluded: `4.2`, in points; with more digits where it is rounded to the margin."""
    loss = row.loses_at_most
    if loss is None or decimal(loss) != decimal(margin):
        return decimal(loss)
    longer = (f"{100 * loss:.{digits}f}" for digits in (2, 3, 4))
    return next((text for text in longer if float(text) != 100 * margin), decimal(loss))


def why(row: Judged, margin: float) -> str:
    """Why one condition has its verdict."""
    one, points = row.evidence, decimal(margin)
    match row.verdict:
        case "better":
            return f"gains {with_interval(one.gain, one.interval)} points, p {p_value(row.p)}"
        case "no worse":
            lost = " although it does lose" if row.p is not None and row.p < ALPHA and (one.gain or 0) < 0 else ""
            return f"loses less than {points} points{lost}: at most {excluded_loss(row, margin)}, at 5 % risk"
        case "regression":
            loss = with_interval(one.gain, one.interval)
            return f"loses: {loss} points, p {p_value(row.p)}, and not shown to lose less than {points}"
        case "cannot tell":
            may = f"may lose up to {excluded_loss(row, margin)} points" if row.loses_at_most is not None else "no bound"
            needed = f"; about {row.pairs_to_settle} pairs would settle it" if row.pairs_to_settle else ""
            return f"{may} with {counted(one.n, 'pair')}{needed}"
        case _:
            return one.reason or "no pair"


def methods(gate: Gate) -> str:
    """The rules, and the tests that they use."""
    points = decimal(gate.margin)
    what = (
        "B minus A on the same episodes" if gate.kind == "compare" else f"perturbed minus `{CLEAN}` in the same pairs"
    )
    rules = (
        f"Margin {points} points of success; gain: {what}. regression: worse (95 % interval below 0, p < .05 by "
        f"Holm over all conditions) and not shown to lose less than the margin; no worse: a loss of {points} points is "
        "excluded at 5 % one-sided in every condition; cannot tell: neither."
    )
    if any(row.evidence.anytime for row in gate.conditions):
        rules += " Verdicts of --until decided, which hold at any look, are taken as they are."
    return rules


def exit_codes() -> str:
    """The exit codes in one line."""
    codes: dict[int, list[str]] = {}
    for verdict, code in EXIT_CODES.items():
        codes.setdefault(code, []).append(verdict)
    return ", ".join(f"{code} {' or '.join(words)}" for code, words in codes.items())
