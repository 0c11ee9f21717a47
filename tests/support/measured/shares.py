"""What a simulation found, beside what was aimed at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Aim = Literal["at least", "at most", "about"]


@dataclass(frozen=True)
class Measured:
    """A share of simulated runs, or another mean over them.

    Attributes:
        world: what was simulated, in words.
        aim: how `nominal` is meant.
        nominal: what was aimed at (fraction); `None` if nothing was.
        simulated: what was found (fraction).
        error: standard error of `simulated`.
        runs: number of simulated runs.
    """

    world: str
    aim: Aim
    nominal: float | None
    simulated: float
    error: float
    runs: int


Measure = Callable[[int], list[Measured]]
"""From a number of runs to one row per world."""


def share(world: str, aim: Aim, nominal: float | None, values: Iterable[float | None]) -> Measured:
    """Sum up one value per run; those without a number are left out.

    Where all runs agree, a run that was right and one that was wrong are added for the error, so that it is not 0.

    Raises:
        ValueError: no run has a number.
    """
    known = np.array([value for value in values if value is not None], dtype=float)
    if not len(known):
        raise ValueError(f"{world}: no simulated run has this number; more --runs")
    spread = known if np.ptp(known) else np.concatenate([known, [0.0, 1.0]])
    error = spread.std(ddof=1) / np.sqrt(len(spread))
    return Measured(world, aim, nominal, float(known.mean()), float(error), len(known))


def covers(interval, truth: float) -> bool | None:
    """Whether an interval has the truth; `None` without an interval."""
    return None if interval is None else bool(interval.low <= truth <= interval.high)
