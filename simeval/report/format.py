"""Formats numbers as text. Rates are in per cent, differences in points, both with one decimal."""

from collections import Counter
from collections.abc import Iterable, Sequence

from simeval.analysis.success import ConditionDrop, ConditionRate, OverallRate, RunAnalysis
from simeval.core.chances import counted, findable
from simeval.core.types import CLEAN
from simeval.stats.intervals import Interval
from simeval.stats.power import ALPHA, fewest_harmed

MANY = 3
"""Undecided conditions that are described one by one; of more, the names alone."""
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
        return f"{policy}: no episode ran to its end ({counted(errors, 'error')})."
    broken = sum(row.errors for row in run.rates)
    end = f"; {counted(broken, 'episode')} broke." if broken else "."
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
    """The conditions by verdict: `drop: a, b | costs less than 5.0 points (each at 5 % risk): c | cannot tell: ...`."""
    labels = {
        "drop": "drop",
        "within margin": f"costs less than {decimal(margin)} points (each at {100 * ALPHA:.0f} % risk)",
        None: "n/a",
    }
    conditions = {label: [row.condition for row in drops if row.verdict == key] for key, label in labels.items()}
    parts = {label: f"{label}: {', '.join(names)}" for label, names in conditions.items() if names}
    undecided = [row for row in drops if row.verdict == "undecided"]
    refused = parts.pop("n/a", None)
    return " | ".join(filter(None, (*parts.values(), _cannot_tell(undecided) if undecided else None, refused)))


def _cannot_tell(rows: Sequence[ConditionDrop]) -> str:
    """What undecided conditions may cost, and how many pairs would decide."""
    if len(rows) <= MANY:
        text = "cannot tell: " + "; ".join(f"{row.condition} {_may_cost(row)}" for row in rows)
    else:
        text = f"cannot tell, see their intervals: {', '.join(row.condition for row in rows)}"
    more = sorted({row.more_pairs for row in rows if row.more_pairs is not None})
    if not more:
        return text
    about = str(more[0]) if len(more) == 1 else f"{more[0]} to {more[-1]}"
    return f"{text}; about {about} more pairs, of other initial states, would decide"


def _may_cost(row: ConditionDrop) -> str:
    if row.interval is None:
        return f"(too few pairs: {row.pairs})"
    costs, gains = decimal(max(0.0, row.interval.high)), decimal(-row.interval.low)
    return f"may cost up to {costs} points" + (f" or gain {gains}" if row.interval.low < 0 else "")


def findable_text(drops: tuple[ConditionDrop, ...]) -> str:
    """What comparisons of this size can find, and from where on a drop is called."""
    sizes = [row.sensitivity for row in drops if row.sensitivity is not None]
    if not sizes:
        return "No comparison was made."
    states = any((row.sensitivity.pairs if row.sensitivity else row.pairs) < row.pairs for row in drops)
    return findable(sizes, "initial state" if states else "pair")


def adjusted(drops: Sequence[ConditionDrop]) -> int:
    """Number of comparisons that p-values are adjusted for; with several suites the largest."""
    sizes = [row.sensitivity.tests for row in drops if row.sensitivity is not None]
    # Without a fixed size there is no record of what it can find; the suite's conditions are adjusted for all the same.
    tested = Counter(row.suite for row in drops if row.p_holm is not None)
    return max(sizes or tested.values(), default=0)


def with_drop(row: ConditionDrop) -> str:
    """A drop in points with its interval; with fewer pairs than can ever show a drop, that they are so few."""
    if row.drop is None or row.interval is not None:
        return with_interval(row.drop, row.interval)
    counted_once = row.sensitivity is not None and row.sensitivity.pairs < row.pairs
    return f"{decimal(row.drop)} ({'states' if counted_once else 'n'} < {fewest_harmed()})"


def error_notes(rates: tuple[ConditionRate, ...], drops: tuple[ConditionDrop, ...]) -> list[str]:
    """One line per condition with errors, and per comparison with a caveat."""
    lines = [
        f"{row.condition} on {row.suite}: {counted(row.errors, 'error')} left out; success would be "
        f"{decimal(row.rate_if_errors_fail)} % if all had failed, "
        f"{decimal(row.rate_if_errors_succeed)} % if all had succeeded."
        for row in rates
        if row.errors
    ]
    return lines + [
        f"{row.condition} on {row.suite}: drop {row.note} ({counted(row.pairs, 'pair')}, {row.missing} missing)."
        for row in drops
        if row.note
    ]


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
        f"{spread}, {counts} ({_not_shown(row)})"
    )


def _not_shown(row: ConditionDrop) -> str:
    if row.verdict == "within margin":
        return "within margin"
    tests = adjusted([row])
    if row.interval is not None and row.interval.low > 0 and tests > 1:
        return f"cannot tell: p {p_value(row.p_holm)} after adjusting for {tests} comparisons"
    return "cannot tell"


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
