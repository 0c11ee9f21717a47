"""Published and hand-checked values, and agreement with SciPy's binomial test."""

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from simeval.stats import task_weights
from simeval.stats.paired import PairedDrop, holm, paired_drop
from simeval.stats.score import tango


def pairs(n11: int, n10: int, n01: int, n00: int) -> PairedDrop:
    clean = np.repeat([True, True, False, False], [n11, n10, n01, n00])
    perturbed = np.repeat([True, False, True, False], [n11, n10, n01, n00])
    return paired_drop(clean, perturbed)


def test_bonett_price_golden():
    drop = pairs(400, 70, 10, 20)
    assert (drop.n11, drop.n10, drop.n01, drop.n00, drop.n, drop.units) == (400, 70, 10, 20, 500, 500)
    assert drop.drop == pytest.approx(0.12)
    assert (drop.interval.low, drop.interval.high) == pytest.approx((0.086, 0.153), abs=5e-4)
    assert drop.interval_90 == tango(70, 10, 500, 0.90)


def test_no_discordant_pair_is_not_certainty():
    drop = pairs(50, 0, 0, 0)
    assert (drop.drop, drop.p) == (0.0, 1.0)
    assert (drop.interval.low, drop.interval.high) == pytest.approx((-0.053, 0.053), abs=5e-4)


@pytest.mark.parametrize(("harmed", "helped"), [(70, 10), (0, 6), (3, 3), (1, 0), (12, 11), (200, 150)])
def test_mcnemar_is_the_binomial_test(harmed, helped):
    assert pairs(20, harmed, helped, 5).p == pytest.approx(binomtest(harmed, harmed + helped).pvalue)


def test_bonett_price_covers():
    rng = np.random.default_rng(2)
    counts = rng.multinomial(50, [0.7, 0.15, 0.05, 0.1], size=1000)
    found = [pairs(*row).interval for row in counts]
    assert np.mean([interval.low <= 0.1 <= interval.high for interval in found]) > 0.935


def test_rates_and_retention():
    drop = pairs(30, 10, 0, 10)
    assert (drop.clean_rate, drop.perturbed_rate) == (0.8, 0.6)
    assert drop.retention == pytest.approx(0.75)
    assert pairs(0, 0, 3, 5).retention is None


def test_no_pairs_is_none_not_nan():
    drop = paired_drop([], [])
    assert (drop.n, drop.units, drop.drop, drop.p, drop.clean_rate, drop.retention) == (0, 0, None, None, None, None)
    assert (drop.interval.low, drop.interval.high) == (-1.0, 1.0)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        paired_drop([True, False], [True])


def test_order_of_pairs_does_not_matter():
    rng = np.random.default_rng(3)
    clean, perturbed, units = rng.random(90) < 0.8, rng.random(90) < 0.6, np.repeat(np.arange(30), 3)
    order = rng.permutation(90)
    shuffled = paired_drop(clean[order], perturbed[order], units=units[order])
    assert shuffled == paired_drop(clean, perturbed, units=units)


def test_identical_repeats_add_no_certainty():
    clean, perturbed = np.repeat([True, True, False], [30, 10, 10]), np.repeat([True, False, False], [30, 10, 10])
    once = paired_drop(clean, perturbed)
    thrice = paired_drop(np.tile(clean, 3), np.tile(perturbed, 3), units=np.tile(np.arange(50), 3))
    assert (thrice.n, thrice.units) == (150, 50)
    assert thrice.p == pytest.approx(once.p)
    assert (thrice.interval.low, thrice.interval.high) == (once.interval.low, once.interval.high)
    assert thrice.interval.method == "Bonett-Price over 50 initial states"
    assert thrice.interval_90 == once.interval_90
    assert paired_drop(np.tile(clean, 3), np.tile(perturbed, 3)).p < once.p


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]) == ()


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(4)
    for count in (1, 2, 12, 28):
        p = [*(rng.random(count) ** 4), 0.03, 0.03, 1.0]
        assert holm(p) == tuple(multipletests(p, method="holm")[1])


def test_tasks_of_unequal_size_weigh_alike_by_hand():
    """Task 0: 3 of 4 pairs harmed; task 1: none of 2. With half a state more, variances 3.5/4.5 - 4/9 and .5/2.5."""
    clean, perturbed, tasks = [True] * 6, [True, False, False, False, True, True], [0, 0, 0, 0, 1, 1]
    row = paired_drop(clean, perturbed, tasks=tasks)
    assert (row.drop, row.clean_rate, row.perturbed_rate, row.retention) == (0.375, 1.0, 0.625, 0.625)
    assert (row.n10, row.n01, row.p) == (3, 0, paired_drop(clean, perturbed).p)
    n = 0.375 * 0.625 / (((7 / 9 - 4 / 9) / 4 + 0.2 / 2) / 4)  # 5.11, of Kish's 16 / 3
    assert 4 < n < 16 / 3
    centre = 0.375 * n / (n + 2)
    variance = (n * 0.375 + 2) / (n + 2) - centre**2  # the mean square of 0 and 1 is their mean
    half = 1.959963984540054 * (variance / (n + 2)) ** 0.5
    assert (row.interval.low, row.interval.high) == pytest.approx((centre - half, centre + half), abs=1e-12)
    ninety = tango(0.375 * n, 0.0, n, 0.90)
    assert (row.interval_90.low, row.interval_90.high) == pytest.approx((ninety.low, ninety.high), abs=1e-9)


