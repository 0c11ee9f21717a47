"""Repeats of an initial state: the states are the sample, and interval, test and verdict say the same."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from simeval.stats.paired import paired_drop
from simeval.stats.states import over_states, repeats_differ, smallest_visible_over_states


def pairs(drops, repeats=10, states=None):
    """Clean and perturbed outcomes of some initial states that lose these shares of their repeats."""
    lost = [round(drop * repeats) for drop in drops]
    clean = np.ones(len(drops) * repeats, bool)
    perturbed = np.concatenate([np.arange(repeats) >= count for count in lost])
    return clean, perturbed, np.repeat(np.arange(len(drops)), repeats)


TEN = (0.1, 0.1, 0.6, 0.6, 0.5, 0.0, 0.1, 0.1, 0.3, 0.0)


def test_ten_states_of_ten_repeats_have_the_t_interval_of_their_means():
    clean, perturbed, units = pairs(TEN)
    found = paired_drop(clean, perturbed, units=units)
    assert (found.n, found.units) == (100, 10)
    assert found.drop == pytest.approx(0.24)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.067, 0.413), abs=5e-4)
    assert found.p == pytest.approx(0.0078, abs=5e-5)
    assert found.interval.method == "t over 10 initial states"
    assert found.half == pytest.approx(0.173, abs=5e-4)


def test_one_repeat_is_as_it_ever_was():
    clean, perturbed = np.array([1, 1, 1, 0, 1, 1], bool), np.array([0, 1, 0, 0, 1, 1], bool)
    found = paired_drop(clean, perturbed, units=np.arange(6))
    padded = np.array([1, 0, 1, 0, 0, 0, 1, -1.0])
    half = 1.959963984540054 * padded.std() / np.sqrt(8)
    assert (found.interval.low, found.interval.high) == pytest.approx((padded.mean() - half, padded.mean() + half))
    assert found.interval.method == "bonett-price"


def test_more_repeats_narrow_the_interval_as_far_as_states_are_alike():
    widths = []
    for repeats in (2, 10, 50):
        rng = np.random.default_rng(0)
        lost = rng.random((40, repeats)) < 0.3
        found = over_states(lost.ravel(), np.repeat(np.arange(40), repeats), 0.95)
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.4 * widths[0]


def test_repeats_that_always_end_alike_add_nothing():
    drops = np.array([1.0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    once = paired_drop(np.ones(10, bool), drops == 0, units=np.arange(10)).interval
    often = paired_drop(np.ones(200, bool), np.repeat(drops == 0, 20), units=np.repeat(np.arange(10), 20)).interval
    assert (often.low, often.high) == (once.low, once.high)
    assert (once.method, often.method) == ("bonett-price", "Bonett-Price over 10 initial states")


@pytest.mark.parametrize("drop", [0.0, 0.5, 1.0])
def test_states_without_spread_claim_no_certainty(drop):
    clean, perturbed, units = pairs([drop] * 5, repeats=2)
    found = paired_drop(clean, perturbed, units=units).interval
    assert found.high - found.low > 0.2
    assert found.low <= drop <= found.high


def test_one_state_alone_gives_an_interval_all_the_same():
    found = over_states([0, 1, 0, 1], [3, 3, 3, 3], 0.95)
    assert -1 <= found.low < 0.5 < found.high <= 1


def test_the_interval_covers_what_other_states_would_show():
    """States differ, and repeats of one are alike; the old interval was either too wide or, over pairs, too narrow."""
    rng, covered = np.random.default_rng(1), 0
    for _ in range(400):
        chances = rng.beta(1, 3, 12)
        lost = rng.random((12, 10)) < chances[:, None]
        found = over_states(lost.ravel(), np.repeat(np.arange(12), 10), 0.95)
        covered += found.low <= 0.25 <= found.high
    assert 0.92 <= covered / 400 <= 0.99


def test_repeats_differ_within_a_state_only():
    assert not repeats_differ([0, 1, -1, 0], np.arange(4))
    assert not repeats_differ([], [])
    assert not repeats_differ([1, 0, 1, 0], [7, 3, 7, 3])
    assert repeats_differ([1, 0, 0, 0], [7, 3, 7, 3])


def test_the_smallest_visible_drop_is_that_of_the_t_test():
    """Of samples with that mean and spread four in five are significant; a drop that is half as large mostly is not."""
    rng, states, error, alpha = np.random.default_rng(2), 10, 0.0765, 0.05
    half = stats.t.isf(0.025, states - 1) * error
    visible = smallest_visible_over_states(states, half, level=0.95, alpha=alpha)
    assert visible == pytest.approx(TTestPower().solve_power(nobs=states, alpha=alpha, power=0.8) * error * states**0.5)
    samples = rng.normal(visible, error * states**0.5, (4000, states))
    assert (stats.ttest_1samp(samples, 0, axis=1).pvalue < alpha).mean() == pytest.approx(0.8, abs=0.02)
    assert smallest_visible_over_states(states, half, level=0.95, alpha=alpha / 8) > visible
