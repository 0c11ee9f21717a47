"""What `show` computes without importing SciPy's and statsmodels' large modules is what they compute, to the bit."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from simeval.stats import intervals, quantiles, usual_quantiles

TAILS = (0.5, 0.1, 0.05, 0.025, 0.005, 1e-9, 0.975)


@pytest.mark.parametrize("tail", TAILS)
def test_quantiles_are_scipys(tail):
    free = np.arange(1, 300)
    assert quantiles.normal_isf(tail) == stats.norm.isf(tail)
    assert np.array_equal(quantiles.t_isfs(tail, free), stats.t.isf(tail, free))
    assert quantiles.t_isf(tail, 7) == stats.t.isf(tail, 7)
    assert quantiles.t_sf(10 * tail, 7) == stats.t.sf(10 * tail, 7)


def test_a_standard_error_is_scipys():
    for size in (2, 7, 50):
        values = np.random.default_rng(size).uniform(size=size)
        assert quantiles.standard_error(values) == stats.sem(values)


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_wilsons_interval_is_statsmodels(level):
    trials = [(k, n) for n in (1, 7, 50, 500, 1300) for k in range(0, n + 1, max(1, n // 25))]
    for successes, n in [*trials, (3.3, 7.25), (0.0, 12.5)]:
        found = intervals.wilson(successes, n, level)
        low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
        assert (found.low, found.high) == (max(0.0, low), min(1.0, high)), (successes, n)


def test_the_interval_across_tasks_is_scipys():
    for size in (2, 4, 10):
        rates = np.random.default_rng(size).uniform(0.45, 0.55, size)
        found = intervals._across_tasks(rates, 0.95)
        assert (found.low, found.high) == stats.t.interval(0.95, size - 1, rates.mean(), stats.sem(rates))


def test_stored_quantiles_are_scipys():
    for tail, value in usual_quantiles.NORMAL.items():
        assert value == stats.norm.isf(tail)
    free = np.arange(1, len(usual_quantiles.STUDENT) + 1)
    theirs = stats.t.isf(usual_quantiles.TAIL, free)
    assert np.array_equal(usual_quantiles.STUDENT, theirs), f"make them {[*map(float, theirs)]}"
    for degrees in (*free, len(free) + 1):  # the last is SciPy's own answer
        for tail in (usual_quantiles.TAIL, 1 - usual_quantiles.TAIL):
            assert quantiles.t_isf(tail, degrees) == stats.t.isf(tail, degrees)


def test_the_usual_levels_do_without_scipy(monkeypatch):
    def ask():
        raise AssertionError("SciPy was asked")

    monkeypatch.setattr(quantiles, "special", ask)
    assert quantiles.normal_isf((1 - 0.95) / 2) > quantiles.normal_isf((1 - 0.9) / 2) > 0
    assert quantiles.t_isf((1 - 0.95) / 2, 9) == -quantiles.t_isf((1 + 0.95) / 2, 9) > 0
    with pytest.raises(AssertionError):
        quantiles.normal_isf(0.01)
