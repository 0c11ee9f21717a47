"""Numbers about drift, and about drift as a predictor of the drop."""

from dataclasses import replace
from functools import cache

import numpy as np
from drift_worlds import CORRELATIONS, FEW, budget_cells, budget_truth, population, shared_states
from worlds import TASKS, WORLDS, World, means

from measured.shares import Measure, Measured, covers, share
from simeval.stats.association import associate, spearman
from simeval.stats.budget import drift_budgets
from simeval.stats.correlation import Options, correlate
from simeval.stats.curve import Cells, cells_of, fit_curve
from simeval.stats.drift import mean_drift
from simeval.stats.episodes import auroc, flip_slope
from simeval.stats.family_order import family_means
from simeval.stats.loco import leave_out
from simeval.stats.reliability import drop_reliability, measurement_intervals
from simeval.stats.screening import Predictor, rank_predictors
from simeval.stats.within_task import cell_means, within_task

KINDS = {
    "12 x 1": "12 kinds, one strength each",
    "6 x 4, rising": "6 kinds, 4 strengths each",
    "unequal, rising": "9 kinds, 1 to 4 strengths",
}
"""Worlds of drift and drop in words; strengths of a kind rise together."""


def episodes(runs: int) -> list[Measured]:
    rng, rows = np.random.default_rng(61), []
    for sigma, skewed in ((0.3, "hardly skewed"), (0.6, "skewed"), (1.0, "very skewed")):
        for clusters in (5, 10, 50):
            truth, found = np.exp(sigma**2 / 2), []
            for _ in range(runs):
                drifts = rng.lognormal(0, sigma, clusters)
                found.append(covers(mean_drift(drifts, np.arange(clusters)).interval, truth))
            rows.append(share(f"{clusters} episodes, {skewed} (sigma {sigma:g})", "at least", 0.95, found))
    return rows


