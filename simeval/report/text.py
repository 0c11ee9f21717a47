"""Texts about drift against drop, and formatted numbers with intervals."""

from collections.abc import Sequence

from simeval.report.format import NOTHING, decimal, p_value
from simeval.stats.association import Association
from simeval.stats.correlation import AssociationWithCI, Correlation
from simeval.stats.drift import DriftMean
from simeval.stats.intervals import Interval


def format_number(value: float | None, digits: int = 2) -> str:
    """A number with fixed digits; `-` without one."""
    return NOTHING if value is None else f"{value:z.{digits}f}"


def format_ci(interval: Interval | None, digits: int = 2) -> str:
    """`[0.71, 0.95]`; `-` without one."""
    return NOTHING if interval is None else f"[{interval.low:z.{digits}f}, {interval.high:z.{digits}f}]"


def format_with_ci(value: float | None, interval: Interval | None, digits: int = 2) -> str:
    """`0.86 [0.71, 0.95]`, or the value alone."""
    if value is None or interval is None:
        return format_number(value, digits)
    return f"{format_number(value, digits)} {format_ci(interval, digits)}"


def verdict_sentence(suite: str, correlation: Correlation) -> str:
    """Verdict on drift, with its evidence."""
    verdict = correlation.verdict
    return f"Drift ({correlation.predictor}) against drop on {suite}: {verdict.word}; {verdict.reason}."


def figure_caption_lines(correlation: Correlation) -> tuple[str, ...]:
    """The numbers above the figure of drift against drop."""
    first = correlation.between[0]
    rho, mmrv = first.association, correlation.between[-1].association
    loco, ceiling = correlation.loco[0], correlation.ceiling.ceiling
    counts = f"K = {correlation.k} in {_families(correlation.families)}"
    if rho.value is None:
        return (f"no rank correlation: {rho.reason}", counts)
    return (
        f"Spearman ρ = {rho.value:.2f}; 95 %: other perturbations {_ci_or_reason(rho)}, "
        f"the same run again {format_ci(first.ci_measurement)}",
        f"p {_p(rho.p)}, {counts}, r_max = {format_number(ceiling)}",
        f"MMRV {decimal(mmrv.value)} points, LOCO MAE {decimal(loco.mae)} points"
        + (f" (mean of the others: {decimal(loco.mae_naive)})" if loco.mae_naive is not None else ""),
    )


def missing_reasons(correlation: Correlation) -> tuple[str, ...]:
    """Why numbers are missing, one sentence each; may be empty."""
    reasons = {
        "Rank correlation": correlation.between[0].association.reason,
        "Interval of a repeat": correlation.between[0].measurement_reason,
        "Correlation of the families": correlation.between_families.reason,
        "Noise ceiling": correlation.ceiling.reason,
        "Logistic fit": correlation.curve_reason,
        **{f"Leaving out one {loco.scheme} at a time": loco.reason for loco in correlation.loco},
        **{f"Budget for {decimal(b.retained)} % of the clean rate": b.reason for b in correlation.budgets},
        "Within tasks": correlation.within_task.reason
        if correlation.within_task
        else "drift was not measured on pairs",
        **{f"AUROC, {row.stratum}": row.reason for row in correlation.aurocs},
        "Slope of flips": correlation.flip_slope.reason,
    }
    return tuple(f"{name}: {reason}." for name, reason in reasons.items() if reason)


def level_row(name: str, measured: AssociationWithCI) -> tuple[str, ...]:
    """A row of the table of correlations between conditions."""
    association = measured.association
    points = association.stat == "mmrv"
    format_value = decimal if points else format_number
    intervals = [
        NOTHING if i is None else f"[{format_value(i.low)}, {format_value(i.high)}]"
        for i in (association.ci_conditions, measured.ci_measurement)
    ]
    loo_range = (
        NOTHING
        if association.loo_min is None
        else f"{format_value(association.loo_min)} to {format_value(association.loo_max)}"
    )
    return (name, format_value(association.value), *intervals, p_value(association.p), str(association.k), loo_range)


def few_episodes(drifts: Sequence[tuple[str, DriftMean]]) -> list[str]:
    """Why mean drifts have no interval, one line per reason: `a, b: 3 episodes only: no interval`."""
    reasons: dict[str, list[str]] = {}
    for condition, drift in drifts:
        if drift.mean is not None and drift.reason:
            reasons.setdefault(drift.reason, []).append(condition)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _ci_or_reason(association: Association) -> str:
    return (
        format_ci(association.ci_conditions)
        if association.ci_conditions
        else f"no interval ({association.reason or 'too few'})"
    )


def _p(p: float | None) -> str:
    text = p_value(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"


def _families(count: int) -> str:
    return f"{count} family" if count == 1 else f"{count} families"
