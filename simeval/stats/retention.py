"""Success that is kept under a perturbation, of two policies: perturbed over clean rate, and the ratio of both.

Points punish the better policy: one that succeeds in 85 % and keeps half of it loses 42 points, one that succeeds in
35 % and keeps half loses 17. What both keep of their success is the other scale.
"""

from dataclasses import dataclass, replace
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import t_isf, t_sf
from simeval.stats.ratio import paired_ratio

Floats = NDArray[np.float64]

ONE_EACH = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0]])
"""Two added states, as Bonett and Price do for one drop: in one only A keeps its success, in the other only B."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Share of its clean success that each policy keeps on one condition, on the same pairs.

    Attributes:
        condition: its name; empty for the mean over conditions.
        n: number of common pairs.
        units: number of their initial states.
        a, b: perturbed over clean success of A, of B; `None` where no clean episode succeeded.
        a_interval, b_interval: Bonett and Price's; `None` without an upper limit, and for the mean over conditions.
        ratio: b / a; above 1, B keeps more. `None` where `reason` says why.
        interval: of `ratio`, see `compare_retention`.
        p: two-sided, from the same distribution as `interval`.
        p_holm: adjusted over the conditions.
        reason: why a number is missing; empty otherwise.
    """

    condition: str
    n: int
    units: int
    a: float | None = None
    b: float | None = None
    a_interval: Interval | None = None
    b_interval: Interval | None = None
    ratio: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    reason: str = ""


def compare_retention(
    name: str, clean: tuple[Floats, Floats], perturbed: tuple[Floats, Floats], units: NDArray[np.generic], level: float
) -> Retention:
    """Compare what two policies keep.

    The interval is Student's t on the logarithm of the ratio, its standard error from the influence of each initial
    state, after two states are added (`ONE_EACH`). In simulations it covers .95 and more from 10 states on, where a
    bootstrap over states covers .77 to .96: few kept successes do not show their spread in a resample.

    Args:
        name: of the condition.
        clean: float[pairs] of A and B, 1 success, 0 failure; NaN where an episode is missing.
        perturbed: the same of the twins; a fraction if it is the mean over conditions.
        units: int[pairs], initial state of each.
        level: nominal coverage.
    """
    outcomes = np.stack([clean[0], perturbed[0], clean[1], perturbed[1]], axis=1)
    complete = ~np.isnan(outcomes).any(axis=1)
    outcomes, labels = outcomes[complete], units[complete]
    if not len(outcomes):
        return Retention(name, 0, 0, reason="no pair that both runs have")
    _, index, repeats = np.unique(labels, return_inverse=True, return_counts=True)
    found = Retention(
        condition=name,
        n=len(outcomes),
        units=len(repeats),
        a=_kept(outcomes[:, 0], outcomes[:, 1]),
        b=_kept(outcomes[:, 2], outcomes[:, 3]),
        a_interval=_own_interval(outcomes[:, 0], outcomes[:, 1], labels, level),
        b_interval=_own_interval(outcomes[:, 2], outcomes[:, 3], labels, level),
    )
    return _with_ratio(found, np.stack([np.bincount(index, column) / repeats for column in outcomes.T], axis=1), level)


def _with_ratio(found: Retention, states: Floats, level: float) -> Retention:
    """The ratio with interval and test, of float[states, 4]: clean and perturbed of A, then of B."""
    if found.a is None or found.b is None:
        return replace(found, reason="a policy never succeeded when unperturbed")
    padded = np.concatenate([states, ONE_EACH])
    count, sums = len(padded), padded.sum(axis=0)
    shares = padded / sums
    influence = shares[:, 3] - shares[:, 2] - shares[:, 1] + shares[:, 0]
    centre = log(sums[3] * sums[0] / (sums[2] * sums[1]))
    error = sqrt(count / (count - 1) * float((influence**2).sum()))
    half = t_isf((1 - level) / 2, count - 1) * error
    return replace(
        found,
        ratio=found.b / found.a if found.a else None,
        reason="" if found.a else "A keeps nothing",
        interval=Interval(exp(centre - half), exp(centre + half), level, "t on the log ratio, padded"),
        p=min(1.0, 2 * t_sf(abs(centre) / error, count - 1)),
    )


def _kept(clean: Floats, perturbed: Floats) -> float | None:
    return float(perturbed.sum() / clean.sum()) if clean.any() else None


def _own_interval(clean: Floats, perturbed: Floats, units: NDArray[np.generic], level: float) -> Interval | None:
    if not np.isin(perturbed, (0, 1)).all():
        return None
    found = paired_ratio(perturbed == 1, clean == 1, units=units, level=level)
    return found.interval if found.ratio is not None and np.isfinite(found.interval.high) else None
