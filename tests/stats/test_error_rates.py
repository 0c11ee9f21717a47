"""Error rates and coverage of what is said of drift and of two runs, in worlds in which the truth is known.

All of it is slow. `pytest -m slow -s` prints what was measured. A share of n replicates has a standard error of
sqrt(p (1 - p) / n), about .013 for 300 of them at .05; the bounds leave two of those.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from drift_worlds import CORRELATIONS, FEW, budget_cells, budget_truth, policies, population, shared_states
from worlds import TASKS, WORLDS, World, means

from simeval.stats.association import associate, spearman
from simeval.stats.budget import drift_budgets
from simeval.stats.change import compare_drift, compare_runs
from simeval.stats.correlation import Options, correlate
from simeval.stats.curve import Cells
from simeval.stats.drift import mean_drift
from simeval.stats.episodes import auroc
from simeval.stats.reliability import drop_reliability, measurement_intervals
from simeval.stats.resampling import Resampling
from simeval.stats.screening import Predictor, rank_predictors
from simeval.stats.within_task import cell_means, within_task

pytestmark = pytest.mark.slow


def said(what: str, shares: dict[str, float]) -> None:
    print(f"\n{what}: " + ", ".join(f"{key} {value:.3f}" for key, value in shares.items()))


def correlations(world: World, seeds: range) -> Iterator[dict[str, tuple[float, object]]]:
    """p and interval of every row of the table, of new studies."""
    for seed in seeds:
        study = world.study(np.random.default_rng(seed))
        resampling = replace(FEW, seed=seed)
        rows = {}
        for stat in CORRELATIONS:
            found = associate(*means(study), stat=stat, clusters=world.families, resampling=resampling)
            rows[stat] = found.p, found.ci_conditions
        inside = within_task(*cell_means(study), world.families, resampling)
        yield rows | {"within tasks": (inside.p, inside.ci_conditions)}


@pytest.mark.parametrize("label", WORLDS)
def test_unrelated_families_are_seldom_significant(label):
    """Nominal .05; with four families no p is below .083, so there the test is conservative."""
    rows = list(correlations(WORLDS[label], range(300)))
    shares = {key: float(np.mean([row[key][0] < 0.05 for row in rows])) for key in rows[0]}
    said(f"p < .05, unrelated families, {label}", shares)
    low = 0.02 if len(WORLDS[label].sizes) > 4 else 0.0
    assert all(low - 0.015 <= share <= 0.07 for share in shares.values())


@pytest.mark.parametrize("r", [0.0, 0.9])
@pytest.mark.parametrize("label", WORLDS)
def test_the_interval_for_other_perturbations_covers(label, r):
    world = replace(WORLDS[label], r=r)
    truth = population(world)
    rows = list(correlations(world, range(1000, 1120)))
    shares = {
        key: float(np.mean([row[key][1].low <= truth[key] <= row[key][1].high for row in rows if row[key][1]]))
        for key in truth
    }
    said(f"covers, r = {r}, {label}, truth {truth['spearman']:.2f}", shares)
    skewed = shares.pop("pearson")
    assert all(share >= 0.89 for share in shares.values()), "120 replicates: a standard error of .02"
    assert skewed >= 0.85, "drifts are lognormal here, with a standard deviation of 1.2"
    assert np.mean(list(shares.values())) >= 0.91


@pytest.mark.parametrize("label", ["7 x 1", "6 x 4, rising", "unequal, rising"])
def test_the_difference_of_two_predictors_covers(label):
    """Two predictors with the same relation to the drop: none is better."""
    world, held, rows = replace(WORLDS[label], r=0.7), 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        study = world.study(rng)
        drift, drop = means(study)
        noisy = [Predictor(str(i), drift * np.exp(rng.normal(0, 0.8, len(drift)))) for i in range(2)]
        cells = Cells(*(np.zeros(0, dtype=int),) * 2, *(np.zeros(0),) * 3)
        interval = next(
            row.less_interval for row in rank_predictors(noisy, drop, world.families, cells, FEW) if not row.primary
        )
        if interval is not None:
            rows, held = rows + 1, held + (interval.low <= 0 <= interval.high)
    said(f"difference covers 0, {label}", {"share": held / rows})
    assert held / rows >= 0.92


@pytest.mark.parametrize("conditions", [1, 5, 12, 28])
def test_states_that_are_shared_are_seldom_significant(conditions):
    rng, level = np.random.default_rng(1), []
    for seed in range(200):
        found = auroc(shared_states(rng, conditions), "within task x condition", replace(FEW, n_resamples=9, seed=seed))
        level.append(found.p is not None and found.p < 0.05)
    said(f"AUROC, p < .05, {conditions} conditions", {"share": float(np.mean(level))})
    assert 0.005 <= np.mean(level) <= 0.075


@pytest.mark.parametrize("clusters", [5, 10, 20, 50])
@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.0])
def test_the_interval_of_mean_drift_covers(clusters, sigma):
    """Lognormal episodes. Of sigma 1 it takes 50 of them; Student's t on the means covers .82 to .90."""
    rng, truth, held = np.random.default_rng(2), np.exp(sigma**2 / 2), 0
    for _ in range(2000):
        interval = mean_drift(rng.lognormal(0, sigma, clusters), np.arange(clusters)).interval
        held += interval.low <= truth <= interval.high
    said(f"mean drift covers, {clusters} episodes, sigma {sigma}", {"share": held / 2000})
    assert held / 2000 >= (0.92 if sigma < 1 else 0.88)


