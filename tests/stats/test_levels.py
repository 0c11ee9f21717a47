"""Within tasks and per episode: agreement with SciPy, Simpson's paradox, and nothing where there is nothing."""

import numpy as np
import pytest
from drift_studies import constant, simulated
from scipy import stats

from simeval.stats.episodes import Flips, auroc, flip_slope, flips_of
from simeval.stats.resampling import Resampling
from simeval.stats.within_task import cell_means, within_task

QUICK = Resampling(n_resamples=199, n_permutations=499)
STRATA = ("pooled", "within task", "within task x condition")


def flips(rng: np.random.Generator, n: int = 60, units: int = 12, effect: float = 0.0) -> Flips:
    drift = rng.random(n).round(2)  # ties
    flipped = rng.random(n) < 0.4 + effect * (drift - 0.5)
    return Flips(drift, flipped, np.arange(n) % 2, np.arange(n) % 3, rng.integers(0, units, n))


def test_the_area_is_mann_whitneys():
    data = flips(np.random.default_rng(0))
    expected = stats.mannwhitneyu(data.drift[data.flipped], data.drift[~data.flipped]).statistic
    found = auroc(data, "pooled", QUICK)
    assert found.value == pytest.approx(expected / data.flipped.sum() / (~data.flipped).sum())
    assert found.interval.low < found.value < found.interval.high
    assert (found.n_flip + found.n_keep, found.strata, found.p) == (60, 1, None)


def test_strata_are_summed():
    data, wins, chances = flips(np.random.default_rng(1)), 0.0, 0
    for task in (0, 1):
        mine = data.tasks == task
        a, b = data.drift[mine & data.flipped], data.drift[mine & ~data.flipped]
        wins, chances = wins + stats.mannwhitneyu(a, b).statistic, chances + len(a) * len(b)
    assert auroc(data, "within task", QUICK).value == pytest.approx(wins / chances)


def test_conditions_can_be_ordered_while_episodes_are_not():
    study = simulated(1)
    found = {stratum: auroc(flips_of(study), stratum, QUICK) for stratum in STRATA}
    assert found["pooled"].value > 0.65
    assert found["within task x condition"].value < found["pooled"].value - 0.05


def test_an_effect_inside_the_strata_is_seen():
    data = flips(np.random.default_rng(2), n=400, units=80, effect=0.8)
    found = auroc(data, "within task x condition", QUICK)
    assert found.value > 0.6
    assert found.interval.low > 0.5
    assert found.p <= 0.01
    slope = flip_slope(data)
    assert slope.interval.low > 0


def test_permuted_drift_within_strata_gives_uniform_p():
    rng = np.random.default_rng(3)
    draws = [Resampling(seed, n_resamples=99) for seed in range(40)]
    p = [auroc(flips(rng, n=40), "within task x condition", one).p for one in draws]
    assert stats.kstest(p, "uniform").pvalue > 0.005


def test_a_state_under_many_conditions_is_one_state():
    """28 conditions in which each state drifts and ends alike: the p of one of them."""
    rng, states = np.random.default_rng(8), 40
    drift, flipped, task = rng.random(states), rng.random(states) < 0.4, np.arange(states) % 4

    def times(count: int) -> Flips:
        return Flips(
            np.tile(drift, count),
            np.tile(flipped, count),
            np.tile(task, count),
            np.repeat(np.arange(count), states),
            np.tile(np.arange(states), count),
        )

    one, many = (auroc(times(count), "within task x condition", QUICK) for count in (1, 28))
    assert many.value == pytest.approx(one.value)
    assert many.p == one.p
    assert one.p > 0.1


def test_states_are_permuted_by_their_mean_over_repeats():
    rng = np.random.default_rng(9)
    data = flips(rng, n=200, units=200)
    twice = np.repeat(np.arange(200), 2)
    data = Flips(data.drift, data.flipped, data.tasks, data.conditions, np.arange(200))
    doubled = Flips(*(part[twice] for part in (data.drift, data.flipped, data.tasks, data.conditions, data.units)))
    one, other = (auroc(part, "within task x condition", QUICK) for part in (data, doubled))
    assert other.p == one.p


