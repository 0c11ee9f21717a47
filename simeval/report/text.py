"""Drift against drop in words; and the words of a page that need more than a number."""

from simeval.report.format import NOTHING, decimal, p_value
from simeval.stats.association import Association
from simeval.stats.correlation import AssociationWithCI, Correlation
from simeval.stats.intervals import Interval


def number(value: float | None, digits: int = 2) -> str:
    """A number with fixed digits; `-` without one."""
    return NOTHING if value is None else f"{value:z.{digits}f}"


def format_ci(interval: Interval | None, digits: int = 2) -> str:
    """`[0.71, 0.95]`; `-` without one."""
    return NOTHING if interval is None else f"[{interval.low:z.{digits}f}, {interval.high:z.{digits}f}]"


def format_with_ci(value: float | None, interval: Interval | None, digits: int = 2) -> str:
    """`0.86 [0.71, 0.95]`, or the value alone."""
    if value is None or interval is None:
        return number(value, digits)
    return f"{number(value, digits)} {format_ci(interval, digits)}"


def verdict_sentence(suite: str, correlation: Correlation) -> str:
    """The word that drift has earned, and the numbers that earned it."""
    verdict = correlation.verdict
    return f"Drift ({correlation.predictor}) against drop on {suite}: {verdict.word}; {verdict.reason}."


def figure_caption_lines(correlation: Correlation) -> tuple[str, ...]:
    """The numbers that stand in the figure of drift against drop."""
    first = correlation.between[0]
    rho, mmrv = first.association, correlation.between[-1].association
    loco, ceiling = correlation.loco[0], correlation.ceiling.ceiling
    counts = f"K = {correlation.k} in {_families(correlation.families)}"
    if rho.value is None:
        return (f"no rank correlation: {rho.reason}", counts)
    return (
        f"Spearman ρ = {rho.value:.2f}; 95 % CI: conditions {_or_none(rho)}, "
        f"episodes {format_ci(first.ci_measurement)}",
        f"p {_p(rho.p)}, {counts}, r_max = {number(ceiling)}",
        f"MMRV {decimal(mmrv.value)} points, LOCO MAE {decimal(loco.mae)} points"
        + (f" (mean of the others: {decimal(loco.mae_naive)})" if loco.mae_naive is not None else ""),
    )


def missing_reasons(correlation: Correlation) -> tuple[str, ...]:
    """Why numbers are missing, one sentence each; empty if none is."""
    said = {
        "Rank correlation": correlation.between[0].association.reason,
        "Interval over episodes": correlation.between[0].measurement_reason,
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
    return tuple(f"{name}: {reason}." for name, reason in said.items() if reason)


def level_row(name: str, measured: AssociationWithCI) -> tuple[str, ...]:
    """A row of the table of correlations between conditions."""
    found = measured.association
    points = found.stat == "mmrv"
    show = decimal if points else number
    intervals = [
        NOTHING if i is None else f"[{show(i.low)}, {show(i.high)}]"
        for i in (found.ci_conditions, measured.ci_measurement)
    ]
    alone = NOTHING if found.loo_min is None else f"{show(found.loo_min)} to {show(found.loo_max)}"
    return (name, show(found.value), *intervals, p_value(found.p), str(found.k), alone)


def _or_none(found: Association) -> str:
    return format_ci(found.ci_conditions) if found.ci_conditions else f"no interval ({found.reason or 'too few'})"


def _p(p: float | None) -> str:
    text = p_value(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"


def _families(count: int) -> str:
    return f"{count} family" if count == 1 else f"{count} families"
