"""Drift budget: the drift at which success falls to a given level."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.association import MIN_FAMILIES, MIN_FOR_BOOTSTRAP, cluster_statistic, members_of
from simeval.stats.curve import Cells, Curve, CurveFit, drift_at, fit_curve
from simeval.stats.resampling import Resampling, bootstrap_values, percentile_interval

RETAINED = (0.9, 0.5)
"""Shares of the clean success rate with a budget."""
LEVEL = 0.9
MAX_RESAMPLES = 499
"""Each resample is a fit, and the limits are approximate anyway."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Drift at which success falls to a level.

    Attributes:
        retained: share of the clean success rate.
        rate: the corresponding success rate.
        drift: drift at which the fitted curve reaches it; `None` where `reason` says why.
        low: "stay below": lower limit over resampled conditions.
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


def drift_budgets(
    cells: Cells, families: ArrayLike, clean_rate: float | None, resampling: Resampling
) -> tuple[Budget, ...]:
    """Budgets for shares of the clean success rate.

    Args:
        cells: task x condition cells.
        families: label of every condition's family, indexed by `cells.conditions`.
        clean_rate: success rate of the clean episodes.
        resampling: of the conditions, by family; its level is not used.

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
    rates = [budget.rate or 0.0 for budget in empty]
    values = _resampled(cells, np.asarray(families), rates, resampling)
    return tuple(
        _decide(budget, fit.curve, cells, values if values is None else values[[0, index]])
        for index, budget in enumerate(empty, start=1)
    )


def _resampled(
    cells: Cells, families: NDArray[np.generic], rates: list[float], resampling: Resampling
) -> NDArray[np.float64] | None:
    """Slope and budgets over resampled conditions: float64[1 + rates, resamples]; `None` with too few."""
    conditions = np.unique(cells.conditions)
    members = members_of(families[conditions])
    if len(members) < (MIN_FOR_BOOTSTRAP if len(members) == len(conditions) else MIN_FAMILIES):
        return None
    rows = [np.flatnonzero(cells.conditions == condition) for condition in conditions]

    def statistic(chosen: NDArray[np.intp]) -> list[float]:
        fit: CurveFit = fit_curve(cells.where(np.concatenate([rows[i] for i in chosen])))
        if fit.curve is None:
            return [float("nan")] * (1 + len(rates))
        drifts = [drift_at(fit.curve, rate) for rate in rates]
        return [fit.curve.beta, *(0.0 if value is None else value for value in drifts)]

    fewer = replace(resampling, n_resamples=min(resampling.n_resamples, MAX_RESAMPLES))
    return bootstrap_values((len(members),), cluster_statistic(members, statistic), fewer)


def _decide(budget: Budget, curve: Curve, cells: Cells, values: NDArray[np.float64] | None) -> Budget:
    """The budget with its limits, or with the reason why there is none."""
    assert budget.rate is not None
    drift = drift_at(curve, budget.rate)
    above = [
        float(cells.successes[rows].sum() / cells.n[rows].sum()) > budget.rate
        for rows in (cells.conditions == condition for condition in np.unique(cells.conditions))
    ]
    slope = None if values is None else percentile_interval(values[0], LEVEL)
    if curve.beta >= 0:
        return replace(budget, reason="success does not fall with drift")
    if slope is not None and slope.high >= 0:
        return replace(budget, reason="the slope's interval includes 0")
    if min(sum(above), len(above) - sum(above)) < 2:
        return replace(budget, reason="fewer than 2 conditions lie on either side of this success rate")
    if drift is None or not cells.drift.min() <= drift <= cells.drift.max():
        return replace(budget, reason="it would lie outside the drifts observed")
    limits = None if values is None else percentile_interval(values[1], LEVEL)
    if limits is None:
        why = f"too few conditions for limits (from {MIN_FOR_BOOTSTRAP}, or {MIN_FAMILIES} families)"
        separated = "the limits are undefined in too many resamples"
        return replace(budget, drift=drift, reason=why if values is None else separated)
    return replace(budget, drift=drift, low=limits.low, high=limits.high if np.isfinite(limits.high) else None)
