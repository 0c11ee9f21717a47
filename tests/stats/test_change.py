"""Two runs on the same episodes: success, robustness, drift."""

import numpy as np
import pytest

from simeval.stats.change import compare_drift, compare_runs
from simeval.stats.paired import paired_drop
from simeval.stats.resampling import Resampling

QUICK = Resampling(n_resamples=199, n_permutations=999)
NAMES = ("none", "noise:0.05", "light.gain:2")


def runs(
    seed: int, rates_a: tuple[float, ...], rates_b: tuple[float, ...], n: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    luck = rng.random((n, 1))
    return tuple(
        (0.5 * luck + 0.5 * rng.random((n, 3)) < np.array(rates)).astype(float) for rates in (rates_a, rates_b)
    )


def test_a_run_against_itself_changes_nothing():
    a, _ = runs(0, (0.9, 0.5, 0.7), (0.9, 0.5, 0.7))
    found = compare_runs(NAMES, a, a, resampling=QUICK)
    for gain in (*found.success, *found.robustness, found.overall):
        assert (gain.gain, gain.p, gain.direction) == (0.0, 1.0, "no difference shown")
        assert gain.interval.low < 0 < gain.interval.high


def test_a_fix_of_one_condition_is_found():
    a, b = runs(1, (0.9, 0.3, 0.6), (0.9, 0.8, 0.6))
    found = compare_runs(NAMES, a, b, resampling=QUICK)
    assert [gain.direction for gain in found.success] == ["no difference shown", "better", "no difference shown"]
    assert [gain.direction for gain in found.robustness] == ["better", "no difference shown"]
    assert found.robustness[0].gain == pytest.approx(found.robustness[0].a - found.robustness[0].b)
    assert found.overall.gain == pytest.approx(np.mean([gain.gain for gain in found.robustness]))
    back = compare_runs(NAMES, b, a, resampling=QUICK)
    assert back.success[1].direction == back.robustness[0].direction == "worse"
    assert back.overall.gain == pytest.approx(-found.overall.gain)


def test_success_is_the_paired_comparison():
    a, b = runs(2, (0.8, 0.5, 0.7), (0.6, 0.7, 0.7))
    gain = compare_runs(NAMES, a, b, resampling=QUICK).success[0]
    expected = paired_drop(b[:, 0] == 1, a[:, 0] == 1)
    assert (gain.gain, gain.p, gain.interval) == (expected.drop, expected.p, expected.interval)
    assert (gain.only_b, gain.only_a) == (expected.n10, expected.n01)


def test_better_everywhere_is_not_more_robust():
    a, b = runs(3, (0.5, 0.3, 0.4), (0.8, 0.6, 0.7), n=200)
    found = compare_runs(NAMES, a, b, resampling=QUICK)
    assert all(gain.direction == "better" for gain in found.success)
    assert found.overall.direction == "no difference shown"


def test_missing_episodes_leave_their_pair():
    a, b = runs(4, (0.9, 0.5, 0.7), (0.9, 0.5, 0.7))
    a[:10, 0], b[5:20, 1] = np.nan, np.nan
    found = compare_runs(NAMES, a, b, resampling=QUICK)
    assert [gain.n for gain in found.success] == [90, 85, 100]
    assert [gain.n for gain in found.robustness] == [80, 90]
    assert found.overall.n == 80
    nothing = compare_runs(NAMES, np.full((4, 3), np.nan), b[:4], resampling=QUICK)
    assert [gain.gain for gain in nothing.success] == [None] * 3
    assert nothing.overall.reason == "no pair that both runs have"


def test_repeats_are_one_unit():
    a, b = runs(5, (0.9, 0.3, 0.6), (0.9, 0.8, 0.6), n=30)
    once = compare_runs(NAMES, a, b, resampling=QUICK).robustness[0]
    twice = np.repeat(np.arange(30), 2)
    doubled = compare_runs(NAMES, a[twice], b[twice], units=twice, resampling=QUICK).robustness[0]
    assert (doubled.n, doubled.units, doubled.gain) == (60, 30, pytest.approx(once.gain))
    assert doubled.interval.low == pytest.approx(once.interval.low)
    assert doubled.p == once.p


def test_nothing_to_compare_is_said():
    lonely = compare_runs(("none",), np.ones((5, 1)), np.ones((5, 1)), resampling=QUICK)
    assert (lonely.robustness, lonely.overall.reason) == ((), "no pair that both runs have")
    with pytest.raises(ValueError, match="expected"):
        compare_runs(NAMES, np.ones((5, 2)), np.ones((5, 2)))
    with pytest.raises(ValueError, match="neither"):
        compare_runs(NAMES, np.full((5, 3), 2.0), np.ones((5, 3)))


def test_drift_before_and_after():
    rng = np.random.default_rng(6)
    before = rng.random((40, 2)) + 1
    after = before * np.array([0.5, 1.0])
    after[0, 1] = np.nan
    calm, same = compare_drift(("noise:0.05", "blur:2"), before, after, units=np.arange(40) // 2, resampling=QUICK)
    assert calm.direction == "better"
    assert calm.gain == pytest.approx(calm.a - calm.b)
    assert (calm.n, calm.units, same.n, same.gain, same.direction) == (40, 20, 39, 0.0, "no difference shown")
    single = compare_drift(("a",), before[:2, :1], after[:2, :1], units=[0, 0], resampling=QUICK)[0]
    assert (single.interval, single.reason) == (None, "one cluster only: no interval")


@pytest.mark.slow
def test_the_difference_of_drops_covers():
    """True gain: no difference on `none`, .3 on the second condition."""
    rng, held = np.random.default_rng(7), 0
    for _ in range(300):
        a, b = ((rng.random((50, 2)) < rates).astype(float) for rates in ((0.8, 0.4), (0.8, 0.7)))
        interval = compare_runs(NAMES[:2], a, b, resampling=Resampling(n_permutations=19)).robustness[0].interval
        held += interval.low <= 0.3 <= interval.high
    assert held / 300 > 0.92