@pytest.mark.parametrize("clusters", [5, 50])
@pytest.mark.parametrize("conditions", [1, 12, 28])
def test_policies_that_drift_alike_are_seldom_told_apart(conditions, clusters):
    rng, words, names = np.random.default_rng(3), 0, tuple(f"c{i}" for i in range(conditions))
    for seed in range(60):
        place = rng.lognormal(0, 0.7, (clusters, conditions))
        a, b = (place * rng.lognormal(0, 0.5, (clusters, conditions)) for _ in range(2))
        gains = compare_drift(names, a, b, units=np.arange(clusters), resampling=Resampling(seed, n_permutations=1999))
        words += any(gain.direction != "no difference shown" for gain in gains)
    said(f"any word for drift, {conditions} conditions, {clusters} episodes", {"share": words / 60})
    assert words / 60 <= 0.11


@pytest.mark.parametrize("states", [50, 100])
@pytest.mark.parametrize(
    ("clean", "kept", "expected"),
    [
        ((0.6, 0.6), (0.7, 0.7), "nothing"),
        ((0.35, 0.85), (0.5, 0.5), "nothing"),
        ((0.7, 0.7), (0.3, 0.65), "better"),
    ],
    ids=["alike", "better clean, same share kept", "keeps twice as much"],
)
def test_robustness_has_a_word_only_where_both_scales_agree(clean, kept, expected, states):
    rng, words, overall = np.random.default_rng(4), 0, []
    for seed in range(60):
        a, b = policies(rng, states, clean, kept)
        change = compare_runs(("none", *"abcde"), a, b, resampling=Resampling(seed, n_permutations=399))
        words += any(gain.direction in ("better", "worse") for gain in change.robustness)
        overall.append(change.overall.direction)
    shares = {word: overall.count(word) / 60 for word in dict.fromkeys(overall)}
    said(f"robustness, clean {clean}, keeps {kept}, {states} states", {"any row": words / 60} | shares)
    if expected == "nothing":
        assert words / 60 <= 0.09
        assert shares.get("better", 0) + shares.get("worse", 0) <= 0.09
    else:
        assert shares.get("better", 0) >= 0.8


@pytest.mark.parametrize("states", [20, 50, 100])
@pytest.mark.parametrize(
    ("clean", "kept"), [((0.6, 0.6), (0.6, 0.6)), ((0.35, 0.85), (0.5, 0.5)), ((0.3, 0.7), (0.1, 0.1))]
)
def test_the_ratio_of_what_is_kept_covers(clean, kept, states):
    rng, held, rejected, rows = np.random.default_rng(5), 0, 0, 0
    for seed in range(60):
        a, b = policies(rng, states, clean, kept)
        for row in compare_runs(("none", *"abcde"), a, b, resampling=Resampling(seed, n_permutations=9)).retention:
            if row.interval is not None:
                rows, held = rows + 1, held + (row.interval.low <= kept[1] / kept[0] <= row.interval.high)
                rejected += row.p < 0.05
    said(f"ratio covers, clean {clean}, {states} states", {"share": held / rows, "p < .05": rejected / rows})
    assert held / rows >= 0.93
    assert rejected / rows <= 0.07


