"""The verdict of a gate: may this be merged? Pure functions of comparisons; the only place with the rules.

Rules, for a margin in success:
- A condition is a **regression** if B is shown to be worse than A (its 95 % interval is below 0, and p < .05 after
  Holm's adjustment over all conditions of all suites), and is not shown to lose less than the margin. A small loss that
  is certain and within the margin is no regression.
- It is **better** if B is shown to be better by the same interval and test.
- It is **no worse** if it is shown to lose less than the margin, at 5 % one-sided; see `simeval.stats.noninferiority`.
- Else it **cannot tell**. Not significant is not "no worse".
- All conditions have to pass. The gate says "no worse" only if each is shown to be, so the chance of that mistake is
  at most 5 % whatever the number of conditions, and no adjustment is needed (intersection-union test, Berger 1982).
- One regression is a regression, whatever the others are. Else a condition that cannot be compared decides, then one
  that cannot tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log10
from typing import Literal

from simeval.analysis.evidence import Evidence
from simeval.config.decisions import MARGIN as MARGIN
from simeval.stats.noninferiority import largest_harm, pairs_to_settle, states_to_settle
from simeval.stats.paired import holm
from simeval.stats.power import ALPHA
from simeval.stats.states import METHOD

Verdict = Literal["better", "no worse", "regression", "cannot tell", "not comparable"]

EXIT_CODES: dict[Verdict, int] = {"better": 0, "no worse": 0, "regression": 3, "cannot tell": 4, "not comparable": 5}
"""Exit code of each verdict; 1 (not to its end) and 2 (bad input) are those of every verb."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on one condition.

    Attributes:
        evidence: what it rests on.
        verdict: see the module.
        p: adjusted over all conditions; `None` without a test.
        loses_at_most: the loss (fraction) that is excluded at 5 % one-sided; negative if B is shown to gain. `None`
            where there is no bound.
        pairs_to_settle: pairs of the condition that would settle it in 80 % of runs, were the difference as estimated;
            `None` where that is settled or has no number.
    """

    evidence: Evidence
    verdict: Verdict
    p: float | None = None
    loses_at_most: float | None = None
    pairs_to_settle: int | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on a run.

    Attributes:
        kind: `compare` for B against A, `run` for conditions against the clean episodes of the same run.
        verdict: of all conditions together.
        margin: the loss that is allowed (fraction).
        conditions: one by one.
        a, b: names of the policies; of a run both are its own.
        reason: why nothing at all can be compared; empty otherwise.
        notes: caveats.
    """

    kind: Literal["compare", "run"]
    verdict: Verdict
    margin: float
    conditions: tuple[Judged, ...]
    a: str
    b: str
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The process's exit code."""
        return EXIT_CODES[self.verdict]

    @property
    def pairs_to_settle(self) -> int | None:
        """Pairs per condition that would settle all that cannot tell; `None` where one of them has no number."""
        needed = [row.pairs_to_settle for row in self.conditions if row.verdict == "cannot tell"]
        known = [pairs for pairs in needed if pairs is not None]
        return max(known) if known and len(known) == len(needed) else None


def judge(
    evidence: Sequence[Evidence], margin: float, *, with_pairs: bool = True
) -> tuple[Verdict, tuple[Judged, ...]]:
    """The verdict on all conditions together, and on each.

    Args:
        evidence: one entry per condition, of all suites.
        margin: the loss that is allowed, a fraction in (0, 1).
        with_pairs: whether to search for `pairs_to_settle`, which takes up to a second for each open condition.
    """
    adjusted = iter(holm([one.p for one in evidence if one.p is not None]))
    tests = sum(one.p is not None for one in evidence)
    judged = tuple(_judge(one, None if one.p is None else next(adjusted), margin) for one in evidence)
    if with_pairs:
        judged = tuple(_with_pairs(row, margin, tests) for row in judged)
    return overall([one.verdict for one in judged]), judged


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on several conditions together."""
    order: tuple[Verdict, ...] = ("regression", "not comparable", "cannot tell", "better")
    if not verdicts:
        return "not comparable"
    return next((verdict for verdict in order if verdict in verdicts), "no worse")


def _judge(one: Evidence, p: float | None, margin: float) -> Judged:
    if one.reason or one.p is None or one.gain is None:
        return Judged(one, "not comparable")
    if one.anytime:
        return _judge_anytime(one, p, margin)
    shown = one.interval is not None and p is not None and p < ALPHA
    bound = _loss_bound(one)
    verdict: Verdict = "cannot tell"
    # Tasks of unequal size may have a weighted gain against the count of pairs, which p is about.
    if shown and one.interval is not None and one.interval.low > 0 and one.only_b > one.only_a:
        verdict = "better"
    elif bound is not None and bound < margin:
        verdict = "no worse"
    elif shown and one.interval is not None and one.interval.high < 0 and one.only_a > one.only_b:
        verdict = "regression"
    return Judged(one, verdict, p, bound)


def _with_pairs(row: Judged, margin: float, tests: int) -> Judged:
    if row.verdict != "cannot tell" or row.evidence.anytime:
        return row
    return replace(row, pairs_to_settle=_pairs_to_settle(row.evidence, margin, tests))


def _judge_anytime(one: Evidence, p: float | None, margin: float) -> Judged:
    """A verdict that holds at any look is taken as it is; its level is in `simeval.stats.anytime`."""
    bound = None if one.interval is None else -one.interval.low
    if one.settled == "within" or (one.settled and bound is not None and bound < margin):
        return Judged(one, "no worse", p, bound)
    if one.settled:
        return Judged(one, "regression", p, bound)
    return Judged(one, "cannot tell", p, bound, one.n + one.more_pairs if one.more_pairs else None)


def _loss_bound(one: Evidence) -> float | None:
    """The loss that is excluded at 5 % one-sided; see `simeval.stats.noninferiority`."""
    if one.interval_90 is None:
        return None
    if one.only_b or _over_states(one):
        return -one.interval_90.low
    # None is helped, so the loss is the share of harmed states, each with its weight.
    states = one.n_eff or one.units
    return max(-one.interval_90.low, largest_harm(-(one.gain or 0.0) * states, states))


def _over_states(one: Evidence) -> bool:
    """Whether repeats of an initial state differ, so that the interval is Student's t over the states."""
    return one.interval_90 is not None and one.interval_90.method == METHOD.format("t", one.units)


def _pairs_to_settle(one: Evidence, margin: float, tests: int) -> int | None:
    """In pairs of the condition, of its tasks in the same proportions; with repeats, states times their repeats."""
    loss, states = -(one.gain or 0.0), one.n_eff or one.units
    if one.interval_90 is not None and _over_states(one):
        units = states_to_settle(one.interval_90, loss, margin, states=states, tests=tests)
    else:
        units = pairs_to_settle(loss, margin, background=one.background, tests=tests, beyond=states)
    return None if units is None else _two_digits(units * one.n / states)


def _two_digits(pairs: float) -> int:
    """Rounded up to two digits that count: an estimate has no more."""
    unit: int = 10 ** max(0, floor(log10(pairs)) - 1)
    return ceil(pairs / unit) * unit
