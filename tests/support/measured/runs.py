"""Numbers of one run, and of the plan of one."""

import numpy as np
from paired_worlds import TASKS, PairedWorld, paired_world
from scipy.special import expit
from worlds import World

from measured.shares import Measure, Measured, covers, share
from simeval.analysis.sensitivity import more_pairs, size_of
from simeval.stats.intervals import mean_of_suites, suite_mean_of_units, wilson
from simeval.stats.paired import PairedDrop, holm, paired_drop
from simeval.stats.power import pairs_needed, sensitivity
from simeval.stats.ratio import paired_ratio

MARGIN = 0.05


def success(runs: int) -> list[Measured]:
    rng, truth, rows = np.random.default_rng(21), paired_world(0.0, 0.4).clean, []
    for states, repeats in ((5, 1), (50, 1), (5, 3)):
        tables = (truth_table(rng, states, repeats) for _ in range(runs))
        found = [covers(suite_mean_of_units(list(table)).interval, truth) for table in tables]
        times = f", {repeats} repeats" if repeats > 1 else ""
        rows.append(share(f"10 tasks from 35 to 94 %, {states} initial states each{times}", "at least", 0.95, found))
    found = [
        covers(suite_mean_of_units(list((rng.random((TASKS, 5)) < 0.98).astype(float))).interval, 0.98)
        for _ in range(runs)
    ]
    return [*rows, share("10 tasks at 98 %, 5 initial states each", "at least", 0.95, found)]


def truth_table(rng: np.random.Generator, states: int, repeats: int = 1) -> np.ndarray:
    """Success rate of every initial state over its repeats: float[tasks, states]."""
    clean, _ = paired_world(0.0, 0.4).play(states, rng, repeats)
    return clean.reshape(TASKS, states, repeats).mean(axis=2)


def by_task(runs: int) -> list[Measured]:
    rng, rows = np.random.default_rng(22), []
    for states, rate in ((10, 0.9), (50, 0.9), (50, 0.6)):
        units = (rng.random((runs, states)) < rate).astype(float)
        found = [covers(suite_mean_of_units([row]).interval, rate) for row in units]
        rows.append(share(f"{states} initial states, {100 * rate:.0f} %", "at least", 0.95, found))
    return rows


def other_tasks(runs: int) -> list[Measured]:
    rng, found = np.random.default_rng(23), []
    truth = float(expit(np.random.default_rng(0).normal(1.2, 1.5, 1_000_000)).mean())
    for _ in range(runs):
        chance = expit(rng.normal(1.2, 1.5, TASKS))
        units = (rng.random((TASKS, 10)) < chance[:, None]).astype(float)
        found.append(covers(suite_mean_of_units(list(units)).across_tasks, truth))
    return [share("10 tasks drawn anew in every run, 10 initial states each", "at least", 0.95, found)]


def by_category(runs: int) -> list[Measured]:
    rng, rows = np.random.default_rng(24), []
    for tasks in (10, 100):
        solved = (rng.random((runs, tasks)) < rng.beta(1.2, 0.6, (runs, tasks))).sum(axis=1)
        found = [covers(wilson(count, tasks), 2 / 3) for count in solved]
        rows.append(share(f"{tasks} tasks that differ, one episode each", "at least", 0.95, found))
    return rows


def suites(runs: int) -> list[Measured]:
    rng, truth, found = np.random.default_rng(25), paired_world(0.0, 0.4).clean, []
    for _ in range(runs):
        parts = [suite_mean_of_units(list(truth_table(rng, states))) for states in (5, 5, 20, 20)]
        found.append(covers(mean_of_suites(parts).interval, truth))
    return [share("4 suites, 5 or 20 initial states per task", "at least", 0.95, found)]


