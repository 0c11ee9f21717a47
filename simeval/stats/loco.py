"""Prediction of conditions that the fit has not seen: leave one condition, or one family, out."""

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
"""Three must be left to fit a line that could fail."""
BAND_LEVELS = (0.95, 0.9)
"""Coverage of the band for a new condition; the first that the number of conditions can carry."""
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
    """How far from its prediction a new condition is to be expected.

    Attributes:
        half_width: in success units.
        level: coverage; `None` if there are too few conditions and it is just the largest residual seen.
    """

    half_width: float
    level: float | None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Cells that were predicted alike: mean prediction against what came, with Wilson's interval."""

    predicted: float
    observed: float
    interval: Interval
    cells: int
    n: int


@dataclass(frozen=True, slots=True)
class Loco:
    """Error of leave-one-out prediction of success rates.

    Attributes:
        scheme: what was left out at a time.
        method: `logistic`, or `monotone` where a logistic fit did not exist in every fold.
        k: conditions predicted.
        mae: mean absolute error; `None` where `reason` says why.
        mae_naive: of predicting the mean of the conditions not left out.
        skill: 1 - mae / mae_naive; not above 0: drift adds nothing.
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
        scheme: leave out the condition alone, or with its whole family: the honest figure for a new kind of condition.
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
    held_out, naive = [], []
    for condition in conditions.tolist():
        mine = cells.conditions == condition
        guess = float(np.average(predicted[mine], weights=cells.n[mine]))
        held_out.append(HeldOut(condition, guess, rates[condition], rates[condition] - guess))
        others = np.unique(cells.conditions[groups != groups[mine][0]]).tolist()
        naive.append(rates[condition] - float(np.mean([rates[other] for other in others])))
    errors, dull = np.array([row.residual for row in held_out]), np.array(naive)
    mae, mae_naive = float(np.abs(errors).mean()), float(np.abs(dull).mean())
    varied = mae_naive > 0
    return Loco(
        scheme=scheme,
        method=method,
        k=len(conditions),
        mae=mae,
        mae_naive=mae_naive,
        skill=1 - mae / mae_naive if varied else None,
        q2=1 - float((errors**2).sum() / (dull**2).sum()) if varied else None,
        held_out=tuple(held_out),
        band=prediction_band(errors),
        calibration=calibration(predicted, cells.successes, cells.n),
        reason="" if varied else "all conditions have the same success rate",
    )


def prediction_band(residuals: ArrayLike) -> Band | None:
    """Half width of a band that holds a new condition, from the sizes of the leave-one-out residuals (conformal)."""
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=float)))
    if not sizes.size:
        return None
    for level in BAND_LEVELS:
        # Rounded first: 0.9 * 10 must not become 10.
        rank = ceil(round(level * (sizes.size + 1), 9))
        if rank <= sizes.size:
            return Band(float(sizes[rank - 1]), level)
    return Band(float(sizes[-1]), None)


def calibration(predicted: ArrayLike, successes: ArrayLike, n: ArrayLike) -> tuple[CalibrationBin, ...]:
    """Predicted against observed success, in groups of about the same number of cells.

    Args:
        predicted: float[cells], predicted rates.
        successes: float[cells].
        n: float[cells], episodes.

    Returns:
        Up to `BINS` groups; fewer where predictions are equal.
    """
    guess, k, total = (np.asarray(part, dtype=float) for part in (predicted, successes, n))
    if not guess.size:
        return ()
    edges = np.unique(np.quantile(guess, np.linspace(0, 1, BINS + 1))[1:-1])
    group = np.searchsorted(edges, guess, side="right")
    rows = []
    for one in np.unique(group):
        mine = group == one
        n_mine, k_mine = float(total[mine].sum()), float(k[mine].sum())
        mean = float(np.average(guess[mine], weights=total[mine]))
        rows.append(CalibrationBin(mean, k_mine / n_mine, wilson(k_mine, n_mine), int(mine.sum()), int(n_mine)))
    return tuple(rows)


Predictor = Callable[[Cells, Cells], Floats | None]


def _cross_predict(
    cells: Cells, groups: NDArray[np.generic], folds: NDArray[np.generic], predictor: Predictor
) -> Floats | None:
    """Prediction of each cell from the folds that it is not in; `None` if a fold has no fit."""
    predicted = np.empty(len(cells.n))
    for fold in folds:
        left = groups == fold
        found = predictor(cells.where(~left), cells.where(left))
        if found is None:
            return None
        predicted[left] = found
    return predicted


def _logistic(seen: Cells, new: Cells) -> Floats | None:
    curve = fit_curve(seen).curve
    return None if curve is None else curve.predict(new.tasks, new.drift)


def _monotone(seen: Cells, new: Cells) -> Floats | None:
    """One falling curve through the cells of all tasks."""
    places, rates = monotone_curve(seen.drift, seen.successes / seen.n, seen.n)
    return np.interp(new.drift, places, rates)


def _rate(cells: Cells, rows: NDArray[np.bool_]) -> float:
    return float(cells.successes[rows].sum() / cells.n[rows].sum())


def _too_few(found: int, noun: str) -> str:
    return f"too few {noun}: {found}, at least {MIN_CONDITIONS} are needed"
