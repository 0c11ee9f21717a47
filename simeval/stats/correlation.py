"""Does offline drift predict the loss of closed-loop success? All numbers about one policy on one suite."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simeval.stats.association import MIN_POINTS, STATISTICS, Association, associate
from simeval.stats.budget import Budget, drift_budgets
from simeval.stats.curve import Cells, Curve, cells_of, fit_curve, monotone_curve
from simeval.stats.drift import PRIMARY, Floats
from simeval.stats.episodes import Auroc, FlipSlope, auroc, flip_slope, flips_of
from simeval.stats.family_order import family_means
from simeval.stats.intervals import Interval
from simeval.stats.loco import Loco, leave_out
from simeval.stats.reliability import Reliability, drop_reliability, measurement_intervals, reliability
from simeval.stats.resampling import Resampling
from simeval.stats.screening import (
    Dose,
    Predictor,
    RankedPredictor,
    ScreeningRow,
    TopOne,
    check_rival,
    dose_response,
    rank_predictors,
    screening_table,
    top_one,
)
from simeval.stats.study import DriftOutcomes, Point, condition_points
from simeval.stats.verdict import UNEQUAL, Saturation, Verdict, caveats, classify, saturation
from simeval.stats.within_task import WithinTask, cell_means, within_task

MARGIN = 0.05
"""A condition is harmful if the interval of its drop is above this (fraction). Our choice."""
PRIMARY_STAT = "spearman"


@dataclass(frozen=True, slots=True)
class Options:
    """How a study is evaluated.

    Attributes:
        predictor: name of the drift in the study, fixed before the results are seen.
        margin: drops up to this count as robust (fraction).
        resampling: seed, numbers and level of all random statistics.
    """

    predictor: str = PRIMARY
    margin: float = MARGIN
    resampling: Resampling = field(default_factory=Resampling)


@dataclass(frozen=True, slots=True)
class AssociationWithCI:
    """A correlation between conditions and both its intervals.

    Attributes:
        association: value, interval for other conditions like these, p-value, leave-one-out range.
        ci_measurement: where a repeat with as many other episodes of these same conditions would be; not for MMRV.
        measurement_reason: why that is missing; empty otherwise.
    """

    association: Association
    ci_measurement: Interval | None
    measurement_reason: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest value over the conditions; a narrow range lowers any correlation."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Changed:
    """A condition whose instruction calls for another action: drift is correct, and no drift is the failure.

    Attributes:
        condition: its name.
        drift: mean drift; `None` if not measured.
        over_floor: divided by the drift between two sampling noises; `None` where that is 0 or unknown.
        over_kept: divided by the median drift of the conditions that keep the meaning; `None` without one above 0.
        drop: loss of success at the goal that counts.
        unmoved: the action changes no more than by sampling noise; `None` if not measured.
    """

    condition: str
    drift: float | None
    over_floor: float | None
    over_kept: float | None
    drop: float | None
    unmoved: bool | None


@dataclass(frozen=True, slots=True)
class MonotoneFit:
    """Success as a falling curve of drift: places and rates, of equal length."""

    drift: tuple[float, ...]
    rate: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Correlation:
    """All numbers of the report. A number that the data do not support is `None`, with a `reason` next to it.

    Attributes:
        predictor: the primary drift.
        points: all conditions; excluded ones have a reason.
        k: number of included conditions.
        families: number of their axis families.
        between: correlations between conditions, the primary one first.
        between_families: rank correlation of the families' means: does drift order kinds of perturbation?
        ceiling: reliability of the drops; its `ceiling` is the noise ceiling of a correlation.
        noise_free: the primary correlation over its ceiling, at most 1: an estimate without the drops' noise; `None`
            without a ceiling.
        drift_reliability: the same for drift.
        drift_range, drop_range: `None` without conditions.
        loco: leave-one-out prediction, by condition and by family.
        curve: logistic curve; `None` where `curve_reason` says why.
        monotone: model-free curve.
        within_task: within tasks; `None` where drift was not measured on the pairs.
        aurocs, flip_slope: per episode.
        budgets: drift budgets.
        screening: what rolling out fewer conditions would miss.
        top: whether the condition with the most drift has the largest drop.
        dose: monotonicity within families.
        ranking: predictors of the drop, best first.
        changed: conditions that call for another action.
        saturation: count of saturated cells.
        caveats: sentences, worst first.
        verdict: the verdict.
        seed: of all random statistics.
    """

    predictor: str
    points: tuple[Point, ...]
    k: int
    families: int
    between: tuple[AssociationWithCI, ...]
    between_families: Association
    ceiling: Reliability
    noise_free: float | None
    drift_reliability: Reliability
    drift_range: Range | None
    drop_range: Range | None
    loco: tuple[Loco, ...]
    curve: Curve | None
    curve_reason: str
    monotone: MonotoneFit
    within_task: WithinTask | None
    aurocs: tuple[Auroc, ...]
    flip_slope: FlipSlope
    budgets: tuple[Budget, ...]
    screening: tuple[ScreeningRow, ...]
    top: TopOne | None
    dose: tuple[Dose, ...]
    ranking: tuple[RankedPredictor, ...]
    changed: tuple[Changed, ...]
    saturation: Saturation
    caveats: tuple[str, ...]
    verdict: Verdict
    seed: int


def correlate(study: DriftOutcomes, rivals: Sequence[Predictor] = (), options: Options | None = None) -> Correlation:
    """Correlate drift with the loss of success.

    Args:
        study: outcomes and drift.
        rivals: other predictors, with one value for every condition of the study, including excluded ones.
        options: margin, seed, numbers.

    Raises:
        ValueError: a rival's values are not distances, or their number is wrong.
    """
    for rival in rivals:
        check_rival(rival, len(study.conditions))
    chosen = options or Options()
    resampling = chosen.resampling
    points = condition_points(study, resampling)
    columns = np.array([i for i, point in enumerate(points) if not point.excluded], dtype=np.intp)
    used, included = tuple(points[i] for i in columns), study.select(columns)
    drift, drop = _column([point.drift.mean for point in used]), _column([point.drop for point in used])
    families = np.array([point.axis_family for point in used], dtype=np.str_)
    cells = cells_of(included)
    between = _between(included, drift, drop, families, resampling)
    loco = tuple(leave_out(cells, families, scheme) for scheme in ("condition", "family"))
    fit, flips = fit_curve(cells), flips_of(included)
    per_task = within_task(*cell_means(included), families, resampling) if included.drift is not None else None
    ceiling = drop_reliability(included)
    families_means = _between_families(drift, drop, families, resampling)
    saturated = saturation(cells.successes.tolist(), cells.n.tolist())
    return Correlation(
        predictor=chosen.predictor,
        points=points,
        k=len(used),
        families=len(set(families.tolist())),
        between=between,
        between_families=families_means,
        ceiling=ceiling,
        noise_free=_noise_free(between[0].association.value, ceiling.ceiling),
        drift_reliability=_drift_reliability(used),
        drift_range=_range(drift),
        drop_range=_range(drop),
        loco=loco,
        curve=fit.curve,
        curve_reason=fit.reason,
        monotone=_monotone(used),
        within_task=per_task,
        aurocs=tuple(
            auroc(flips, stratum, resampling) for stratum in ("pooled", "within task", "within task x condition")
        ),
        flip_slope=flip_slope(flips, resampling.level),
        budgets=drift_budgets(cells, families, _clean_rate(study)),
        screening=screening_table(drift, drop, [point.drop_interval.low > chosen.margin for point in used]),
        top=top_one(drift, drop),
        dose=dose_response([p.axis_family for p in used], [p.severity for p in used], drift, drop),
        ranking=_ranking(chosen.predictor, rivals, points, columns, cells, resampling),
        changed=_changed(points, study.floor),
        saturation=saturated,
        caveats=(
            *caveats(used, between[0].association, per_task, ceiling, saturated, chosen.margin),
            *([UNEQUAL] if study.has_unequal_tasks else []),
        ),
        verdict=classify(between[0].association, families_means, loco[1]),
        seed=resampling.seed,
    )


def _between(
    study: DriftOutcomes, drift: Floats, drop: Floats, families: NDArray[np.str_], resampling: Resampling
) -> tuple[AssociationWithCI, ...]:
    associations = [associate(drift, drop, stat=stat, clusters=families, resampling=resampling) for stat in STATISTICS]
    if associations[0].value is None:
        return tuple(AssociationWithCI(association, None, association.reason) for association in associations)
    names = tuple(name for name in STATISTICS if name != "mmrv")
    intervals, reason = measurement_intervals(study, names, resampling)
    repeats = dict(zip(names, intervals, strict=True))
    return tuple(AssociationWithCI(row, repeats.get(row.stat), reason) for row in associations)


def _between_families(drift: Floats, drop: Floats, families: NDArray[np.str_], resampling: Resampling) -> Association:
    names = np.unique(families)
    means = [family_means(families, values) if len(names) else values for values in (drift, drop)]
    association = associate(means[0], means[1], stat=PRIMARY_STAT, resampling=resampling)
    few = f"too few families: {len(names)}, at least {MIN_POINTS} are needed"
    return replace(association, reason=few) if len(names) < MIN_POINTS else association


def _noise_free(rho: float | None, ceiling: float | None) -> float | None:
    return max(-1.0, min(1.0, rho / ceiling)) if rho is not None and ceiling else None


def _drift_reliability(points: Sequence[Point]) -> Reliability:
    errors = [point.drift.se for point in points]
    if any(error is None for error in errors):
        return Reliability(None, None, None, None, "drift was measured on one cluster of frames only")
    return reliability(_column([point.drift.mean for point in points]), _column(errors))


def _ranking(
    predictor: str,
    rivals: Sequence[Predictor],
    points: Sequence[Point],
    columns: NDArray[np.intp],
    cells: Cells,
    resampling: Resampling,
) -> tuple[RankedPredictor, ...]:
    used = [points[i] for i in columns]
    primary = Predictor(predictor, _column([point.drift.mean for point in used]))
    others = [Predictor(rival.name, np.asarray(rival.values, dtype=float)[columns]) for rival in rivals]
    families = np.array([point.axis_family for point in used], dtype=np.str_)
    return rank_predictors([primary, *others], _column([p.drop for p in used]), families, cells, resampling)


def _monotone(points: Sequence[Point]) -> MonotoneFit:
    places, rates = monotone_curve(
        _column([point.drift.mean for point in points]),
        _column([point.rate for point in points]),
        [point.pairs for point in points],
    )
    return MonotoneFit(tuple(places.tolist()), tuple(rates.tolist()))


def _changed(points: Sequence[Point], floor: float | None) -> tuple[Changed, ...]:
    kept_drifts = [point.drift.mean for point in points if not point.excluded and point.drift.mean is not None]
    typical = float(np.median(kept_drifts)) if kept_drifts else 0.0
    rows = []
    for point in points:
        if point.validity == "changed":
            mean = point.drift.mean
            over_kept = mean / typical if mean is not None and typical > 0 else None
            unmoved = None if mean is None else mean <= (floor or 0.0)
            rows.append(Changed(point.condition, mean, point.drift.over_floor, over_kept, point.drop, unmoved))
    return tuple(rows)


def _clean_rate(study: DriftOutcomes) -> float | None:
    ran = study.clean[~np.isnan(study.clean)]
    return float(ran.mean()) if ran.size else None


def _column(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _range(values: Floats) -> Range | None:
    return Range(float(values.min()), float(values.max())) if values.size else None