@pytest.mark.parametrize("states", [50, 100])
@pytest.mark.parametrize("label", ["12 x 1", "9 x 3, rising"])
def test_the_noise_ceiling_is_what_a_perfect_predictor_shows(label, states):
    """Correlation of the observed drops with the true ones; from single variances it was .10 to .37 too low."""
    world, printed, real = replace(WORLDS[label], r=0.6, states=states), [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        drift, loss = world.draw(rng)
        ease, by_task = rng.normal(0.5, 1.2, TASKS), rng.lognormal(0, 0.4, (TASKS, len(loss)))
        true = means(replace(world, states=8000).rerun(rng, drift, loss, ease, by_task))[1]
        for _ in range(5):
            study = world.rerun(rng, drift, loss, ease, by_task)
            printed.append(drop_reliability(study).ceiling)
            real.append(np.corrcoef(means(study)[1], true)[0, 1])
    said(f"r_max, {label}, {states} states", {"printed": float(np.mean(printed)), "real": float(np.mean(real))})
    assert np.mean(printed) == pytest.approx(np.mean(real), abs=0.05)


@pytest.mark.parametrize(
    ("label", "states", "loss"),
    [("12 x 1", 50, 1.0), ("9 x 3, rising", 50, 1.0), ("9 x 3, rising", 200, 1.0), ("9 x 3, rising", 50, 0.3)],
)
def test_a_repeat_lies_where_it_is_said(label, states, loss):
    """The same perturbations and tasks, other initial states. Nominal .95; with weak losses it is .86."""
    world, held, mean = replace(WORLDS[label], r=0.6, states=states, loss=loss), [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        drift, lost = world.draw(rng)
        ease, by_task = rng.normal(0.5, 1.2, TASKS), rng.lognormal(0, 0.4, (TASKS, len(lost)))
        studies = [world.rerun(rng, drift, lost, ease, by_task) for _ in range(40)]
        again = np.array([spearman(*means(study)) for study in studies])
        for study in studies[:3]:
            (interval,), _ = measurement_intervals(study, ("spearman",), FEW)
            held.append(np.mean((interval.low <= again[3:]) & (again[3:] <= interval.high)))
            mean.append(interval.low <= again.mean() <= interval.high)
    said(
        f"repeat, {label}, {states} states, loss {loss}", {"inside": float(np.mean(held)), "mean": float(np.mean(mean))}
    )
    assert np.mean(held) >= 0.85
    assert np.mean(mean) >= 0.93


@pytest.mark.parametrize(("label", "r"), [("9 x 3, rising", 0.0), ("6 x 4, rising", 0.0), ("9 x 3, rising", 0.95)])
def test_useful_is_not_earned_by_strength_alone(label, r):
    """Nine unrelated kinds that rise were called useful in .60. 40 replicates: a standard error of .03."""
    world, words = replace(WORLDS[label], r=r, own=0.15), []
    for seed in range(40):
        study = world.study(np.random.default_rng(seed))
        options = Options(resampling=Resampling(seed, n_resamples=9, n_permutations=399))
        words.append(correlate(study, (), options).verdict.word)
    shares = {word: words.count(word) / len(words) for word in dict.fromkeys(words)}
    said(f"verdicts, {label}, r = {r}", shares)
    if r == 0:
        assert shares.get("useful for ranking", 0) <= 0.07
    else:
        assert shares.get("useful for ranking", 0) >= 0.2
        assert shares.get("not predictive", 0) == 0


@pytest.mark.parametrize(("families", "strengths"), [(12, 1), (7, 4), (4, 3), (6, 2)])
def test_the_drift_budget_covers(families, strengths):
    """At half the clean rate; nominal .90, lower limit .95. 120 replicates: a standard error of .03."""
    ease = np.random.default_rng(9).normal(1.8, 1.0, TASKS)
    labels, rng = np.repeat(np.arange(families), strengths), np.random.default_rng(6)
    (clean, truth), both, below = budget_truth(labels, ease), [], []
    for _ in range(120):
        budget = drift_budgets(budget_cells(rng, labels, ease)[0], labels, clean)[1]
        if budget.low is not None:
            both.append(budget.low <= truth <= (budget.high or np.inf))
            below.append(budget.low <= truth)
    shares = {"both": float(np.mean(both)), "lower": float(np.mean(below)), "given in": len(both) / 120}
    said(f"budget covers, {families} x {strengths}", shares)
    assert np.mean(both) >= 0.76, "7 x 4 is the worst: its upper limit is too low"
    assert np.mean(below) >= 0.88
