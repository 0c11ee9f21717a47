"""The test of "loses less than a margin" against Tango's interval and full enumeration; its power and its size."""

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial

from simeval.stats.intervals import Interval
from simeval.stats.noninferiority import (
    chance_to_show_within,
    is_within,
    largest_harm,
    pairs_to_settle,
    pairs_to_show_within,
    states_to_settle,
)
from simeval.stats.power import pairs_needed
from simeval.stats.score import tango


def tables(n: int) -> np.ndarray:
    return np.array([(harmed, helped) for harmed in range(n + 1) for helped in range(n - harmed + 1)])


@pytest.mark.parametrize("margin", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("n", [1, 7, 59, 140])
def test_a_margin_is_excluded_if_tango_and_without_help_the_binomial_test_exclude_it(n, margin):
    rng = np.random.default_rng(n)
    counts = tables(n)
    for harmed, helped in [*counts[:5], *rng.choice(counts, 60)]:
        expected = tango(harmed, helped, n, 0.90).high < margin
        if helped == 0:
            expected &= binomtest(int(harmed), n, margin, alternative="less").pvalue < 0.05
            assert (largest_harm(int(harmed), n) < margin) == (
                binomtest(int(harmed), n, margin, alternative="less").pvalue < 0.05
            )
        assert is_within(harmed, helped, n, margin) == expected


@pytest.mark.parametrize(
    ("n", "loss", "background"), [(30, -0.1, 0.2), (60, 0.0, 0.0), (90, 0.03, 0.1), (40, 0.9, 0.3)]
)
def test_power_is_the_sum_over_all_tables_that_pass(n, loss, background):
    discordant = min(1.0, abs(loss) + background)
    chances = [(discordant + loss) / 2, (discordant - loss) / 2, 1 - discordant]
    counts = tables(n)
    whole = np.column_stack([counts, n - counts.sum(axis=1)])
    total = multinomial.pmf(whole, n, chances)[is_within(counts[:, 0], counts[:, 1], n, 0.05)].sum()
    assert chance_to_show_within(n, loss, 0.05, background=background) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("margin", [0.03, 0.05, 0.1])
@pytest.mark.parametrize("background", [0.0, 0.02, 0.05, 0.15, 0.4])
@pytest.mark.parametrize("n", [50, 52, 59, 100, 200, 500])
def test_a_loss_of_the_margin_passes_in_five_per_cent(n, background, margin):
    """Exact. Tango's test is approximate: at most 5.7 %; without background, where it would be 6.9 %, at most 5."""
    chance = chance_to_show_within(n, margin, margin, background=background)
    assert chance <= (0.057 if background else 0.05)
    if n >= 100 and background >= 0.05:
        assert chance <= 0.0525


def test_without_any_change_the_margin_of_five_points_takes_59_pairs():
    """The rule of three: 3 / 59."""
    assert not is_within(0, 0, 58, 0.05)
    assert is_within(0, 0, 59, 0.05)
    assert pairs_to_show_within(0.0, 0.05, background=0.0) == 59


@pytest.mark.parametrize(("loss", "background"), [(-0.05, 0.1), (0.0, 0.15), (0.02, 0.04)])
def test_the_pairs_to_show_it_suffice(loss, background):
    pairs = pairs_to_show_within(loss, 0.05, background=background)
    assert chance_to_show_within(pairs, loss, 0.05, background=background) >= 0.8
    assert chance_to_show_within(pairs - 1, loss, 0.05, background=background) < 0.8


def test_a_loss_of_the_margin_or_more_cannot_be_shown_to_be_less():
    assert pairs_to_show_within(0.05, 0.05) is None
    assert pairs_to_show_within(0.2, 0.05) is None


def test_whatever_takes_fewer_pairs_settles_it():
    shows = pairs_to_show_within(0.0, 0.05, background=0.1)
    assert pairs_to_settle(0.0, 0.05, background=0.1, tests=3) == shows
    calls = pairs_needed(0.1, background=0.1, alpha=0.05 / 3)
    assert pairs_to_settle(0.1, 0.05, background=0.1, tests=3) == calls


def test_a_run_that_has_these_pairs_and_is_open_still_needs_more():
    first = pairs_to_settle(0.1, 0.05, background=0.1, tests=1)
    assert pairs_to_settle(0.1, 0.05, background=0.1, tests=1, beyond=first) > first
    assert pairs_to_settle(0.1, 0.05, background=0.1, tests=1, beyond=100 * first) is None


def test_states_whose_repeats_differ_are_settled_by_a_narrower_interval():
    wide = Interval(-0.1, 0.1, 0.9, "t over 40 initial states")
    needed = states_to_settle(wide, 0.0, 0.05, states=40, tests=1)
    assert 200 < needed < 600
    assert states_to_settle(wide, 0.0, 0.09, states=40, tests=1) < needed
    assert states_to_settle(Interval(-0.01, 0.01, 0.9, ""), 0.0, 0.05, states=40, tests=1) is None
