"""The correlation over several policies: one number per policy, then the median. Points are never pooled."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from simeval.stats.correlation import Correlation


@dataclass(frozen=True, slots=True)
class PolicyMedians:
    """Rank correlation over the policies of one suite.

    Attributes:
        suite: suite name.
        policies: number of policies with a correlation.
        without: number of policies without one.
        rho: median of Spearman's correlation; `None` without one.
        low, high: smallest and largest.
    """

    suite: str
    policies: int
    without: int
    rho: float | None
    low: float | None
    high: float | None


def policy_medians(correlations: Sequence[tuple[str, Correlation]]) -> tuple[PolicyMedians, ...]:
    """One row per suite on which several policies were correlated.

    Args:
        correlations: suite and correlation, one entry per policy and suite.
    """
    rows = []
    for suite in dict.fromkeys(name for name, _ in correlations):
        values = [correlation.between[0].association.value for name, correlation in correlations if name == suite]
        known = [value for value in values if value is not None]
        if len(values) > 1:
            low, high = (min(known), max(known)) if known else (None, None)
            rho = float(median(known)) if known else None
            rows.append(PolicyMedians(suite, len(known), len(values) - len(known), rho, low, high))
    return tuple(rows)