def played(world: PairedWorld, pairs: int, runs: int, seed: int, repeats: int = 1) -> list[PairedDrop]:
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(pairs), repeats)
    return [paired_drop(*world.play(pairs // TASKS, rng, repeats), units=units) for _ in range(runs)]


def called(found: PairedDrop, tests: int = 1) -> bool:
    """The rule of the tables, beside conditions that cost nothing: Holm multiplies the smallest p by their number."""
    return found.interval.low > 0 and found.p * tests < 0.05


def drop(runs: int) -> list[Measured]:
    rows = []
    for pairs, points, repeats in ((50, 0, 1), (50, 20, 1), (200, 10, 1), (500, 10, 1), (50, 20, 3)):
        found = played(paired_world(points / 100, 0.4), pairs, runs, 26, repeats)
        what = f"{pairs} pairs" if repeats == 1 else f"{pairs} initial states, {repeats} repeats"
        hits = [covers(one.interval, points / 100) for one in found]
        rows.append(share(f"{what}, true drop {points} points", "at least", 0.95, hits))
    return rows


def p_value(runs: int) -> list[Measured]:
    rows = []
    for pairs, repeats in ((50, 1), (500, 1), (50, 3)):
        found = played(paired_world(0.0, 0.4), pairs, runs, 27, repeats)
        what = f"{pairs} pairs" if repeats == 1 else f"{pairs} initial states, {repeats} repeats"
        rows.append(share(f"{what}, no drop", "at most", 0.05, [one.p < 0.05 for one in found]))
    return rows


def harmless(runs: int, conditions: int, states: int = 50) -> list[tuple[bool, bool]]:
    """Of every run: whether any adjusted p is below .05, and whether any condition is called a drop."""
    rng, world, found = np.random.default_rng(28), World((1,) * conditions, states=states), []
    for _ in range(runs):
        ease = rng.normal(0.5, 1.2, TASKS)
        clean, perturbed = world.outcomes(rng, np.zeros(conditions), ease, np.ones((TASKS, conditions)))
        drops = [paired_drop(clean, column) for column in perturbed.T]
        adjusted = holm([one.p for one in drops])
        small = [p < 0.05 for p in adjusted]
        found.append((any(small), any(p and one.interval.low > 0 for p, one in zip(small, drops, strict=True))))
    return found


def adjusted_p(runs: int) -> list[Measured]:
    rows = []
    for conditions in (5, 28):
        found = harmless(runs // 4, conditions)
        rows.append(
            share(f"any of {conditions} harmless conditions, 50 pairs", "at most", 0.05, [one for one, _ in found])
        )
    return rows


def word_drop(runs: int) -> list[Measured]:
    alone = [called(one) for one in played(paired_world(0.0, 0.4), 200, runs, 29)]
    found = [word for _, word in harmless(runs // 4, 12, 100)]
    return [
        share("one harmless condition, 200 pairs", "at most", 0.025, alone),
        share("any of 12 harmless conditions, 100 pairs", "at most", 0.025, found),
    ]


def word_within(runs: int) -> list[Measured]:
    rows = []
    for pairs, own_luck in ((50, 0.0), (50, 0.3), (200, 0.4)):
        world = paired_world(MARGIN, own_luck)
        found = [one.interval_90.high < MARGIN for one in played(world, pairs, runs, 30)]
        chance = f"{100 * world.background:.0f} % of the pairs flip by chance"
        rows.append(share(f"{pairs} pairs, true drop of just 5 points, {chance}", "at most", 0.05, found))
    return rows


def visible(pairs: int, own_luck: float, tests: int) -> tuple[PairedWorld, float]:
    """The world with the drop that is named, and how often half of it is said to be found."""
    background = paired_world(0.1, own_luck).background
    for _ in range(3):  # a larger drop leaves less to flip back
        size = sensitivity(pairs, tests, background=background)
        world = paired_world(size.visible, own_luck)
        background = world.background
    return world, size.half_found


def power(runs: int) -> list[Measured]:
    rows = []
    for pairs, own_luck, tests in ((50, 0.3, 1), (100, 0.5, 12), (500, 0.5, 1)):
        world, half = visible(pairs, own_luck, tests)
        where = f"{pairs} pairs, adjusted for {tests}" if tests > 1 else f"{pairs} pairs"
        for part, nominal, of in ((1, 0.8, ""), (2, half, ", half of it")):
            true = world if part == 1 else paired_world(world.drop / 2, own_luck)
            found = [called(one, tests) for one in played(true, pairs, runs // 2, 31)]
            rows.append(share(f"{where}: {100 * world.drop:.1f} points{of}", "about", nominal, found))
    return rows


def planned(runs: int) -> list[Measured]:
    rows = []
    for points, chance in ((10, 0.9), (20, 0.8)):
        world = paired_world(points / 100, 0.4)
        pairs = pairs_needed(world.drop, background=world.background, power=chance, alpha=0.05 / 4)
        found = [called(one, 4) for one in played(world, -(-pairs // TASKS) * TASKS, runs // 2, 32)]
        rows.append(share(f"{points} points, 4 conditions: {pairs} pairs", "about", chance, found))
    return rows


def pairs_more(runs: int) -> list[Measured]:
    rows = []
    for points in (0, 10):
        world, rng, decided = paired_world(points / 100, 0.4), np.random.default_rng(33), []
        for _ in range(runs // 2):
            first = world.play(5, rng)
            found = paired_drop(*first)
            more = more_pairs(found, size_of(found, 1, world.background), MARGIN)
            if called(found) or found.interval_90.high < MARGIN or more is None:
                continue
            further = world.play(-(-more // TASKS), rng)
            whole = paired_drop(*(np.concatenate(both) for both in zip(first, further, strict=True)))
            decided.append(called(whole) or whole.interval_90.high < MARGIN)
        rows.append(share(f"undecided after 50 pairs, true drop {points} points", "about", 0.8, decided))
    return rows


def retention(runs: int) -> list[Measured]:
    rows = []
    for pairs, points in ((50, 20), (200, 40)):
        world, rng = paired_world(points / 100, 0.4), np.random.default_rng(34)
        truth, hits = (world.clean - world.drop) / world.clean, []
        for _ in range(runs):
            clean, perturbed = world.play(pairs // TASKS, rng)
            hits.append(covers(paired_ratio(perturbed, clean).interval, truth))
        rows.append(share(f"{pairs} pairs, {100 * truth:.0f} % kept", "at least", 0.95, hits))
    return rows


NUMBERS: dict[str, Measure] = {
    "Success rate: the interval has the truth, % of runs": success,
    "Success of one task: the interval has the truth, % of runs": by_task,
    "Other tasks like these: the interval has the truth, % of runs": other_tasks,
    "Success by category: the interval has the truth, % of runs": by_category,
    "Mean of the suites: the interval has the truth, % of runs": suites,
    "Drop: the interval has the truth, % of runs": drop,
    "p of one drop: below .05 without a drop, % of runs": p_value,
    "p adjusted: below .05 without any drop, % of runs": adjusted_p,
    "Called a drop without one, % of runs": word_drop,
    "Said to cost less than 5 points, wrongly, % of runs": word_within,
    "The drop that is named is found, % of runs": power,
    "The planned pairs find the wished drop, % of runs": planned,
    "So many pairs more decide, % of runs": pairs_more,
    "Success kept, and ignore rate: the interval has the truth, % of runs": retention,
}
"""By the heading of their tables."""
