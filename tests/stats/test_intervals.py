"""Published and hand-checked values, and the coverage of what is printed."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from simeval.stats.intervals import SuiteRate, mean_of_suites, suite_mean_of_units, wilson


def suite_mean(successes: list[int], episodes: list[int]) -> SuiteRate:
    """The mean over tasks with one episode per initial state, from counts by task."""
    return suite_mean_of_units([np.repeat([1.0, 0.0], [k, n - k]) for k, n in zip(successes, episodes, strict=True)])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(485, 500, 0.951, 0.982), (50, 50, 0.929, 1.0), (0, 50, 0.0, 0.071), (0, 0, 0.0, 1.0)],
)
def test_wilson_golden(successes, n, low, high):
    interval = wilson(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_agrees_with_scipy(level):
    for successes in range(21):
        expected = binomtest(successes, 20).proportion_ci(level, method="wilson")
        interval = wilson(successes, 20, level)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


@pytest.mark.parametrize("n", [10, 50])
def test_wilson_covers_on_average(n):
    rates = np.linspace(0.5, 0.998, 100)
    intervals = [wilson(k, n) for k in range(n + 1)]
    low, high = np.array([(i.low, i.high) for i in intervals]).T
    covered = [(binom.pmf(np.arange(n + 1), n, p) * ((low <= p) & (p <= high))).sum() for p in rates]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_suite_mean_golden():
    mean = suite_mean([49] * 6 + [5] * 4, [50] * 10)
    assert mean.rate == pytest.approx(0.628)
    assert (mean.interval.low, mean.interval.high) == pytest.approx((0.607, 0.648), abs=5e-4)
    assert (mean.tasks, mean.n) == (10, 500)
    pooled = wilson(49 * 6 + 5 * 4, 500)
    assert mean.interval.high - mean.interval.low < 0.5 * (pooled.high - pooled.low)
    assert mean.across_tasks is not None
    assert mean.across_tasks.high - mean.across_tasks.low > 0.5


def test_suite_mean_covers():
    rng = np.random.default_rng(1)
    rates = np.array([0.98] * 6 + [0.1] * 4)
    means = [suite_mean(rng.binomial(20, rates).tolist(), [20] * 10) for _ in range(400)]
    covered = [mean.interval.low <= rates.mean() <= mean.interval.high for mean in means]
    assert np.mean(covered) > 0.93


@pytest.mark.parametrize("successes", [0, 50])
def test_a_perfect_suite_is_not_certain(successes):
    mean = suite_mean([successes] * 10, [50] * 10)
    expected = wilson(10 * successes, 500)
    assert (mean.interval.low, mean.interval.high) == pytest.approx((expected.low, expected.high))
    assert mean.across_tasks is None


def test_one_task_is_plain_wilson():
    mean, expected = suite_mean([45], [50]), wilson(45, 50)
    assert (mean.interval.low, mean.interval.high) == pytest.approx((expected.low, expected.high))
    assert mean.across_tasks is None


def test_losing_one_episode_hardly_moves_the_interval():
    full, lacking = suite_mean([0] * 3, [10] * 3), suite_mean([0] * 3, [10, 10, 9])
    assert lacking.interval.high == pytest.approx(full.interval.high, abs=0.02)


def test_no_data_is_words_not_nan():
    for mean in (suite_mean([], []), suite_mean([0, 0], [0, 0]), mean_of_suites([])):
        assert mean.rate is None
        assert (mean.interval.low, mean.interval.high) == (0.0, 1.0)
        assert mean.across_tasks is None


def test_tasks_without_episodes_are_left_out():
    assert suite_mean([5, 0], [10, 0]) == suite_mean([5], [10])


def test_repeats_of_the_same_initial_states_add_no_certainty():
    once = [np.array([1.0, 1.0, 0.0, 0.0] * 5)] * 3
    repeated = suite_mean_of_units(once)  # every repeat came out the same: one 0 or 1 per initial state
    assert repeated.interval == suite_mean([10] * 3, [20] * 3).interval
    shared = suite_mean_of_units([np.full(20, 0.5)] * 3)  # repeats differ, initial states do not
    assert shared.n_eff > repeated.n_eff


def test_mean_of_suites():
    one, two = suite_mean([45] * 10, [50] * 10), suite_mean([25] * 10, [50] * 10)
    both = mean_of_suites([one, two])
    assert both.rate == pytest.approx(0.7)
    assert one.variance is not None
    assert two.variance is not None
    assert both.variance == pytest.approx((one.variance + two.variance) / 4)
    assert mean_of_suites([one]).interval.low == pytest.approx(one.interval.low)
    assert one.interval.high - one.interval.low < both.interval.high
