"""Published and hand-checked values, and agreement with SciPy's binomial test."""

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

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
