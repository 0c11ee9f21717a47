"""Two runs on the same episodes: success, robustness, drift."""

import numpy as np
import pytest

from simeval.stats.change import compare_drift, compare_runs
from simeval.stats.paired import paired_drop
from simeval.stats.ratio import paired_ratio
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
    assert not {gain.direction for gain in (*found.robustness, found.overall)} & {"better", "worse"}


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
    assert (single.interval, single.reason) == (None, "1 episode only: no interval")


def test_drift_that_differs_by_chance_has_no_word():
    """12 conditions, 5 episodes: intervals alone, without adjustment, call some of them better or worse."""
    rng = np.random.default_rng(8)
    names = tuple(f"c{i}" for i in range(12))
    for clusters in (5, 50):
        a, b = rng.lognormal(0, 0.5, (2, clusters, 12)) * rng.lognormal(0, 0.5, (clusters, 12))
        gains = compare_drift(names, a, b, units=np.arange(clusters), resampling=QUICK)
        assert {gain.direction for gain in gains} == {"no difference shown"}
        assert all(gain.p_holm >= gain.p for gain in gains)
    few = compare_drift(names, a[:3], b[:3], units=np.arange(3), resampling=QUICK)
    assert {(gain.interval, gain.p, gain.reason) for gain in few} == {(None, None, "3 episodes only: no interval")}


def halved(rng: np.random.Generator, clean: float, n: int = 500) -> np.ndarray:
    """Outcomes of a policy that loses half of its success under five conditions."""
    first = rng.random(n) < clean
    return np.column_stack([first, first[:, None] & (rng.random((n, 5)) < 0.5)]).astype(float)


def test_who_keeps_the_same_share_is_not_less_robust():
    """35 % to 17 % and 85 % to 43 %: more points are lost, and the same share is kept."""
    rng = np.random.default_rng(9)
    a, b = halved(rng, 0.35), halved(rng, 0.85)
    found = compare_runs(("none", *"abcde"), a, b, resampling=QUICK)
    assert found.success[0].direction == "better"
    assert all(gain.gain < -0.1 and gain.p_holm < 0.05 for gain in found.robustness), "in points B is worse"
    assert {gain.direction for gain in (*found.robustness, found.overall)} == {"depends on the scale"}
    for kept in (*found.retention, found.overall_retention):
        assert (kept.a, kept.b) == (pytest.approx(0.5, abs=0.09), pytest.approx(0.5, abs=0.09))
        assert kept.interval.low < 1 < kept.interval.high


def test_what_is_kept_is_the_paired_ratio():
    a, b = runs(2, (0.8, 0.5, 0.7), (0.6, 0.5, 0.7))
    kept = compare_runs(NAMES, a, b, resampling=QUICK).retention[0]
    for share, interval, side in ((kept.a, kept.a_interval, a), (kept.b, kept.b_interval, b)):
        own = paired_ratio(side[:, 1] == 1, side[:, 0] == 1)
        assert (share, interval) == (own.ratio, own.interval)
    assert kept.ratio == pytest.approx(kept.b / kept.a)
    back = compare_runs(NAMES, b, a, resampling=QUICK).retention[0]
    assert back.ratio == pytest.approx(1 / kept.ratio)
    assert back.p == pytest.approx(kept.p)


def test_nothing_kept_and_nothing_to_keep_are_said():
    n = 40
    never, always, half = np.zeros(n), np.ones(n), (np.arange(n) % 2).astype(float)
    dead, fine = np.column_stack([always, never]), np.column_stack([always, half])
    found = compare_runs(NAMES[:2], dead, fine, resampling=QUICK)
    assert (found.retention[0].ratio, found.retention[0].reason) == (None, "A keeps nothing")
    assert found.robustness[0].direction == "better"
    hopeless = compare_runs(NAMES[:2], np.column_stack([never, never]), fine, resampling=QUICK)
    assert "never succeeded" in hopeless.retention[0].reason
    assert hopeless.robustness[0].direction == "depends on the scale"


@pytest.mark.slow
def test_the_difference_of_drops_covers():
    """True gain: no difference on `none`, .3 on the second condition."""
    rng, held = np.random.default_rng(7), 0
    for _ in range(300):
        a, b = ((rng.random((50, 2)) < rates).astype(float) for rates in ((0.8, 0.4), (0.8, 0.7)))
        interval = compare_runs(NAMES[:2], a, b, resampling=Resampling(n_permutations=19)).robustness[0].interval
        held += interval.low <= 0.3 <= interval.high
    assert held / 300 > 0.92
