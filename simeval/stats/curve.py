"""From drift to success: a logistic curve per task with one common slope, and a model-free monotone curve."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import statsmodels.api as sm
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit

from simeval.stats.study import DriftOutcomes

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SEPARATED = "a threshold of drift splits success from failure: no finite slope"
OVERDISPERSED = 1.5
"""Pearson's chi2 per degree of freedom from which standard errors are scaled."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Task x condition cells, each with at least one episode: arrays of one length.

    Attributes:
        tasks: int64[cells].
        conditions: int64[cells], index of the condition.
        successes, n: float64[cells], successes of the perturbed episodes and their number.
        drift: float64[cells], not negative.
    """

    tasks: Integers
    conditions: Integers
    successes: Floats
    n: Floats
    drift: Floats

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> "Cells":
        """Some of the cells."""
        return Cells(
            self.tasks[chosen], self.conditions[chosen], self.successes[chosen], self.n[chosen], self.drift[chosen]
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """`logit P(success) = alpha_task + beta * log1p(drift)`.

    Attributes:
        alphas: intercept by task; infinite where a task always or never succeeded and does not inform the slope.
        beta: common slope; negative where drift hurts.
        se: its standard error, scaled for overdispersion.
        dispersion: Pearson's chi2 per degree of freedom; `None` without degrees of freedom.
    """

    alphas: Mapping[int, float]
    beta: float
    se: float
    dispersion: float | None

    def predict(self, tasks: ArrayLike, drift: ArrayLike) -> Floats:
        """Success rate of each task at a drift; a task outside the fit gets the mean over tasks."""
        slope = self.beta * np.log1p(np.asarray(drift, dtype=float))
        known = np.array(list(self.alphas.values()))
        shifts = np.broadcast_to(slope, np.shape(tasks))
        rates = [
            expit(self.alphas[task] + shift) if task in self.alphas else expit(known + shift).mean()
            for task, shift in zip(np.asarray(tasks).tolist(), shifts.tolist(), strict=True)
        ]
        return np.array(rates, dtype=float)

    def mean(self, drift: float) -> float:
        """Success rate at one drift, equal-weight mean over tasks."""
        return float(expit(np.array(list(self.alphas.values())) + self.beta * np.log1p(drift)).mean())


@dataclass(frozen=True, slots=True)
class CurveFit:
    """A fitted curve, or the reason why there is none."""

    curve: Curve | None
    separated: bool = False
    reason: str = ""


def cells_of(study: DriftOutcomes) -> Cells:
    """Success and drift of every task and condition.

    A cell's drift is that of its pairs, or of the whole condition if drift was measured on frames of no pair. Cells
    without episodes or drift are left out.
    """
    tasks, conditions, successes, n, drift = [], [], [], [], []
    for column in range(len(study.conditions)):
        overall = np.empty(0) if study.frames is None else study.frames.values[:, column]
        for task in np.unique(study.tasks):
            rows = study.tasks == task
            complete = rows & ~np.isnan(study.pair_drops[:, column])
            drifts = overall if study.drift is None else study.drift[rows, column]
            if not complete.any() or np.isnan(drifts).all():
                continue
            tasks.append(int(task))
            conditions.append(column)
            successes.append(float(study.perturbed[complete, column].sum()))
            n.append(float(complete.sum()))
            drift.append(float(np.nanmean(drifts)))
    return Cells(
        np.array(tasks, dtype=np.int64),
        np.array(conditions, dtype=np.int64),
        np.array(successes, dtype=float),
        np.array(n, dtype=float),
        np.array(drift, dtype=float),
    )


def fit_curve(cells: Cells) -> CurveFit:
    """Fit the logistic curve by a binomial GLM on cells.

    Tasks without both successes and failures are excluded: their intercept is infinite at any slope.
    """
    alphas, informative = _by_task(cells)
    used = cells.where(np.isin(cells.tasks, informative))
    if not informative:
        return CurveFit(None, reason="every task always succeeded or always failed: success does not vary with drift")
    x = np.log1p(used.drift)
    within = [np.ptp(x[used.tasks == task]) for task in informative]
    if max(within) == 0:
        return CurveFit(None, reason="the conditions drift the same")
    if separates(used):
        return CurveFit(None, separated=True, reason=SEPARATED)
    dummies = (used.tasks[:, None] == np.array(informative)).astype(float)
    counts = np.stack([used.successes, used.n - used.successes], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sm.GLM(counts, np.column_stack([dummies, x]), family=sm.families.Binomial())
        result = model.fit()
        dispersion = float(result.pearson_chi2 / result.df_resid) if result.df_resid > 0 else None
        if dispersion is not None and dispersion > OVERDISPERSED:
            # Not scale="X2": statsmodels (0.14, 0.15) leaves the number of trials out of that estimate.
            result = model.fit(scale=dispersion)
    params, se = np.asarray(result.params, dtype=float), float(result.bse[-1])
    if not (result.converged and np.isfinite(params).all() and np.isfinite(se)):
        return CurveFit(None, reason="the logistic fit did not converge")
    fitted = dict(zip(informative, params[:-1].tolist(), strict=True))
    return CurveFit(Curve(alphas | fitted, float(params[-1]), se, dispersion))


def separates(cells: Cells) -> bool:
    """Whether one threshold per task splits all successes from all failures, in the same direction in every task."""
    above = below = True
    for task in np.unique(cells.tasks):
        rows = cells.where(cells.tasks == task)
        good, bad = rows.drift[rows.successes > 0], rows.drift[rows.successes < rows.n]
        below &= bool(good.max() <= bad.min())
        above &= bool(bad.max() <= good.min())
    return above or below


def monotone_curve(drift: ArrayLike, rate: ArrayLike, weights: ArrayLike) -> tuple[Floats, Floats]:
    """Success as a falling curve of drift, by isotonic regression.

    Args:
        drift: float[k].
        rate: float[k], success rates or 1 - drop.
        weights: float[k], number of pairs.

    Returns:
        The distinct drifts in ascending order, and the fitted rates; interpolate between them, constant outside.
    """
    x, y, w = (np.asarray(part, dtype=float) for part in (drift, rate, weights))
    places, index = np.unique(x, return_inverse=True)
    if not places.size:
        return places, places
    total = np.bincount(index, weights=w)
    means = np.bincount(index, weights=w * y) / total
    return places, np.asarray(isotonic_regression(means, weights=total, increasing=False).x, dtype=float)


def drift_at(curve: Curve, rate: float) -> float | None:
    """Drift at which the mean success falls to `rate`; `inf` if the curve does not fall, `None` if it starts below."""
    if curve.mean(0.0) <= rate:
        return None
    limit = 1e6
    if curve.beta >= 0 or curve.mean(limit) >= rate:
        return float("inf")
    return float(brentq(lambda drift: curve.mean(drift) - rate, 0.0, limit))


def _by_task(cells: Cells) -> tuple[dict[int, float], list[int]]:
    """Infinite intercepts of the tasks that do not inform the slope, and the list of the other tasks."""
    alphas: dict[int, float] = {}
    informative = []
    for task in np.unique(cells.tasks).tolist():
        rows = cells.tasks == task
        successes, n = cells.successes[rows].sum(), cells.n[rows].sum()
        if 0 < successes < n:
            informative.append(task)
        else:
            alphas[task] = float("-inf") if successes == 0 else float("inf")
    return alphas, informative
