"""Leave-one-out prediction of success: leave out one condition, or one axis family."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.curve import Cells, Floats, fit_curve, monotone_curve
from simeval.stats.intervals import Interval, wilson

Scheme = Literal["condition", "family"]
MIN_CONDITIONS = 4
"""Three must remain for a fit that could fail."""
BAND_LEVELS = (0.95, 0.9)
"""Coverage of the band for a new condition; the first one that the number of conditions supports."""
BINS = 5


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One condition, predicted from the others: index, success rates, `observed - predicted`."""

    condition: int
    predicted: float
    observed: float
    residual: float


@dataclass(frozen=True, slots=True)
class Band:
    """Expected distance of a new condition from its prediction.

    Attributes:
        half_width: in units of success.
        level: coverage; `None` if there are too few conditions and it is only the largest residual.
    """

    half_width: float
    level: float | None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Cells with similar predictions: mean prediction against observed rate, with Wilson's interval."""

    predicted: float
    observed: float
    interval: Interval
    cells: int
    n: int


@dataclass(frozen=True, slots=True)
class Loco:
    """Error of leave-one-out prediction of success rates.

    Attributes:
        scheme: what is left out in each fold.
        method: `logistic`, or `monotone` where a logistic fit did not exist in every fold.
        k: number of predicted conditions.
        mae: mean absolute error; `None` where `reason` says why.
        mae_naive: the same for predicting the mean of the other conditions.
        skill: 1 - mae / mae_naive; 0 or less means that drift adds nothing.
        q2: the same with squared errors.
        held_out: the predictions.
        band: for a new condition.
        calibration: by predicted success, cells in `BINS` groups.
        reason: why a number is missing; empty otherwise.
    """

    scheme: Scheme
    method: str
    k: int
    mae: float | None = None
    mae_naive: float | None = None
    skill: float | None = None
    q2: float | None = None
    held_out: tuple[HeldOut, ...] = ()
    band: Band | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    reason: str = ""


def leave_out(cells: Cells, families: ArrayLike, scheme: Scheme = "condition") -> Loco:
    """Predict every condition from the others.

    Args:
        cells: task x condition cells.
        families: label of every condition, indexed by `cells.conditions`.
        scheme: leave out the condition alone, or with its whole family, which is fair for a new kind of condition.
    """
    labels = np.asarray(families)
    conditions = np.unique(cells.conditions)
    groups = labels[cells.conditions] if scheme == "family" else cells.conditions
    folds = np.unique(groups)
    if len(conditions) < MIN_CONDITIONS:
        return Loco(scheme, "", len(conditions), reason=_too_few(len(conditions), "conditions"))
    if len(folds) < 3:
        few = f"too few families to leave out: {len(folds)}, at least 3 are needed"
        return Loco(scheme, "", len(conditions), reason=few)
    predicted, method = _cross_predict(cells, groups, folds, _logistic), "logistic"
    if predicted is None:
        predicted, method = _cross_predict(cells, groups, folds, _monotone), "monotone"
    assert predicted is not None
    rates = {c: _rate(cells, cells.conditions == c) for c in conditions.tolist()}
    held_out, naive_residuals = [], []
    for condition in conditions.tolist():
        rows = cells.conditions == condition
        prediction = float(np.average(predicted[rows], weights=cells.n[rows]))
        held_out.append(HeldOut(condition, prediction, rates[condition], rates[condition] - prediction))
        others = np.unique(cells.conditions[groups != groups[rows][0]]).tolist()
        naive_residuals.append(rates[condition] - float(np.mean([rates[other] for other in others])))
    errors, naive_errors = np.array([row.residual for row in held_out]), np.array(naive_residuals)
    mae, mae_naive = float(np.abs(errors).mean()), float(np.abs(naive_errors).mean())
    varied = mae_naive > 0
    return Loco(
        scheme=scheme,
        method=method,
        k=len(conditions),
        mae=mae,
        mae_naive=mae_naive,
        skill=1 - mae / mae_naive if varied else None,
        q2=1 - float((errors**2).sum() / (naive_errors**2).sum()) if varied else None,
        held_out=tuple(held_out),
        band=prediction_band(errors),
        calibration=calibration(predicted, cells.successes, cells.n),
        reason="" if varied else "all conditions have the same success rate",
    )


def prediction_band(residuals: ArrayLike) -> Band | None:
    """Conformal half width of a band for a new condition, from the absolute leave-one-out residuals."""
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=float)))
    if not sizes.size:
        return None
    for level in BAND_LEVELS:
        # Rounded first: the ceiling of 0.9 * 10 must not become 10.
        rank = ceil(round(level * (sizes.size + 1), 9))
        if rank <= sizes.size:
            return Band(float(sizes[rank - 1]), level)
    return Band(float(sizes[-1]), None)


def calibration(predicted: ArrayLike, successes: ArrayLike, n: ArrayLike) -> tuple[CalibrationBin, ...]:
    """Predicted against observed success, in groups of similar size.

    Args:
        predicted: float[cells], predicted rates.
        successes: float[cells].
        n: float[cells], episodes.

    Returns:
        Up to `BINS` groups; fewer where predictions are equal.
    """
    rates, k, total = (np.asarray(part, dtype=float) for part in (predicted, successes, n))
    if not rates.size:
        return ()
    edges = np.unique(np.quantile(rates, np.linspace(0, 1, BINS + 1))[1:-1])
    group = np.searchsorted(edges, rates, side="right")
    rows = []
    for label in np.unique(group):
        members = group == label
        n_bin, k_bin = float(total[members].sum()), float(k[members].sum())
        mean = float(np.average(rates[members], weights=total[members]))
        rows.append(CalibrationBin(mean, k_bin / n_bin, wilson(k_bin, n_bin), int(members.sum()), int(n_bin)))
    return tuple(rows)


Predictor = Callable[[Cells, Cells], Floats | None]


def _cross_predict(
    cells: Cells, groups: NDArray[np.generic], folds: NDArray[np.generic], predictor: Predictor
) -> Floats | None:
    """Prediction of each cell from the other folds; `None` if a fold has no fit."""
    predicted = np.empty(len(cells.n))
    for fold in folds:
        test = groups == fold
        rates = predictor(cells.where(~test), cells.where(test))
        if rates is None:
            return None
        predicted[test] = rates
    return predicted


def _logistic(train: Cells, test: Cells) -> Floats | None:
    curve = fit_curve(train).curve
    return None if curve is None else curve.predict(test.tasks, test.drift)


def _monotone(train: Cells, test: Cells) -> Floats | None:
    """One falling curve through the cells of all tasks."""
    places, rates = monotone_curve(train.drift, train.successes / train.n, train.n)
    return np.interp(test.drift, places, rates)


def _rate(cells: Cells, rows: NDArray[np.bool_]) -> float:
    return float(cells.successes[rows].sum() / cells.n[rows].sum())


def _too_few(count: int, noun: str) -> str:
    return f"too few {noun}: {count}, at least {MIN_CONDITIONS} are needed"
