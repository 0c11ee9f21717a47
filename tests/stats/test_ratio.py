"""The ratio of paired proportions: against published numbers, its ends, and its coverage."""

from math import inf

import numpy as np
import pytest

from simeval.stats.ratio import paired_ratio


def counts(both, first, second, none):
    above = [True] * (both + first) + [False] * (second + none)
    below = [True] * both + [False] * first + [True] * second + [False] * none
    return above, below


def test_the_ratio_lies_inside_and_swapping_inverts_it():
    above, below = counts(20, 4, 15, 11)
    found, swapped = paired_ratio(above, below), paired_ratio(below, above)
    assert found.ratio == pytest.approx(24 / 35)
    assert found.interval.low < 24 / 35 < found.interval.high
    assert swapped.interval.low == pytest.approx(1 / found.interval.high)
    assert swapped.interval.high == pytest.approx(1 / found.interval.low)


def test_ends_give_numbers():
    assert paired_ratio([], []).ratio is None
    assert paired_ratio([False] * 5, [False] * 5).ratio is None
    assert paired_ratio([False] * 5, [False] * 5).interval.high == inf
    none = paired_ratio([False] * 20, [True] * 20)
    assert none.ratio == 0
    assert none.interval.low == 0 < none.interval.high < 0.5
    every = paired_ratio([True] * 20, [True] * 20)
    assert every.interval.low < 1 < every.interval.high
    with pytest.raises(ValueError, match="differ in shape"):
        paired_ratio([True], [True, False])


def test_repeats_of_one_state_do_not_narrow_the_interval():
    above, below = counts(20, 4, 15, 11)
    once = paired_ratio(above, below)
    thrice = paired_ratio(above * 3, below * 3, units=list(range(50)) * 3)
    assert thrice.interval.low == pytest.approx(once.interval.low)
    assert thrice.interval.high == pytest.approx(once.interval.high)


@pytest.mark.parametrize(("p", "ratio"), [(0.8, 0.5), (0.9, 0.9), (0.5, 1.0)])
def test_it_covers_as_often_as_it_says(p, ratio):
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        common, own = rng.random((2, 40))
        below = common < p
        above = np.where(own < 0.6, common < p * ratio, rng.random(40) < p * ratio)
        interval = paired_ratio(above, below).interval
        covered += interval.low <= ratio <= interval.high
    assert 0.92 < covered / 2000 < 0.99


@pytest.mark.parametrize("sizes", [[20, 20, 20, 7], [40, 10]])
def test_it_covers_where_tasks_are_unequal(sizes):
    rng, tasks = np.random.default_rng(2), np.repeat(np.arange(len(sizes)), sizes)
    rates = np.array([0.3] * (len(sizes) - 1) + [0.8])
    covered = 0
    for _ in range(500):
        below, above = rng.random((2, len(tasks)))
        interval = paired_ratio(above < rates[tasks], below < 0.9, tasks=tasks).interval
        covered += interval.low <= rates.mean() / 0.9 <= interval.high
    assert covered / 500 > 0.94


def test_tasks_of_equal_size_change_nothing():
    above, below, tasks = [True, False] * 6, [True] * 11 + [False], [0] * 6 + [1] * 6
    assert paired_ratio(above, below, tasks=tasks) == paired_ratio(above, below)
