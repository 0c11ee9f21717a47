"""The verdict on a correlation, and its caveats. Our rules, fixed beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh
from typing import Literal

import numpy as np

from simeval.stats.association import MIN_FOR_BOOTSTRAP, MIN_FOR_INTERVAL, Association, points_needed
from simeval.stats.loco import Loco
from simeval.stats.reliability import Reliability
from simeval.stats.study import Point
from simeval.stats.within_task import WithinTask

Word = Literal["useful for ranking", "not predictive", "undecided"]

USEFUL = 0.5
"""Useful: the lower limit of the rank correlation is above this."""
USELESS = 0.3
"""Not predictive: the upper limit is below this."""
MOVED = 0.1
"""A condition is influential if leaving it out changes the correlation by more."""
SATURATED = 1 / 3
"""Share of saturated cells above which there is a caveat."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a correlation.

    Attributes:
        word: see the rules above.
        reason: the evidence, as text.
        more_conditions: approximate number of further conditions that could decide; `None` if none would, or if it is
            decided.
    """

    word: Word
    reason: str
    more_conditions: int | None = None


@dataclass(frozen=True, slots=True)
class Saturation:
    """Task x condition cells in which all episodes succeeded or all failed: they cannot be ordered."""

    saturated: int
    cells: int


def classify(association: Association, loco: Loco) -> Verdict:
    """The verdict on drift as a predictor of the drop.

    Args:
        association: Spearman's correlation of the primary drift with the drop, between conditions.
        loco: leave-one-condition-out prediction.
    """
    rho, interval, k = association.value, association.ci_conditions, association.k
    if rho is None or interval is None:
        more = MIN_FOR_BOOTSTRAP - k if k < MIN_FOR_INTERVAL else None
        return Verdict("undecided", association.reason or "no interval", more)
    summary = f"rank correlation {rho:.2f} [{interval.low:.2f}, {interval.high:.2f}] over {k} conditions"
    if interval.high < USELESS:
        return Verdict("not predictive", f"{summary}: the upper limit is below {USELESS}")
    if interval.low > USEFUL:
        if loco.skill is None:
            return Verdict(
                "undecided", f"{summary}, but no condition could be predicted from the others: {loco.reason}"
            )
        if loco.skill > 0:
            return Verdict("useful for ranking", f"{summary}; skill of prediction {loco.skill:.2f}")
        return Verdict("undecided", f"{summary}, but it predicts no better than the mean of the other conditions")
    if USELESS <= rho <= USEFUL:
        return Verdict("undecided", f"{summary}: between {USELESS} and {USEFUL}, where more conditions decide nothing")
    bound, limit = (USEFUL, interval.low) if rho > USEFUL else (USELESS, interval.high)
    half = abs(atanh(_clip(rho)) - atanh(_clip(limit)))
    needed = points_needed(rho, bound, interval.level, k=k, half=half)
    if needed is None:
        return Verdict("undecided", f"{summary}: too close to {bound} to be decided by more conditions")
    more = max(1, needed - k)
    return Verdict("undecided", f"{summary}: needs about {more} more condition{'s' * (more > 1)}", more)


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


def _clip(value: float) -> float:
    return float(np.clip(value, -0.999, 0.999))