def test_families_are_permuted_within_tasks_too():
    rng = np.random.default_rng(10)
    x, y = rng.random((3, 7)), rng.random((3, 7))
    copied = np.repeat(np.arange(7), 4)
    alone = within_task([0, 1, 2], x, y, np.arange(7), QUICK)
    together = within_task([0, 1, 2], x[:, copied], y[:, copied], copied, QUICK)
    assert together.p == pytest.approx(alone.p)
    assert together.ci_conditions.low == pytest.approx(alone.ci_conditions.low)


@pytest.mark.slow
def test_permuted_drift_within_strata_gives_uniform_p_long():
    rng = np.random.default_rng(4)
    draws = [Resampling(seed, n_resamples=199) for seed in range(600)]
    p = [auroc(flips(rng, n=120), "within task x condition", one).p for one in draws]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


@pytest.mark.slow
def test_the_area_covers():
    """One stratum, initial states that share drift and fate."""
    rng, held = np.random.default_rng(5), 0
    for seed in range(300):
        unit = np.repeat(np.arange(40), 5)
        drift = rng.normal(size=40)[unit] + rng.normal(size=200)
        flipped = rng.normal(size=200) < 0.8 * drift
        interval = auroc(
            Flips(drift, flipped, unit * 0, unit * 0, unit), "pooled", Resampling(seed, n_resamples=299)
        ).interval
        # P(d1 > d0 | z1 < .8 d1, z0 > .8 d0) for d of variance 2, by numerical integration.
        held += interval.low <= 0.855 <= interval.high
    assert held / 300 > 0.89


@pytest.mark.parametrize("stratum", STRATA)
@pytest.mark.parametrize(
    ("clean", "perturbed", "words"),
    [(1.0, 1.0, "no episode flipped"), (1.0, 0.0, "every episode flipped"), (0.0, 0.0, "no pair with a clean success")],
)
def test_nothing_to_tell_apart(clean, perturbed, words, stratum):
    data = flips_of(constant(clean, perturbed))
    found = auroc(data, stratum, QUICK)
    assert (found.value, found.interval, found.p) == (None, None, None)
    assert words in found.reason
    assert words in flip_slope(data).reason


def test_a_threshold_is_not_a_slope():
    n = 20
    data = Flips(np.arange(n) / n, np.arange(n) >= 10, np.zeros(n, int), np.zeros(n, int), np.arange(n))
    assert auroc(data, "pooled", QUICK).value == 1.0
    assert auroc(data, "pooled", QUICK).interval is None
    assert "threshold" in flip_slope(data).reason


def test_simpsons_paradox_is_seen_within_tasks():
    """Inside every task drift and drop fall together; between tasks both rise, which pooling would mix up."""
    drift = np.array([[1, 2, 3, 4], [11, 12, 13, 14]], float)
    drop = np.array([[0.4, 0.3, 0.2, 0.1], [0.9, 0.8, 0.7, 0.6]])
    found = within_task([0, 1], drift, drop, np.arange(4), QUICK)
    assert (found.rho, found.share_positive, found.tasks_used) == (-1.0, 0.0, 2)
    assert found.p == pytest.approx(2 / 24)


def test_one_task_is_plain_spearman():
    rng = np.random.default_rng(6)
    x, y = rng.random((1, 12)), rng.random((1, 12))
    found = within_task([0], x, y, np.arange(12), QUICK)
    assert found.rho == pytest.approx(stats.spearmanr(x[0], y[0]).statistic)
    assert found.ci_conditions.low < found.rho < found.ci_conditions.high


def test_missing_cells_and_silent_tasks_are_left_out():
    rng = np.random.default_rng(7)
    x, y = rng.random((3, 9)), rng.random((3, 9))
    y[2] = 0.0
    full = within_task([0, 1], x[:2], y[:2], np.arange(9), QUICK)
    assert within_task([0, 1, 2], x, y, np.arange(9), QUICK).rho == pytest.approx(full.rho)
    x[0, 0] = np.nan
    assert within_task([0, 1, 2], x, y, np.arange(9), QUICK).tasks[0].conditions == 8


def test_too_little_within_tasks_is_said():
    few = within_task([0], np.ones((1, 2)), np.ones((1, 2)), [0, 1], QUICK)
    assert (few.rho, "too few conditions: 2" in few.reason) == (None, True)
    silent = within_task(*cell_means(constant(1.0, 1.0)), np.arange(8), QUICK)
    assert (silent.rho, silent.p, silent.share_positive) == (None, None, None)
    assert "in no task" in silent.reason
