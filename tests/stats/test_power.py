"""Exact power against published tables and full enumeration; the numbers that an audit found wrong are goldens."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest, multinomial

from simeval.stats.power import (
    BACKGROUND,
    background_of,
    chance_to_find,
    fewest_harmed,
    pairs_needed,
    pairs_to_decide,
    sensitivity,
    smallest_visible_drop,
)


@pytest.mark.parametrize(
    ("pairs", "tests", "drop", "power"),
    [
        (50, 1, 0.183, 0.776), (50, 28, 0.329, 0.841), (100, 1, 0.106, 0.775), (100, 12, 0.165, 0.81),
        (500, 1, 0.034, 0.768), (500, 28, 0.054, 0.797),
    ],
)  # fmt: skip
def test_power_of_the_drops_that_connor_promised_to_find_in_four_of_five_runs(pairs, tests, drop, power):
    assert chance_to_find(pairs, drop, background=0.04, alpha=0.05 / tests) == pytest.approx(power, abs=0.005)


@pytest.mark.parametrize(
    ("drop", "background", "pairs"),
    [
        (0.05, 0.0, 157), (0.10, 0.0, 78), (0.20, 0.0, 39), (0.05, 0.04, 303), (0.10, 0.04, 114), (0.20, 0.04, 47),
        (0.05, 0.10, 498), (0.10, 0.10, 168), (0.20, 0.10, 61),
    ],
)  # fmt: skip
def test_pairs_needed_are_those_of_exact_tables(drop, background, pairs):
    assert pairs_needed(drop, background=background) == pairs


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
@pytest.mark.parametrize(
    ("pairs", "drop", "background"), [(7, 0.9, 0.15), (50, 0.25, 0.16), (120, 0.1, 0.3), (90, 1, 0)]
)
def test_power_is_the_sum_over_all_tables_that_are_called(pairs, drop, background, alpha):
    """Every number of harmed and helped pairs, with SciPy's test."""
    discordant = min(1.0, drop + background)
    chances = [(discordant + drop) / 2, (discordant - drop) / 2, 1 - discordant]
    tables = np.array([(h, g, pairs - h - g) for h in range(pairs + 1) for g in range(min(h, pairs - h + 1))])
    p = 2 * binom.cdf(tables[:, 1], tables[:, 0] + tables[:, 1], 0.5)
    total = multinomial.pmf(tables[p < alpha], pairs, chances).sum()
    assert chance_to_find(pairs, drop, background=background, alpha=alpha) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("helped", [0, 1, 4, 40, 1500])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 28])
def test_the_fewest_harmed_pairs_are_the_first_that_the_binomial_test_calls(helped, alpha):
    harmed = fewest_harmed(alpha, helped)
    assert binomtest(harmed, harmed + helped).pvalue < alpha <= binomtest(harmed - 1, harmed - 1 + helped).pvalue


@pytest.mark.parametrize(("drop", "power"), [(0.05, 0.8), (0.10, 0.9), (0.31, 0.5), (1.0, 0.99)])
def test_one_pair_fewer_is_not_enough_and_no_larger_number_is_worse(drop, power):
    needed = pairs_needed(drop, power=power, alpha=0.05 / 4)
    powers = [chance_to_find(needed + more, drop, alpha=0.05 / 4) for more in range(-1, 30)]
    assert powers[0] < power <= powers[1]
    assert min(powers[1:]) > power - 0.01


@pytest.mark.parametrize(("pairs", "tests"), [(6, 1), (20, 1), (50, 28), (500, 12)])
def test_the_smallest_drop_is_found_as_often_as_asked(pairs, tests):
    size = sensitivity(pairs, tests, power=0.7)
    assert chance_to_find(pairs, size.visible, alpha=0.05 / tests) == pytest.approx(0.7, abs=1e-3)
    assert size.half_found == chance_to_find(pairs, size.visible / 2, alpha=0.05 / tests)
    assert size.harmed == fewest_harmed(0.05 / tests)


def test_too_few_pairs_find_nothing():
    assert [smallest_visible_drop(n) for n in (0, 1, 5)] == [None] * 3
    assert smallest_visible_drop(6) is not None
    assert smallest_visible_drop(8, alpha=0.05 / 8) is None


def test_more_background_hides_larger_drops():
    drops = [smallest_visible_drop(500, background=background) for background in (0.04, 0.10, 0.16)]
    assert drops == pytest.approx([0.0357, 0.0499, 0.0603], abs=5e-4)


def test_beyond_the_exact_range_the_approximation_goes_on():
    exact, approximate = (chance_to_find(n, 0.01) for n in (20_000, 20_001))
    assert approximate == pytest.approx(exact, abs=0.005)
    assert pairs_needed(1e-4, power=0.9) > 10**6


def test_background_is_the_median_of_the_conditions():
    assert background_of([(5, 4, 50), (39, 0, 50), (9, 5, 50)]) == pytest.approx(0.16)
    assert background_of([(3, 0, 20), (0, 0, 0)]) == 0.04
    assert background_of([(0, 0, 0)]) is None
    assert BACKGROUND == 0.15


def test_pairs_to_decide_are_about_those_of_the_exact_test():
    assert pairs_to_decide(0.10, 0.05) == pytest.approx(pairs_needed(0.10), rel=0.1)
    assert pairs_to_decide(0.0, 0.05) == pytest.approx(371, abs=1)
    assert pairs_to_decide(0.05, 0.05, background=0.1) == pytest.approx(pairs_needed(0.05, background=0.1), rel=0.1)
    assert pairs_to_decide(-0.05, 0.05) < pairs_to_decide(0.0, 0.05)
