"""Numbers of searches that choose their conditions by outcomes: thresholds, and the worst condition found."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from threshold_worlds import searched
from worst_worlds import (
    CLEAN_FAILS,
    flat,
    manifest_of,
    planted,
    played,
    point_of,
    search,
    smooth,
    success_at_random,
    success_rate,
    table,
)

from measured.shares import Measure, Measured, share
from simeval.analysis.worst import WorstFound, worst
from simeval.config.threshold_defaults import PER_AXIS, WIDTH
from simeval.stats.threshold import CREDIBLE, ThresholdEstimate

THRESHOLDS = {
    "one curve for all tasks": "one",
    "tasks differ": "tasks differ",
    "success ends abruptly": "abrupt",
    "success fades slowly": "slow",
    "a quarter of the tasks never fails": "a quarter never falls",
    "light, rates of `results/correlation`": "light",
    "occlusion, rates of `results/correlation`": "occlusion",
    "noise, rates of `results/correlation`": "noise",
}
"""Worlds in words; those of `threshold_worlds.world`."""
CHANCES = {"of .05 to .5": (0.05, 0.5), "of .5 to .95": (0.5, CREDIBLE), "of .95 or more": (CREDIBLE, 1.1)}
"""Printed probabilities that the threshold is not reached, in bins."""


@cache
def thresholds(kind: str, count: int) -> tuple[tuple[float, ThresholdEstimate], ...]:
    """Truth and result of searches of one axis with the default width and number of episodes."""
    found = (searched(kind, seed, most=PER_AXIS, width=WIDTH) for seed in range(count))
    return tuple((float(truth), estimate) for truth, estimate, _ in found)


def holds(truth: float, found: ThresholdEstimate) -> bool:
    """Whether what is printed is true: the interval has the threshold, or it is beyond the strength that is said."""
    if found.is_reached:
        return bool(found.interval.low <= truth <= found.interval.high)
    return truth >= min(1.0, found.at_least)


def threshold(runs: int) -> list[Measured]:
    count = max(5, runs // 25)
    return [
        share(world, "at least", CREDIBLE, [holds(*one) for one in thresholds(kind, count)])
        for world, kind in THRESHOLDS.items()
    ]


def end_of_range(runs: int) -> list[Measured]:
    """Thresholds from the middle of the range to half of it behind its end."""
    everywhere = thresholds("anywhere", max(20, runs // 12))
    rows = []
    for reached, printed in ((True, "an interval is printed: it has the truth"), (False, "beyond X is printed: it is")):
        known = [holds(truth, found) for truth, found in everywhere if found.is_reached == reached]
        rows += [share(printed, "at least", CREDIBLE, known)] if known else []
    for chance, (low, high) in CHANCES.items():
        inside = [(truth, found.beyond) for truth, found in everywhere if low < found.beyond <= high]
        if inside:
            behind, said = zip(*((truth > 1, beyond) for truth, beyond in inside), strict=True)
            world = f"not reached with a probability {chance}: it is not"
            rows.append(share(world, "about", float(np.mean(said)), behind))
    world = "the threshold is 5 % of the range behind its end: called reached"
    just = thresholds("just behind the end", max(5, runs // 25))
    return [*rows, share(world, "at most", 1 - CREDIBLE, [found.is_reached for truth, found in just if truth > 1])]


@dataclass(frozen=True)
class World:
    """Where a policy fails.

    Attributes:
        fails: from a condition's point to the probability of failure in a typical initial state.
        spread: how much initial states differ, see `worst_worlds.played`.
    """

    fails: Callable[[tuple[float, ...]], float]
    spread: float = 0.0

    def success(self, point: tuple[float, ...]) -> float:
        return success_rate(self.fails(point), self.spread)


WORST = {
    "a bad region": World(planted),
    "a bad region, initial states differ": World(planted, spread=1.5),
    "success fades smoothly": World(smooth),
    "all conditions alike": World(flat),
}


@dataclass(frozen=True)
class Find:
    """A find and what is true of it, as fractions.

    Attributes:
        found: the result of the search.
        success: true success of the find.
        clean: true success of clean episodes.
        uniform: true success over all conditions.
        tenth: true success that nine tenths of the conditions have at least.
    """

    found: WorstFound
    success: float
    clean: float
    uniform: float
    tenth: float


@cache
def finds(world: str, runs: int) -> tuple[Find, ...]:
    """Searches with 300 episodes, 50 pairs of the confirmation among them."""
    true, done = WORST[world], []
    for seed in range(max(5, runs // 20)):
        config = search(budget=300, settings={"seed": seed})
        _, ran = played(config, true.fails, seed=seed, spread=true.spread)
        found = worst(manifest_of(config), table(ran))
        assert found is not None
        rates = {condition: true.success(point) for condition, point in point_of(config).items()}
        done.append(
            Find(
                found,
                success=rates[str(found.condition)],
                clean=success_rate(CLEAN_FAILS, true.spread),
                uniform=success_at_random(config, true.fails, true.spread),
                tenth=float(np.quantile(list(rates.values()), 0.1)),
            )
        )
    return tuple(done)


def within(low: float | None, high: float | None, truth: float) -> bool | None:
    """Whether limits hold the truth, give or take rounding; `None` without limits."""
    return None if low is None or high is None else low - 1e-9 <= truth <= high + 1e-9


def worst_case(runs: int) -> list[Measured]:
    rows = []
    for world in WORST:
        done = finds(world, runs)
        rate = [within(one.found.confirmation.rate.low, one.found.confirmation.rate.high, one.success) for one in done]
        drop = [
            within(one.found.confirmation.low, one.found.confirmation.high, one.clean - one.success) for one in done
        ]
        uniform = [within(one.found.uniform.low, one.found.uniform.high, one.uniform) for one in done]
        searched_ = [within(one.found.in_search.low, one.found.in_search.high, one.success) for one in done]
        compared = "for comparison, not printed: from the find's episodes in the search"
        rows += [
            share(f"success there, {world}", "at least", 0.95, rate),
            share(f"drop, {world}", "at least", 0.95, drop),
            share(f"success at random conditions, {world}", "at least", 0.95, uniform),
            share(f"{compared}, {world}", "at least", 0.95, searched_),
        ]
    return rows


def named(runs: int) -> list[Measured]:
    """Where all conditions are alike each is as bad as any."""
    return [
        share(world, "about", None, [one.success <= one.tenth + 1e-9 for one in finds(world, runs)])
        for world in WORST
        if world != "all conditions alike"
    ]


NUMBERS: dict[str, Measure] = {
    "Threshold: what is printed is true, % of searches": threshold,
    "Threshold near the end of the range, % of searches": end_of_range,
    "Worst case: the interval has the truth, % of searches": worst_case,
    "Worst case: the find is among the worst tenth of the conditions, % of searches": named,
}
"""By the heading of their tables."""
