"""The verdict on a correlation, and its caveats. Our rules, fixed beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simeval.stats.association import Association
from simeval.stats.clusters import MIN_CLUSTERS, MIN_FOR_INTERVAL, clusters_needed
from simeval.stats.loco import Loco
from simeval.stats.reliability import Reliability
from simeval.stats.study import Point
from simeval.stats.within_task import WithinTask

Word = Literal["useful for ranking", "orders strengths of one kind", "not predictive", "undecided"]

USEFUL = 0.5
"""Useful: the lower limit of the rank correlation is above this. Strength alone can earn that: kinds are asked too."""
USELESS = 0.3
"""Not predictive: the upper limit is below this."""
ALPHA = 0.05
"""Kinds are ordered if the p-value of their correlation is below this, or its lower limit above 0."""
MOVED = 0.1
"""A condition is influential if leaving it out changes the correlation by more."""
SATURATED = 1 / 3
"""Share of saturated cells above which there is a caveat."""
UNEQUAL = (
    "Tasks have unequal numbers of pairs: the drops beside drift weigh every pair equally, those of the table of drops "
    "every task."
)
"""Caveat of drops that differ from those of the same run's table."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a correlation.

    Attributes:
        word: see the rules above.
        reason: the evidence, as text.
        more_kinds: approximate number of further kinds of perturbation (families) that could decide; `None` if none
            would, or if it is decided. More strengths of the same kinds decide nothing.
    """

    word: Word
    reason: str
    more_kinds: int | None = None


@dataclass(frozen=True, slots=True)
class Saturation:
    """Task x condition cells in which all episodes succeeded or all failed: they cannot be ordered."""

    saturated: int
    cells: int


def classify(association: Association, families: Association, loco: Loco) -> Verdict:
    """The verdict on drift as a predictor of the drop.

    Args:
        association: Spearman's correlation of the primary drift with the drop, between conditions.
        families: the same of the families' means.
        loco: leave-one-family-out prediction.
    """
    rho, interval, k, kinds = association.value, association.ci_conditions, association.k, association.n_clusters
    if rho is None or interval is None:
        more = max(MIN_FOR_INTERVAL - k, MIN_CLUSTERS - kinds)
        return Verdict("undecided", association.reason or "no interval", more if more > 0 else None)
    summary = f"rank correlation {rho:.2f} [{interval.low:.2f}, {interval.high:.2f}] over {_counts(k, kinds)}"
    if interval.high < USELESS:
        return Verdict("not predictive", f"{summary}: the upper limit is below {USELESS}")
    if interval.low > USEFUL:
        return _useful(summary, families, loco, several=k > kinds)
    if USELESS <= rho <= USEFUL:
        return Verdict("undecided", f"{summary}: between {USELESS} and {USEFUL}, where more kinds decide nothing")
    bound, limit = (USEFUL, interval.low) if rho > USEFUL else (USELESS, interval.high)
    needed = clusters_needed(rho, bound, limit, kinds, interval.level)
    if needed is None:
        return Verdict("undecided", f"{summary}: too close to {bound} to be decided by more kinds")
    more = max(1, needed - kinds)
    return Verdict("undecided", f"{summary}: needs about {more} more kind{'s' * (more > 1)} of perturbation", more)


def _useful(summary: str, families: Association, loco: Loco, *, several: bool) -> Verdict:
    """The verdict on a high correlation; `several`: at least one family has several conditions."""
    if loco.skill is None:
        return Verdict("undecided", f"{summary}, but no kind could be predicted from the others: {loco.reason}")
    ordered = families.value is not None and families.value > 0
    certain = (families.p is not None and families.p < ALPHA) or (
        families.ci_conditions is not None and families.ci_conditions.low > 0
    )
    skilled = loco.skill > 0
    if ordered and certain and skilled:
        return Verdict("useful for ranking", f"{summary}; skill for a new kind {loco.skill:.2f}")
    if not several:
        lacking = "it predicts no better than the mean of the other conditions"
        return Verdict("undecided", f"{summary}, but {lacking}")
    lacking = "kinds are not shown to be ordered" if skilled else "a new kind is predicted no better than by the mean"
    return Verdict("orders strengths of one kind", f"{summary}, but {lacking}")


def _counts(conditions: int, kinds: int) -> str:
    return f"{conditions} conditions of {kinds} kind{'s' * (kinds != 1)}"


def saturation(successes: Sequence[float], n: Sequence[float]) -> Saturation:
    """Count the saturated cells."""
    k, total = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    return Saturation(int(((k == 0) | (k == total)).sum()), len(total))


def caveats(
    points: Sequence[Point],
    association: Association,
    inside: WithinTask | None,
    ceiling: Reliability,
    saturated: Saturation,
    margin: float,
) -> tuple[str, ...]:
    """Caveats of the correlation, worst first; may be empty.

    Args:
        points: the included conditions.
        association: between conditions.
        inside: within tasks; `None` where drift was not measured per task.
        ceiling: of the drops.
        saturated: count of saturated cells.
        margin: drops below this count as robust (fraction).
    """
    rho, sentences = association.value, []
    if inside is not None and rho is not None and inside.rho is not None and rho * inside.rho < 0:
        sentences.append(
            f"Between conditions the rank correlation is {rho:.2f}, within tasks {inside.rho:.2f}: the sign is "
            "reversed (Simpson's paradox), so the first must not be read alone."
        )
    drops = [point.drop for point in points if point.drop is not None]
    if points and all(point.clean_rate == 0 for point in points):
        sentences.append("The policy never succeeded when unperturbed: there is no success to lose.")
    elif drops and max(drops) < margin:
        sentences.append(
            f"No condition costs more than {100 * margin:.0f} points: mild perturbations alone cannot show a relation."
        )
    if saturated.cells and saturated.saturated > SATURATED * saturated.cells:
        sentences.append(
            f"In {saturated.saturated} of {saturated.cells} cells (task x condition) all episodes succeeded or all "
            "failed: these carry no order."
        )
    sentences += _influential_condition(points, association)
    if ceiling.share == 0:
        sentences.append(
            "The drops differ no more than their noise does: it takes more episodes before a relation can show."
        )
    return tuple(sentences)


def _influential_condition(points: Sequence[Point], association: Association) -> list[str]:
    rho, low, high, index = association.value, association.loo_min, association.loo_max, association.loo_point
    if rho is None or index is None:
        return []
    name = points[index].condition
    if low is None or high is None:
        return [f"Without `{name}` there is no correlation left to compute."]
    if max(rho - low, high - rho) <= MOVED:
        return []
    return [f"One condition makes the correlation: without `{name}` it changes most (range {low:.2f} to {high:.2f})."]
