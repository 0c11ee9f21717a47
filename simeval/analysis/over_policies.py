"""The correlation over several policies: one number each, then the median. Points of policies are never pooled."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from simeval.stats.correlation import Correlation


@dataclass(frozen=True, slots=True)
class PolicyMedians:
    """Rank correlation over the policies of one suite.

    Attributes:
        suite: its name.
        policies: policies that have a correlation.
        without: policies that have none.
        rho: median of Spearman's correlation; `None` without one.
        low, high: smallest and largest.
    """

    suite: str
    policies: int
    without: int
    rho: float | None
    low: float | None
    high: float | None


def medians(found: Sequence[tuple[str, Correlation]]) -> tuple[PolicyMedians, ...]:
    """One row per suite on which several policies were correlated.

    Args:
        found: suite and correlation, one entry per policy and suite.
    """
    rows = []
    for suite in dict.fromkeys(name for name, _ in found):
        mine = [correlation.between[0].association.value for name, correlation in found if name == suite]
        known = [value for value in mine if value is not None]
        if len(mine) > 1:
            low, high = (min(known), max(known)) if known else (None, None)
            rho = float(median(known)) if known else None
            rows.append(PolicyMedians(suite, len(known), len(mine) - len(known), rho, low, high))
    return tuple(rows)