@cache
def correlations(label: str, r: float, runs: int) -> tuple[dict[str, tuple], ...]:
    """Of every study: p and interval of every correlation between conditions."""
    world, found = replace(WORLDS[label], r=r), []
    for seed in range(1000, 1000 + max(10, runs // 5)):
        study, resampling = world.study(np.random.default_rng(seed)), replace(FEW, seed=seed)
        rows = {}
        for stat in CORRELATIONS:
            one = associate(*means(study), stat=stat, clusters=world.families, resampling=resampling)
            rows[stat] = one.p, one.ci_conditions
        inside = within_task(*cell_means(study), world.families, resampling)
        kinds = associate(*(family_means(world.families, side) for side in means(study)), resampling=resampling)
        found.append(
            rows | {"within tasks": (inside.p, inside.ci_conditions), "families": (kinds.p, kinds.ci_conditions)}
        )
    return tuple(found)


@cache
def truth_of(label: str, r: float) -> dict[str, float]:
    """Correlations in a population of kinds, with the noise of as few episodes."""
    world = replace(WORLDS[label], r=r)
    rng, families = np.random.default_rng(98), []
    large = replace(world, sizes=world.sizes * (180 // len(world.sizes)))
    for _ in range(10):
        drift, drop = means(large.study(rng))
        families.append(spearman(family_means(large.families, drift), family_means(large.families, drop)))
    return population(world) | {"families": float(np.mean(families))}


NAMES = {
    "spearman": "Spearman",
    "kendall": "Kendall",
    "pearson": "Pearson",
    "within tasks": "within tasks",
    "families": "of the families",
}


def interval(runs: int) -> list[Measured]:
    rows = []
    for stat, name in NAMES.items():
        for label, kinds in KINDS.items():
            for r in (0.0, 0.9):
                truth = truth_of(label, r)[stat]
                found = [covers(study[stat][1], truth) for study in correlations(label, r, runs)]
                rows.append(share(f"{name}, {kinds}, truth {truth:.2f}", "at least", 0.95, found))
    return rows


def p_value(runs: int) -> list[Measured]:
    return [
        share(f"{name}, {kinds}", "at most", 0.05, [study[stat][0] < 0.05 for study in correlations(label, 0.0, runs)])
        for stat, name in NAMES.items()
        for label, kinds in KINDS.items()
    ]


def repeat(runs: int) -> list[Measured]:
    rows = []
    for label, loss in (("12 x 1", 1.0), ("unequal, rising", 1.0), ("unequal, rising", 0.3)):
        world, held = replace(WORLDS[label], r=0.6, loss=loss), []
        for seed in range(max(10, runs // 40)):
            rng = np.random.default_rng(seed)
            drift, lost = world.draw(rng)
            ease, by_task = rng.normal(0.5, 1.2, TASKS), rng.lognormal(0, 0.4, (TASKS, len(lost)))
            studies = [world.rerun(rng, drift, lost, ease, by_task) for _ in range(32)]
            again = np.array([spearman(*means(study)) for study in studies[2:]])
            for study in studies[:2]:
                (found,), _ = measurement_intervals(study, ("spearman",), FEW)
                held.append(float(np.mean((found.low <= again) & (again <= found.high))))
        weak = "" if loss == 1 else ", weak perturbations"
        rows.append(share(f"{KINDS[label]}{weak}", "at least", 0.95, held))
    return rows


def ceiling(runs: int) -> list[Measured]:
    """Correlation of the observed drops with the true ones, and what is printed; both in the mean over studies."""
    rows = []
    for label in ("12 x 1", "unequal, rising"):
        world, printed, real = replace(WORLDS[label], r=0.6), [], []
        for seed in range(max(10, runs // 40)):
            rng = np.random.default_rng(seed)
            drift, loss = world.draw(rng)
            ease, by_task = rng.normal(0.5, 1.2, TASKS), rng.lognormal(0, 0.4, (TASKS, len(loss)))
            true = means(replace(world, states=8000).rerun(rng, drift, loss, ease, by_task))[1]
            studies = [world.rerun(rng, drift, loss, ease, by_task) for _ in range(5)]
            known = [found for found in (drop_reliability(study).ceiling for study in studies) if found is not None]
            printed.append(float(np.mean(known)) if known else None)
            real.append(np.mean([np.corrcoef(means(study)[1], true)[0, 1] for study in studies]))
        rows.append(share(KINDS[label], "about", float(np.mean(real)), printed))
    return rows


def roc(runs: int) -> list[Measured]:
    rows = []
    for conditions in (1, 12):
        rng, small, held, slopes = np.random.default_rng(62), [], [], []
        for seed in range(max(10, runs // 5)):
            flips = shared_states(rng, conditions)
            found = auroc(flips, "within task x condition", replace(FEW, seed=seed))
            small.append(found.p is not None and found.p < 0.05)
            held.append(covers(found.interval, 0.5))
            slopes.append(covers(flip_slope(flips).interval, 0.0))
        where = f"drift unrelated to flips, {conditions} condition{'s' * (conditions > 1)}"
        rows += [
            share(f"AUROC's interval has .5; {where}", "at least", 0.95, held),
            share(f"AUROC's p below .05; {where}", "at most", 0.05, small),
            share(f"the slope's interval has 0; {where}", "at least", 0.95, slopes),
        ]
    return rows


def rivals(runs: int) -> list[Measured]:
    rows, none = [], Cells(*(np.zeros(0, dtype=int),) * 2, *(np.zeros(0),) * 3)
    for label, kinds in KINDS.items():
        world, found = replace(WORLDS[label], r=0.7), []
        for seed in range(max(10, runs // 20)):
            rng = np.random.default_rng(seed)
            drift, drop = means(world.study(rng))
            noisy = [Predictor(str(i), drift * np.exp(rng.normal(0, 0.8, len(drift)))) for i in range(2)]
            ranked = rank_predictors(noisy, drop, world.families, none, FEW)
            found.append(next(covers(row.less_interval, 0.0) for row in ranked if not row.primary))
        rows.append(share(f"{kinds}, two equally good", "at least", 0.95, found))
    return rows


def verdict(runs: int) -> list[Measured]:
    """Kinds are unrelated; what strength alone can predict is not."""
    rows = []
    for label in ("12 x 1", "unequal, rising"):
        world, words, skills = replace(WORLDS[label], own=0.15), [], []
        for seed in range(max(10, runs // 40)):
            study = world.study(np.random.default_rng(seed))
            found = correlate(study, (), Options(resampling=replace(FEW, seed=seed, n_resamples=9)))
            words.append(found.verdict.word == "useful for ranking")
            skills.append([(loco.skill or 0.0) > 0 for loco in found.loco])
        rows.append(share(f"called useful for ranking, {KINDS[label]}", "at most", 0.05, words))
        if label == "12 x 1":
            found = [one for one, _ in skills]
            rows.append(share(f"skill above 0 with one condition left out, {KINDS[label]}", "at most", None, found))
    return rows


def band(runs: int) -> list[Measured]:
    """A thirteenth kind, predicted from twelve."""
    world, found = World((1,) * 13, r=0.8), []
    for seed in range(max(10, runs // 20)):
        study = world.study(np.random.default_rng(seed))
        cells = cells_of(study)
        known = cells.where(cells.conditions < 12)
        half, curve = leave_out(known, np.arange(13)).band, fit_curve(known).curve
        if half is None or curve is None:
            continue
        new = cells.where(cells.conditions == 12)
        predicted = np.average(curve.predict(new.tasks, new.drift), weights=new.n)
        found.append(abs(new.successes.sum() / new.n.sum() - predicted) <= half.half_width)
    return [share("a 13th kind, predicted from 12", "at least", 0.9, found)]


def budget(runs: int) -> list[Measured]:
    rows = []
    ease = np.random.default_rng(9).normal(1.8, 1.0, TASKS)
    for families, strengths in ((12, 1), (7, 4)):
        labels, rng = np.repeat(np.arange(families), strengths), np.random.default_rng(63)
        (clean, truth), both, below = budget_truth(labels, ease), [], []
        for _ in range(max(10, runs // 10)):
            found = drift_budgets(budget_cells(rng, labels, ease)[0], labels, clean)[1]
            if found.low is not None:
                both.append(found.low <= truth <= (found.high or np.inf))
                below.append(found.low <= truth)
        kinds = f"{families} kinds, {strengths} strength{'s' * (strengths > 1)} each"
        rows += [
            share(f"both limits, {kinds}", "at least", 0.9, both),
            share(f'"stay below" alone, {kinds}', "at least", 0.95, below),
        ]
    return rows


NUMBERS: dict[str, Measure] = {
    "Drift: the interval has the truth, % of runs": episodes,
    "Correlation, other perturbations: the interval has the truth, % of studies": interval,
    "Correlation: p below .05 although drift and drop are unrelated, % of studies": p_value,
    "Correlation, same, run again: a repeat is inside, % of repeats": repeat,
    "Noise ceiling: printed on average, and what a perfect predictor shows, x 100": ceiling,
    "Per episode, % of studies": roc,
    "Difference of two predictors: the interval has 0, % of studies": rivals,
    "Verdict and skill where kinds are unrelated, % of studies": verdict,
    "Band for a new condition: it is inside, % of studies": band,
    "Drift budget for half of the clean rate: the limits have the truth, % of studies": budget,
}
"""By the heading of their tables."""
