"""Intervals for success rates: one task, one suite, several suites.

Every rate is a fraction in [0, 1]. An interval treats the initial states of a task as a sample of its possible initial
states. So the sampling unit is the initial state, not the episode: repeats of one initial state are averaged first and
count once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from simeval.stats.quantiles import normal_isf, standard_error, t_isf


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval.

    Attributes:
        low: lower limit.
        high: upper limit.
        level: nominal coverage, for instance 0.95.
        method: name of the method.
    """

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class SuiteRate:
    """An equal-weight mean over tasks, or over suites.

    Attributes:
        rate: the mean; `None` without data.
        tasks: number of tasks with data.
        n: number of sampling units (initial states) with data.
        variance: sampling variance of `rate` for fixed tasks; `None` without data.
        n_eff: number of independent trials with the same precision.
        interval: Wilson interval on `n_eff`, for the same tasks with other initial states.
        across_tasks: t interval on the task means, for other tasks like these; `None` with fewer than two tasks, or
            where all tasks score the same and the spread between tasks cannot be estimated.
    """

    rate: float | None
    tasks: int
    n: int
    variance: float | None
    n_eff: float
    interval: Interval
    across_tasks: Interval | None


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927); (0, 1) for `n == 0`.

    Args:
        successes: number of successes; a fraction where `n` is an effective sample size.
        n: number of trials.
        level: nominal coverage.

    Raises:
        ValueError: `successes` is outside [0, n].
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials")
    if n == 0:
        return Interval(0.0, 1.0, level, "wilson")
    # As statsmodels' `proportion_confint` computes it, which takes half a second to import.
    rate, z = successes / n, normal_isf((1 - level) / 2)
    scale = 1 + z**2 / n
    centre = (rate + z**2 / (2 * n)) / scale
    half = z * sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / scale
    return Interval(max(0.0, float(centre - half)), min(1.0, float(centre + half)), level, "wilson")


def suite_mean_of_units(units_per_task: Sequence[NDArray[np.floating]], level: float = 0.95) -> SuiteRate:
    """Equal-weight mean over the fixed tasks of a suite, from one success rate per initial state.

    The interval is Wilson's on the effective sample size (Korn and Graubard 1998), which is much narrower than Wilson's
    on pooled counts when tasks differ. Half a success and half a failure are added to every task when its variance is
    estimated, so that tasks at 0 or 1 do not imply certainty. The t interval clusters by task (Miller 2024).

    Args:
        units_per_task: one array per task; float[n_t] in [0, 1], the success rate of each initial state over its
            repeats (0 or 1 with one repeat). Empty arrays are left out.
        level: nominal coverage of both intervals.
    """
    tasks = [np.asarray(units, dtype=float) for units in units_per_task if len(units)]
    if not tasks:
        return SuiteRate(None, 0, 0, None, 0.0, wilson(0, 0, level), None)
    sizes = np.array([len(units) for units in tasks])
    total = int(sizes.sum())
    rates = np.array([units.mean() for units in tasks])
    rate = float(rates.mean())

    smoothed = np.array([units.sum() + 0.5 for units in tasks]) / (sizes + 1)
    squares = np.array([(units**2).sum() + 0.5 for units in tasks]) / (sizes + 1)
    variance = float(((squares - smoothed**2) / sizes).sum()) / len(tasks) ** 2
    binomial = _binomial_variance(rate, total)
    # Pooling tasks never overstates the precision (Hoeffding 1956) if all count with the size of the smallest.
    n_eff = max(binomial / variance, float(len(tasks) * sizes.min()))
    return SuiteRate(
        rate=rate,
        tasks=len(tasks),
        n=total,
        variance=binomial / n_eff,
        n_eff=n_eff,
        interval=_effective_wilson(rate, n_eff, level),
        across_tasks=_across_tasks(rates, level),
    )


def mean_of_suites(suites: Sequence[SuiteRate], level: float = 0.95) -> SuiteRate:
    """Equal-weight mean of suite means; suites and tasks are fixed, suites without data are left out.

    Args:
        suites: one entry per suite.
        level: nominal coverage.
    """
    known = [(suite.rate, suite.variance) for suite in suites if suite.rate is not None and suite.variance is not None]
    if not known:
        return SuiteRate(None, 0, 0, None, 0.0, wilson(0, 0, level), None)
    rate = float(np.mean([suite_rate for suite_rate, _ in known]))
    variance = sum(suite_variance for _, suite_variance in known) / len(known) ** 2
    total = sum(suite.n for suite in suites)
    n_eff = _binomial_variance(rate, total) / variance
    tasks = sum(suite.tasks for suite in suites)
    return SuiteRate(rate, tasks, total, variance, n_eff, _effective_wilson(rate, n_eff, level), None)


def _binomial_variance(rate: float, n: int) -> float:
    """Variance of one trial; half a success and half a failure are added first if the rate is 0 or 1."""
    inside = rate if 0 < rate < 1 else (rate * n + 0.5) / (n + 1)
    return inside * (1 - inside)


def _effective_wilson(rate: float, n_eff: float, level: float) -> Interval:
    interval = wilson(rate * n_eff, n_eff, level)
    return Interval(interval.low, interval.high, level, "wilson, effective n")


def _across_tasks(rates: NDArray[np.floating], level: float) -> Interval | None:
    if len(rates) < 2 or np.allclose(rates, rates[0]):
        return None
    mean, error = float(rates.mean()), standard_error(rates)
    low, high = (mean - t_isf(tail, len(rates) - 1) * error for tail in ((1 - level) / 2, (1 + level) / 2))
    return Interval(max(0.0, low), min(1.0, high), level, "t across tasks")
