"""What `show` computes without importing SciPy's and statsmodels' large modules is what they compute, to the bit."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from simeval.stats import intervals, quantiles

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


def test_the_tables_of_a_run_need_neither_scipys_nor_statsmodels_large_modules():
    large = {"scipy.stats", "scipy.optimize", "statsmodels"}
    code = f"import sys, simeval.report.terminal.run; print({large} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
