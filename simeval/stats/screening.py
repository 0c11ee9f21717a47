"""Uses of drift: which conditions to roll out first, which predictor to trust, whether strength acts in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.association import Association, associate, kendall, spearman
from simeval.stats.clusters import jackknife_half_width, leave_out_clusters, members_of, too_few
from simeval.stats.curve import Cells
from simeval.stats.intervals import Interval
from simeval.stats.loco import leave_out
from simeval.stats.paired import holm
from simeval.stats.resampling import Resampling
from simeval.stats.study import FAMILY_KEY

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScreeningRow:
    """Result of rolling out only the `rolled_out` conditions with the most drift.

    Attributes:
        rolled_out: number of conditions rolled out.
        skipped: share of the conditions not rolled out.
        caught: share of the harmful conditions that are rolled out; `None` if none is harmful.
        worst_missed: largest drop among the skipped; `None` if nothing is skipped.
    """

    rolled_out: int
    skipped: float
    caught: float | None
    worst_missed: float | None


@dataclass(frozen=True, slots=True)
class TopOne:
    """Whether the condition with the most drift has the largest drop, and the regret if not.

    Attributes:
        predicted, worst: indices of the condition with the most drift and of that with the largest drop.
        agree: whether they are the same, or have the same drop.
        regret: drop of the worst minus drop of the predicted.
    """

    predicted: int
    worst: int
    agree: bool
    regret: float


@dataclass(frozen=True, slots=True)
class Dose:
    """Monotonicity in strength within one axis family: Kendall's tau; `None` where a side does not vary."""

    axis_family: str = field(metadata=FAMILY_KEY)
    conditions: int
    severity_drift: float | None
    severity_drop: float | None
    drift_drop: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Another predictor of the drop: another drift, a distance of embeddings, the change of pixels.

    Attributes:
        name: label in the table.
        values: float64[conditions], a distance: not negative, higher is more change; NaN where unknown.
    """

    name: str
    values: Floats


@dataclass(frozen=True, slots=True)
class RankedPredictor:
    """How well a predictor orders the drops.

    Attributes:
        name: of the predictor.
        primary: fixed beforehand; all others are exploratory.
        association: Spearman's correlation with the drop.
        p_holm: p-value adjusted over the exploratory predictors; the primary's is not adjusted.
        skill: of leave-one-condition-out prediction; see `Loco`.
        less_than_primary: the primary's correlation minus this one's, on the common conditions.
        less_interval: its interval for other conditions like these; `None` with too few.
    """

    name: str
    primary: bool
    association: Association
    p_holm: float | None
    skill: float | None
    less_than_primary: float | None
    less_interval: Interval | None


def check_rival(rival: Predictor, conditions: int) -> None:
    """Check that a predictor's values are distances.

    Raises:
        ValueError: a value is negative or infinite, or the number of values is wrong.
    """
    values = np.asarray(rival.values, dtype=float)
    if values.shape != (conditions,) or np.isinf(values).any() or (values < 0).any():
        raise ValueError(f"{rival.name}: expected {conditions} distances, not negative, NaN where unknown")


def screening_table(drift: ArrayLike, drop: ArrayLike, harmful: ArrayLike) -> tuple[ScreeningRow, ...]:
    """What rolling out fewer conditions would miss.

    Args:
        drift: float[k].
        drop: float[k].
        harmful: bool[k], the interval of the drop is above the margin.

    Returns:
        One row for every number of conditions from 1 to k.
    """
    x, y, is_harmful = np.asarray(drift, dtype=float), np.asarray(drop, dtype=float), np.asarray(harmful, dtype=bool)
    order = np.argsort(-x, kind="stable")
    k = len(order)
    return tuple(
        ScreeningRow(
            rolled_out=m,
            skipped=(k - m) / k,
            caught=float(is_harmful[order[:m]].sum() / is_harmful.sum()) if is_harmful.any() else None,
            worst_missed=float(y[order[m:]].max()) if m < k else None,
        )
        for m in range(1, k + 1)
    )


def top_one(drift: ArrayLike, drop: ArrayLike) -> TopOne | None:
    """Compare the condition with the most drift and that with the largest drop; `None` without conditions."""
    x, y = np.asarray(drift, dtype=float), np.asarray(drop, dtype=float)
    if not x.size:
        return None
    predicted, worst = int(x.argmax()), int(y.argmax())
    regret = float(y[worst] - y[predicted])
    return TopOne(predicted, worst, regret == 0, regret)


def dose_response(
    families: Sequence[str], severities: Sequence[float | None], drift: ArrayLike, drop: ArrayLike
) -> tuple[Dose, ...]:
    """Monotonicity within every axis family that has at least three strengths."""
    x, y, labels = np.asarray(drift, dtype=float), np.asarray(drop, dtype=float), np.asarray(families, dtype=object)
    strength = np.array([np.nan if severity is None else severity for severity in severities], dtype=float)
    rows = []
    for family in dict.fromkeys(families):
        rows_in_family = (labels == family) & ~np.isnan(strength)
        if len(np.unique(strength[rows_in_family])) < 3:
            continue
        s, a, b = strength[rows_in_family], x[rows_in_family], y[rows_in_family]
        taus = [_tau(s, a), _tau(s, b), _tau(a, b)]
        rows.append(Dose(family, int(rows_in_family.sum()), *taus))
    return tuple(rows)


def rank_predictors(
    rivals: Sequence[Predictor], drop: ArrayLike, families: ArrayLike, cells: Cells, resampling: Resampling
) -> tuple[RankedPredictor, ...]:
    """Order predictors by their rank correlation with the drop, best first; those without one are last.

    Args:
        rivals: the primary predictor first.
        drop: float[conditions].
        families: label of each condition's family.
        cells: task x condition cells, for the leave-one-out skill; their drift is replaced by each predictor's values.
        resampling: level, and of the permutation.

    Raises:
        ValueError: see `check_rival`.
    """
    y, labels = np.asarray(drop, dtype=float), np.asarray(families)
    for rival in rivals:
        check_rival(rival, len(y))
    rows = [_ranked(rival, rivals[0], y, labels, cells, resampling) for rival in rivals]
    exploratory = [row for row in rows if not row.primary and row.association.p is not None]
    adjusted = iter(holm([row.association.p for row in exploratory if row.association.p is not None]))
    rows = [replace(row, p_holm=next(adjusted)) if row in exploratory else row for row in rows]
    return tuple(sorted(rows, key=lambda row: _or_last(row.association.value), reverse=True))


def _ranked(
    rival: Predictor,
    primary: Predictor,
    drop: Floats,
    families: NDArray[np.generic],
    cells: Cells,
    resampling: Resampling,
) -> RankedPredictor:
    values = np.asarray(rival.values, dtype=float)
    known = ~np.isnan(values)
    association = associate(values[known], drop[known], clusters=families[known], resampling=resampling)
    cell_known = known[cells.conditions]
    known_cells = cells.where(cell_known)
    by_condition = replace(known_cells, drift=values[known_cells.conditions])
    skill = leave_out(by_condition, families).skill if cell_known.any() else None
    difference, interval = (None, None)
    if rival is not primary:
        difference, interval = _less_than_primary(
            np.asarray(primary.values, dtype=float), values, drop, families, resampling.level
        )
    return RankedPredictor(rival.name, rival is primary, association, None, skill, difference, interval)


def _less_than_primary(
    primary: Floats, rival: Floats, drop: Floats, families: NDArray[np.generic], level: float
) -> tuple[float | None, Interval | None]:
    """Difference of two rank correlations on the same conditions."""
    both = ~np.isnan(primary) & ~np.isnan(rival)
    a, b, y = primary[both], rival[both], drop[both]
    difference = spearman(a, y) - spearman(b, y) if both.sum() >= 3 else float("nan")
    if np.isnan(difference):
        return None, None
    members = members_of(families[both])
    if too_few(len(y), len(members)):
        return difference, None
    without = leave_out_clusters(lambda i: spearman(a[i], y[i]) - spearman(b[i], y[i]), members)
    if np.isnan(without).any():
        return difference, None
    half = jackknife_half_width(difference, without, level)
    low, high = max(-2.0, difference - half), min(2.0, difference + half)
    return difference, Interval(low, high, level, "jackknife over families")


def _or_last(value: float | None) -> float:
    return float("-inf") if value is None else value


def _tau(a: Floats, b: Floats) -> float | None:
    tau = kendall(a, b)
    return None if np.isnan(tau) else tau
