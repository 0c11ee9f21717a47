"""Drift as a predictor of the drop in success: docs/how-to/drift.md."""

from collections.abc import Iterator
from functools import cache

from documented.claims import Claim
from documented.formats import percent, two_decimals
from documented.runs import run
from simeval.analysis.correlate import correlate
from simeval.report.format import p_value
from simeval.stats.correlation import Correlation
from simeval.store.audit import Audit

PAGE = "docs/how-to/drift.md"
PIXELS = "mean_abs"
"""The predictor that is the change of the pixels."""


def statements() -> Iterator[Claim]:
    for text in (
        "rank correlation {rho} (95 % interval for other perturbations like these {rho_low} to {rho_high})",
        "about {more} more kinds of perturbation could decide",
        "Kinds, not only strengths of one kind, are ordered (p {p})",
        "predicted from drift alone with an error of {mae} points on average",
        "where the mean of the other kinds is off by {naive}.",
        "(AUROC within task and condition {auroc}, {auroc_low} to {auroc_high})",
        "The change of the pixels alone says little ({pixels}, {pixels_low} to {pixels_high})",
        "![Drift against drop: {k} conditions of {families} families]",
    ):
        yield Claim(PAGE, text, numbers())


@cache
def study() -> Correlation:
    (found,) = correlate(run("correlation"), Audit.load(run("correlation").folder / "audit"))
    return found.correlation


def numbers() -> dict[str, str]:
    """How well drift predicts the drop."""
    found = study()
    (loco,) = (row for row in found.loco if row.scheme == "family")
    (auroc,) = (row for row in found.aurocs if row.stratum == "within task x condition")
    (pixels,) = (row.association for row in found.ranking if row.name == PIXELS)
    spearman = found.between[0].association
    values = {"k": str(found.k), "families": str(found.families), "more": str(found.verdict.more_kinds)}
    values |= {"p": p_value(found.between_families.p)}
    values |= {"mae": percent(loco.mae), "naive": percent(loco.mae_naive)}
    for name, value, interval in (
        ("rho", spearman.value, spearman.ci_conditions),
        ("auroc", auroc.value, auroc.interval),
        ("pixels", pixels.value, pixels.ci_conditions),
    ):
        assert interval is not None
        values |= {
            name: two_decimals(value),
            f"{name}_low": two_decimals(interval.low),
            f"{name}_high": two_decimals(interval.high),
        }
    return values
