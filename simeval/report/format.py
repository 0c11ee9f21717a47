"""Formats numbers as text. Rates are in per cent, differences in points, both with one decimal."""

from collections.abc import Iterable

from simeval.analysis.success import ConditionDrop, ConditionRate, OverallRate, RunAnalysis
from simeval.core.types import CLEAN
from simeval.stats.intervals import Interval

OVER_STATES = " initial states"
"""End of the names of methods whose sample are the initial states; see `simeval.stats.states`."""
NOTHING = "-"
"""Printed if there is no number."""


def decimal(fraction: float | None) -> str:
    """A fraction in per cent or points, without the unit: `0.874` -> `87.4`."""
    return NOTHING if fraction is None else f"{100 * fraction:z.1f}"


def with_interval(value: float | None, interval: Interval | None) -> str:
    """`87.4 [84.2, 90.0]`; `-` without a value."""
    if value is None or interval is None:
        return NOTHING
    return f"{decimal(value)} [{decimal(interval.low)}, {decimal(interval.high)}]"


def p_value(p: float | None) -> str:
    """Three decimals; never 0."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def headline(policy: str, run: RunAnalysis) -> str:
    """The result in one sentence: the clean rate, and the condition with the largest drop.

    Args:
        policy: name of the policy.
        run: the tables of the run.
    """
    suites = list(dict.fromkeys(row.suite for row in run.rates))
    if not any(row.n for row in run.rates):
        errors = sum(row.errors for row in run.rates)
        return f"{policy}: no episode ran to its end ({_count(errors, 'error')})."
    broken = sum(row.errors for row in run.rates)
    end = f"; {_count(broken, 'episode')} broke." if broken else "."
    where = suites[0] if len(suites) == 1 else f"{len(suites)} suites"
    rates: tuple[ConditionRate | OverallRate, ...] = run.rates if len(suites) == 1 else run.overall
    clean = next((row for row in rates if row.condition == CLEAN and row.rate is not None), None)
    start = f"{policy} on {where}: " + (
        f"{decimal(clean.rate)} % {_range(clean.interval)} clean" if clean else "no clean rate"
    )
    tested = [row for row in run.drops if row.drop is not None]
    if not run.drops:
        return f"{start}{end}"
    if not tested:
        return f"{start}; no comparison is possible, too many pairs are missing{end}"
    worst = max(tested, key=lambda row: (row.verdict == "drop", row.drop))
    return f"{start}; {_cost(worst, several=len(suites) > 1)}{end}"


def verdicts(drops: tuple[ConditionDrop, ...], margin: float) -> str:
    """The conditions by verdict: `drop: a, b | within 5.0 points: c | undecided: d`."""
    labels = {
        "drop": "drop",
        "within margin": f"within {decimal(margin)} points",
        "undecided": "undecided",
        None: "n/a",
    }
    conditions = {label: [row.condition for row in drops if row.verdict == key] for key, label in labels.items()}
    return " | ".join(f"{label}: {', '.join(names)}" for label, names in conditions.items() if names)


def smallest_visible_text(drops: tuple[ConditionDrop, ...]) -> str:
    """A sentence about the drops that the run is too small to show."""
    tested = [row for row in drops if row.drop is not None]
    limits = [row.smallest_visible for row in tested if row.smallest_visible is not None]
    if not tested:
        return "No comparison was made."
    if len(limits) < len(tested):
        return "This run has too few pairs to show any drop" + (" in some conditions." if limits else ".")
    low, high = decimal(min(limits)), decimal(max(limits))
    limits_text = f"{high} points" if low == high else f"{low} to {high} points, depending on the condition"
    return f"This run could not see drops below {limits_text} (80 % power, p < .05 after Holm)."


def error_notes(rates: tuple[ConditionRate, ...], drops: tuple[ConditionDrop, ...]) -> list[str]:
    """One line per condition with errors, and per comparison with a caveat."""
    lines = [
        f"{row.condition} on {row.suite}: {_count(row.errors, 'error')} left out; success would be "
        f"{decimal(row.rate_if_errors_fail)} % if all had failed, "
        f"{decimal(row.rate_if_errors_succeed)} % if all had succeeded."
        for row in rates
        if row.errors
    ]
    return lines + [
        f"{row.condition} on {row.suite}: drop {row.note} ({_count(row.pairs, 'pair')}, {row.missing} missing)."
        for row in drops
        if row.note
    ]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _range(interval: Interval) -> str:
    return f"({decimal(interval.low)} to {decimal(interval.high)})"


def _cost(row: ConditionDrop, *, several: bool) -> str:
    where = f" on {row.suite}" if several else ""
    spread = "" if row.interval is None else f" {_range(row.interval)}"
    counts = f"{row.harmed} harmed, {row.helped} helped of {row.pairs}"
    if row.verdict == "drop":
        return f"`{row.condition}`{where} costs {decimal(row.drop)} points{spread}, {counts}"
    return (
        f"no drop is established; the largest estimate is `{row.condition}`{where} with {decimal(row.drop)} points"
        f"{spread}, {counts} ({row.verdict})"
    )


def paired_methods(intervals: Iterable[Interval | None]) -> tuple[str, str]:
    """Names of the interval and the test of paired differences: `Bonett-Price on pairs`, `McNemar's exact test`.

    Args:
        intervals: the displayed intervals; with repeats they are over initial states, and their method has the number.
    """
    methods = dict.fromkeys(interval.method for interval in intervals if interval is not None)
    several = [method for method in methods if method.endswith(OVER_STATES)]
    if not several:
        return "Bonett-Price on pairs", "McNemar's exact test"
    return " or ".join(several), "the exact sign-flip test over these states, as repeats of a state are not independent"
