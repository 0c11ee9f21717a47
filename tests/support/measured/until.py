"""Numbers that hold at any look: runs that stop when they are decided, and runs that grow."""

from math import log

import numpy as np
from numpy.typing import NDArray
from paired_worlds import pairs_alike, pairs_in_rounds
from scipy.stats import binom

from measured.shares import Measure, Measured, share
from simeval.stats.anytime import ALPHA, expected_pairs, log_e_values

Floats = NDArray[np.float64]

PAIRS = 500
TIMES = 10
"""How often a run grows, by as many pairs as it began with."""
DIFFER = np.array([0.2, -0.2] * 5)
"""Drops of ten tasks that are none on average."""
MARGIN = 0.05


def without_drop(runs: int, seed: int) -> dict[str, Floats]:
    """Differences `[runs, PAIRS]` in worlds without a drop on average."""
    rng = np.random.default_rng(seed)
    worlds = {
        f"{100 * chance:.0f} % of the pairs flip by chance": pairs_alike(rng, runs, 0.0, chance, PAIRS)
        for chance in (0.04, 0.1, 0.2)
    }
    return worlds | {"half of the tasks lose 20 points, half gain 20": pairs_in_rounds(rng, runs, PAIRS, DIFFER, 0.2)}


def evidence(rows: Floats, sign: int = -1) -> Floats:
    """Largest log e-value of a drop (`sign` -1) or of a gain (1) up to every pair: `[runs, pairs]`."""
    return np.array([np.maximum.accumulate(log_e_values(sign * row, 0.0)) for row in rows])


def false_drops(runs: int) -> list[Measured]:
    """Called at any of 500 looks."""
    needed = log(2 / ALPHA)
    return [
        share(world, "at most", ALPHA / 2, evidence(rows)[:, -1] >= needed)
        for world, rows in without_drop(runs, 41).items()
    ]


def grown(runs: int) -> list[Measured]:
    """A run is looked at, then grows; ten sizes in all. Any difference, in either direction."""
    ends, needed = np.arange(1, TIMES + 1) * PAIRS // TIMES - 1, log(2 / ALPHA)
    rows = []
    for world, table in without_drop(runs, 42).items():
        looks = np.maximum(evidence(table), evidence(table, 1))[:, ends]
        rows.append(share(f"p below .05, {world}", "at most", ALPHA, (looks >= needed).any(axis=1)))
        drops = evidence(table)[:, ends]
        rows.append(share(f"called a drop, {world}", "at most", ALPHA / 2, (drops >= needed).any(axis=1)))
    return [*rows, conditions_added(runs), share(*_mcnemar(runs, ends))]


def conditions_added(runs: int) -> Measured:
    """Each time another harmless condition of 100 pairs; with so many conditions the first call needs so much more."""
    rng, pairs, found = np.random.default_rng(43), 100, []
    for _ in range(runs):
        chance = rng.beta(1.2, 0.6, pairs)
        clean, flips = rng.random(pairs) < chance, rng.random((TIMES, pairs)) < 0.15
        perturbed = np.where(flips, rng.random((TIMES, pairs)) < chance, clean)
        largest = np.maximum.accumulate(evidence(clean.astype(float) - perturbed)[:, -1])
        found.append(bool((largest >= np.log(2 * np.arange(1, TIMES + 1) / ALPHA)).any()))
    return share("any called a drop, one more harmless condition each time", "at most", ALPHA / 2, found)


def _mcnemar(runs: int, ends: NDArray[np.int64]) -> tuple:
    rows = pairs_alike(np.random.default_rng(44), runs, 0.0, 0.1, PAIRS)
    harmed, helped = (np.cumsum(rows == side, axis=1)[:, ends] for side in (1.0, -1.0))
    p = 2 * binom.cdf(np.minimum(harmed, helped), harmed + helped, 0.5)
    world = "for comparison, not used here: McNemar's p below .05 at any of the ten sizes, 10 % flip"
    return world, "at most", ALPHA, (p < ALPHA).any(axis=1)


def within(runs: int) -> list[Measured]:
    rng, needed, rows = np.random.default_rng(45), log(1 / ALPHA), []
    for background in (0.04, 0.2):
        table = pairs_alike(rng, runs, MARGIN, background, PAIRS)
        found = [log_e_values(row, MARGIN).max() >= needed for row in table]
        world = f"true drop of just 5 points, {100 * background:.0f} % flip by chance"
        rows.append(share(world, "at most", ALPHA, found))
    return rows


def any_drop(runs: int) -> list[Measured]:
    """As if no condition had stopped as "costs less" before: that can only add calls."""
    rows = []
    for conditions in (5, 28):
        rng, found = np.random.default_rng(46), []
        for _ in range(max(10, runs // 4)):
            chance = rng.beta(1.2, 0.6, 300)
            clean, flips = rng.random(300) < chance, rng.random((conditions, 300)) < 0.15
            perturbed = np.where(flips, rng.random((conditions, 300)) < chance, clean)
            largest = evidence(clean.astype(float) - perturbed)[:, -1].max()
            found.append(bool(largest >= log(2 * conditions / ALPHA)))
        rows.append(share(f"any of {conditions} harmless conditions, 300 pairs", "at most", ALPHA / 2, found))
    return rows


def interval(runs: int) -> list[Measured]:
    """A drop is outside if one of the two tests has rejected it at any look; see `confidence_interval`."""
    rng, needed, rows = np.random.default_rng(47), log(2 / ALPHA), []
    worlds = {
        f"true drop {points} points, 10 % flip by chance": (points / 100, pairs_alike(rng, runs, points / 100, 0.1))
        for points in (0, 10, 30)
    }
    drops = 0.1 + DIFFER
    worlds["true drop 10 points on average, by task 30 or -10"] = (0.1, pairs_in_rounds(rng, runs, PAIRS, drops, 0.3))
    for world, (drop, table) in worlds.items():
        held = [max(log_e_values(row, drop).max(), log_e_values(-row, -drop).max()) < needed for row in table]
        rows.append(share(world, "at least", 0.95, held))
    return rows


def plan(runs: int) -> list[Measured]:
    rows = []
    for points, most in ((10, 200), (20, 100)):
        drop = points / 100
        _, named = expected_pairs(drop, background=0.1, tests=1, most=most)
        for spread in (0.0, 0.1):
            drops = drop + spread * np.sign(DIFFER)
            table = pairs_in_rounds(np.random.default_rng(48), runs // 2, most, drops, 0.1 + drop)
            found = evidence(table)[:, -1] >= log(2 / ALPHA)
            alike = "tasks lose alike" if not spread else "tasks lose 10 points more or less"
            rows.append(share(f"{points} points, at most {most} pairs, {alike}", "about", named, found))
    return rows


NUMBERS: dict[str, Measure] = {
    "Until decided: called a drop without one, at any of 500 looks, % of runs": false_drops,
    "Grown ten times: a difference without one, at any of the ten sizes, % of runs": grown,
    "Until decided: any drop called among several conditions without one, % of runs": any_drop,
    "Until decided: said to cost less than 5 points, wrongly, at any look, % of runs": within,
    "Until decided: the interval has the truth at all looks together, % of runs": interval,
    "Plan with --until decided: a drop is called, % of runs": plan,
}
"""By the heading of their tables."""