def test_a_small_task_that_varies_most_counts_with_its_size():
    """Of 40 and 4 pairs only the 4 vary; Kish's number alone would promise an interval like that of 14 pairs."""
    tasks = np.repeat([0, 1], [40, 4])
    perturbed = np.concatenate([np.ones(42, bool), np.zeros(2, bool)])
    row = paired_drop(np.ones(44, bool), perturbed, tasks=tasks)
    assert row.drop == 0.25
    # sum w (x - d)^2 = .1875; with half a state more the variances of the tasks are .5/40.5 and 2.5/4.5 - (2/4.5)^2
    n = 0.1875 / ((0.5 / 40.5 - 0.0) / 40 + (2.5 / 4.5 - (2 / 4.5) ** 2) / 4) * 4
    ninety = tango(0.25 * n, 0.0, n, 0.90)
    assert 8 < n < 9  # two tasks as small as the smallest are 8
    assert (row.interval_90.low, row.interval_90.high) == pytest.approx((ninety.low, ninety.high), abs=1e-9)


def test_two_pairs_of_a_task_do_not_show_that_it_loses_nothing():
    """Nine tasks lose nothing, a tenth half of its success; its two pairs do not tell in a quarter of runs."""
    tasks = np.repeat(np.arange(10), [20] * 9 + [2])
    row = paired_drop(np.ones(182, bool), np.ones(182, bool), tasks=tasks)
    assert row.interval_90 == tango(0, 0, 20.0, 0.90)
    assert row.interval_90.high > 0.10


@pytest.mark.parametrize(
    ("sizes", "harm"),
    [([50] * 9 + [5], [0.02] * 9 + [0.32]), ([20] * 9 + [2], [0.0] * 9 + [0.5]), ([20] * 3 + [7], [0.05] * 3 + [0.25])],
    ids=["5 of 50", "2 of 20", "7 of 20"],
)
def test_a_small_task_that_has_most_of_the_drop_keeps_the_promised_risk(sizes, harm):
    rng, tasks = np.random.default_rng(7), np.repeat(np.arange(len(sizes)), sizes)
    lost, truth = np.array(harm)[tasks], float(np.mean(harm))
    runs = [paired_drop(np.ones(len(tasks), bool), rng.random(len(tasks)) >= lost, tasks=tasks) for _ in range(400)]
    assert np.mean([row.interval_90.high < truth for row in runs]) <= 0.05
    assert np.mean([not row.interval.low <= truth <= row.interval.high for row in runs]) <= 0.05


@pytest.mark.parametrize("repeats", [1, 3])
def test_tasks_of_equal_size_change_no_bit(repeats):
    rng = np.random.default_rng(5)
    units = np.repeat(np.arange(40), repeats)
    clean, perturbed = rng.random(len(units)) < 0.8, rng.random(len(units)) < 0.6
    assert paired_drop(clean, perturbed, units=units, tasks=units // 10) == paired_drop(clean, perturbed, units=units)


def test_repeated_states_of_unequal_tasks():
    """Two states with 2 repeats in task 0, one in task 1: means 1, .5 and 0 with weights 1/4, 1/4 and 1/2."""
    clean, perturbed = [True] * 6, [False, False, False, True, True, True]
    row = paired_drop(clean, perturbed, units=[0, 0, 1, 1, 2, 2], tasks=[0, 0, 0, 0, 1, 1])
    assert (row.drop, row.perturbed_rate, row.interval.method) == (0.375, 0.625, "t over 3 initial states")
    assert row.interval.low < 0.375 < row.interval.high
    assert row.half is not None


def test_weighted_intervals_cover():
    rng, tasks = np.random.default_rng(6), np.repeat(np.arange(5), [20, 5, 12, 8, 3])
    harm = np.array([0.1, 0.5, 0.0, 0.3, 0.9])
    rows = []
    for _ in range(600):
        clean = rng.random(len(tasks)) < 0.8
        rows.append(paired_drop(clean, clean & (rng.random(len(tasks)) >= harm[tasks]), tasks=tasks))
    truth = 0.8 * harm.mean()
    assert np.mean([row.interval.low <= truth <= row.interval.high for row in rows]) > 0.94
    assert np.mean([row.interval_90.high >= truth for row in rows]) > 0.94
    assert np.mean([row.drop for row in rows]) == pytest.approx(truth, abs=0.01)


def test_no_rate_is_above_one():
    row = paired_drop(np.ones(41, bool), np.ones(41, bool), tasks=np.repeat([0, 1, 2], [20, 20, 1]))
    assert (row.clean_rate, row.perturbed_rate, row.retention) == (1.0, 1.0, 1.0)


def test_a_state_of_two_tasks_is_refused():
    with pytest.raises(ValueError, match="two tasks"):
        paired_drop([True] * 3, [True] * 3, units=[0, 0, 1], tasks=[0, 1, 1])


def simulated(harm: float, runs: int = 1000) -> tuple[float, float]:
    """Share of intervals with the true drop, and of upper limits at 90 % below it: 9 tasks of 50 pairs, one of 5."""
    rng, tasks = np.random.default_rng(1), np.repeat(np.arange(10), (50,) * 9 + (5,))
    harms = np.array([0.02] * 9 + [harm])
    held = below = 0
    for _ in range(runs):
        found = paired_drop(np.ones(tasks.size), rng.random(tasks.size) >= harms[tasks], tasks=tasks)
        held += found.interval.low <= harms.mean() <= found.interval.high
        below += found.interval_90.high < harms.mean()
    return held / runs, below / runs


@pytest.mark.parametrize("harm", [0.2, 0.3, 0.5, 0.7])
def test_a_drop_in_a_task_of_few_pairs_is_in_the_interval(harm):
    held, below = simulated(harm)
    assert held > 0.93
    assert below < 0.05


def test_without_the_added_half_state_it_would_not_be(monkeypatch):
    monkeypatch.setattr(task_weights, "ADDED", 1e-9)
    assert simulated(0.3)[0] < 0.85
