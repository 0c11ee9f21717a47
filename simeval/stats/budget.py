"""Drift budget: the drift at which success falls to a given level."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from simeval.stats.clusters import Floats, jackknife_half_width, members_of, too_few
from simeval.stats.curve import Cells, Curve, drift_at, fit_curve

RETAINED = (0.9, 0.5)
"""Shares of the clean success rate with a budget."""
LEVEL = 0.9
PLACES = 601
"""Drifts, from 0 to three times the largest observed on the scale of the fit, between which a limit is found."""
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Budget:
    """Drift at which success falls to a level.

    Attributes:
        retained: share of the clean success rate.
        rate: the corresponding success rate.
        drift: drift at which the fitted curve reaches it; `None` where `reason` says why.
        low: "stay below": lower limit for other conditions like these; 0 if it is below all drifts observed.
        high: upper limit; `None` if success may never fall that low.
        level: nominal coverage of the limits.
        reason: why there is no budget, or no limits; empty otherwise.
    """

    retained: float
    rate: float | None
    drift: float | None
    low: float | None
    high: float | None
    level: float
    reason: str = ""


def drift_budgets(cells: Cells, families: ArrayLike, clean_rate: float | None) -> tuple[Budget, ...]:
    """Budgets for shares of the clean success rate. Limits by a jackknife over families, see `_limits`.

    Args:
        cells: task x condition cells.
        families: label of every condition's family, indexed by `cells.conditions`.
        clean_rate: success rate of the clean episodes.

    Returns:
        One budget for each share in `RETAINED`; without a number where the data do not support it.
    """
    empty = [
        Budget(share, None if clean_rate is None else share * clean_rate, None, None, None, LEVEL) for share in RETAINED
    ]
    fit = fit_curve(cells)
    reason = "no clean episode succeeded" if not clean_rate else fit.reason
    if reason or fit.curve is None:
        return tuple(replace(budget, reason=reason) for budget in empty)
    curves, few = _without_families(cells, np.asarray(families))
    return tuple(_decide(budget, fit.curve, cells, curves, few) for budget in empty)


def _without_families(cells: Cells, families: NDArray[np.generic]) -> tuple[list[Curve | None], str]:
    """Curves fitted without each family, and the reason if there are too few families."""
    conditions = np.unique(cells.conditions)
    members = members_of(families[conditions])
    reason = too_few(len(conditions), len(members))
    if reason:
        return [], reason.replace("an interval", "limits")
    return [fit_curve(cells.where(~np.isin(cells.conditions, conditions[part]))).curve for part in members], ""


def _decide(budget: Budget, curve: Curve, cells: Cells, curves: list[Curve | None], few: str) -> Budget:
    """The budget with its limits, or with the reason why there is none."""
    assert budget.rate is not None
    drift = drift_at(curve, budget.rate)
    above = [
        float(cells.successes[rows].sum() / cells.n[rows].sum()) > budget.rate
        for rows in (cells.conditions == condition for condition in np.unique(cells.conditions))
    ]
    known = [other for other in curves if other is not None]
    slopes = np.array([other.beta for other in known])
    complete = bool(curves) and len(known) == len(curves)
    if curve.beta >= 0:
        return replace(budget, reason="success does not fall with drift")
    if complete and curve.beta + jackknife_half_width(curve.beta, slopes, LEVEL) >= 0:
        return replace(budget, reason="the slope's interval includes 0")
    if min(sum(above), len(above) - sum(above)) < 2:
        return replace(budget, reason="fewer than 2 conditions lie on either side of this success rate")
    if drift is None or not cells.drift.min() <= drift <= cells.drift.max():
        return replace(budget, reason="it would lie outside the drifts observed")
    if few:
        return replace(budget, drift=drift, reason=few)
    if not complete:
        return replace(budget, drift=drift, reason="without one family there is no fit, so there are no limits")
    low, high = _limits(curve, known, budget.rate, cells.drift)
    return replace(budget, drift=drift, low=low, high=high)


def _limits(curve: Curve, without: list[Curve], rate: float, observed: Floats) -> tuple[float, float | None]:
    """The drifts at which the curve's interval contains the rate: from a lower limit to an upper one, if there is one.

    A limit of the drift itself would divide by an uncertain slope. In simulations this covers .87 to .93 of a nominal
    .90, and .78 to .89 for 7 families of 4 strengths; the lower limit .92 to .98 of a nominal .95. Below the smallest
    drift observed the curve is a guess, so there the lower limit is 0.
    """
    places = np.linspace(0.0, 3 * np.log1p(observed.max()), PLACES)

    def above(fit: Curve) -> Floats:
        means = expit(np.array(list(fit.alphas.values()))[:, None] + fit.beta * places).mean(axis=0)
        return np.asarray(logit(np.clip(means, TINY, 1 - TINY)) - logit(rate), dtype=float)

    centre, others = above(curve), np.array([above(fit) for fit in without])
    half = np.array(
        [jackknife_half_width(value, column, LEVEL) for value, column in zip(centre, others.T, strict=True)]
    )
    corrected = len(without) * centre - (len(without) - 1) * others.mean(axis=0)
    middle = int((centre > 0).sum())
    still = np.flatnonzero((np.minimum(centre, corrected) - half > 0)[:middle])
    already = np.flatnonzero((np.maximum(centre, corrected) + half < 0)[middle:])
    drifts = np.expm1(places)
    low = float(drifts[still[-1]]) if still.size else 0.0
    high = float(drifts[middle + already[0]]) if already.size else None
    return (low if low >= observed.min() else 0.0), high
