"""Thresholds: goldens by direct summation, laws, and coverage in worlds that the model does and does not describe."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from threshold_worlds import RANGE_ENDS, STRENGTHS, coverage, filled, searched, swept

from simeval.stats.threshold import ThresholdPosterior

SWEEP = ((0, 18, 2), (8, 17, 3), (16, 14, 6), (24, 6, 14), (32, 2, 18))


def summed(cells, level):
    """The posterior's mean clean rate and share beyond the range, as loops over the grid that the module describes."""
    total, beyond, clean = 0.0, 0.0, 0.0
    for theta in (np.arange(90) + 0.5) / 60:
        for slope in np.geomspace(0.7, 40.0, 10):
            for floor, prior in ((0.0, 0.6), (0.3 * level, 0.2), (0.6 * level, 0.2)):
                for rate in np.sin((np.arange(10) + 0.5) * np.pi / 20) ** 2:
                    weight = prior
                    for strength, successes, failures in cells:
                        falls = 1 / (1 + (1 - level) / (level - floor) * (strength / 40 / theta) ** slope)
                        p = rate * (floor + (1 - floor) * falls)
                        weight *= p**successes * (1 - p) ** failures
                    total += weight
                    clean += weight * rate
                    beyond += weight * (theta > 1)
    return clean / total, beyond / total


@pytest.mark.parametrize("level", [0.5, 0.8])
def test_the_posterior_is_that_of_a_direct_sum(level):
    cells = ((0, 9, 1), (10, 4, 1), (30, 2, 3))
    found = filled(cells, level).estimate()
    clean, beyond = summed(cells, level)
    assert found.clean_rate == pytest.approx(clean, rel=1e-6)
    assert found.beyond == pytest.approx(beyond, rel=1e-6)


def test_a_sweep_gives_the_strength_where_half_of_clean_is_left():
    found = filled(SWEEP).estimate()
    assert 0.45 < found.theta < 0.62
    assert found.interval.low < found.theta < found.interval.high
    assert found.is_reached
    assert found.clean_rate == pytest.approx(0.88, abs=0.04)


def test_a_higher_level_is_reached_earlier():
    thetas = [filled(SWEEP, level).estimate().theta for level in (0.2, 0.5, 0.8)]
    assert thetas == sorted(thetas, reverse=True)


def test_more_episodes_of_the_same_kind_narrow_the_interval():
    widths = [filled([(s, k * n, f * n) for s, k, f in SWEEP]).estimate().width for n in (1, 2, 4)]
    assert widths == sorted(widths, reverse=True)


def test_neither_order_nor_halves_of_a_run_change_a_bit():
    cells = [(s, k > i) for s, k, f in SWEEP for i in range(k + f)]
    results = []
    for seed in range(3):
        posterior = ThresholdPosterior(STRENGTHS)
        for strength, success in np.random.default_rng(seed).permutation(cells):
            posterior.add(int(strength), success=bool(success))
        results.append((posterior.estimate(), posterior.best()))
    assert results[0] == results[1] == results[2]


def test_success_everywhere_is_beyond_the_range_and_settled():
    found = filled([(0, 10, 0), (40, 12, 0)]).estimate()
    assert found.beyond > 0.95
    assert not found.is_reached
    assert found.is_settled(0.15)
    assert found.at_least > 0.9


def test_nothing_known_is_not_settled():
    found = ThresholdPosterior(STRENGTHS).estimate()
    assert not found.is_reached
    assert not found.is_settled(0.9)


def test_the_gain_of_an_episode_is_the_expected_fall_of_entropy():
    posterior = filled(SWEEP)
    strength = 20

    def theta(extra):
        weights = filled([*SWEEP, *extra])._weights().reshape(90, -1).sum(axis=1)
        return np.append(weights[:60], weights[60:].sum())

    def entropy(weights):
        return -(weights * np.log(np.maximum(weights, 1e-300))).sum()

    p = float(posterior._rate[strength] @ posterior._weights())
    after = p * entropy(theta([(strength, 1, 0)])) + (1 - p) * entropy(theta([(strength, 0, 1)]))
    assert posterior.gains()[strength] == pytest.approx(entropy(theta([])) - after, rel=1e-6)
    assert (posterior.gains() >= -1e-12).all()


def test_running_episodes_drive_the_next_one_elsewhere():
    posterior = filled(SWEEP)
    first = posterior.best()
    gains = posterior.gains()
    assert first == int(np.argmax(gains))
    chosen = []
    for _ in range(8):
        chosen.append(posterior.best(chosen))
    assert len(set(chosen)) >= 3
    assert 0 not in [posterior.best([8] * n, clean=False) for n in range(30)]


def test_the_curve_falls_from_the_clean_rate_and_lies_in_its_band():
    posterior = filled(SWEEP)
    curve = posterior.curve()
    assert curve.rate[0] == pytest.approx(posterior.estimate().clean_rate)
    assert (np.diff(curve.rate) <= 0).all()
    assert (curve.low <= curve.rate).all()
    assert (curve.rate <= curve.high).all()
    half = np.interp(posterior.estimate().theta, curve.x, curve.rate)
    assert half == pytest.approx(0.5 * curve.rate[0], abs=0.05)


def test_a_choice_takes_less_than_20_ms():
    posterior = filled(SWEEP)
    posterior.best()
    best = min(_timed(posterior.best) for _ in range(10))
    assert best < 0.02


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


WORLDS = ["one", "tasks differ", "abrupt", "slow", "a quarter never falls"]
RUNS = 60
NOMINAL = 0.92 - 2 * (0.92 * 0.08 / RUNS) ** 0.5
""".92, less two standard errors of a share of so many runs."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_intervals_cover_when_a_search_stops_by_its_budget(kind):
    assert coverage([searched(kind, seed, most=100) for seed in range(RUNS)]) >= NOMINAL


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_intervals_cover_when_a_search_stops_by_its_width(kind):
    assert coverage([searched(kind, seed, width=0.15) for seed in range(RUNS)]) >= NOMINAL


@pytest.mark.slow
@pytest.mark.parametrize("axis", RANGE_ENDS)
def test_intervals_cover_where_success_is_that_of_a_stored_sweep(axis):
    assert coverage([searched(axis, seed, width=0.15, most=200) for seed in range(RUNS)]) >= NOMINAL


@pytest.mark.slow
def test_intervals_cover_with_results_that_come_late():
    assert coverage([searched("tasks differ", seed, most=100, workers=8) for seed in range(RUNS)]) >= NOMINAL


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one", "tasks differ", "abrupt"])
def test_a_search_needs_half_of_the_episodes_of_a_sweep(kind):
    """At 100 episodes it is as near to the truth as a sweep of 204."""
    adaptive = [searched(kind, seed, most=100) for seed in range(RUNS)]
    sweep = [swept(kind, seed, 34) for seed in range(RUNS)]
    assert error(adaptive) <= 1.1 * error(sweep)


def error(runs):
    """Root of the mean squared distance from the truth."""
    return np.sqrt(np.mean([(found.theta - true) ** 2 for true, found, _ in runs]))


@pytest.mark.slow
def test_a_threshold_beyond_the_range_is_not_found_within():
    found = [searched("beyond", seed, most=100)[1] for seed in range(100)]
    assert np.mean([one.is_reached for one in found]) <= 0.05
    assert np.mean([one.beyond > 0.5 for one in found]) >= 0.9


def test_a_search_finds_the_strength_with_few_episodes():
    runs = [searched("one", seed, most=70) for seed in range(8)]
    assert coverage(runs) >= 0.75
    assert np.mean([abs(found.theta - true) for true, found, _ in runs]) < 0.06


def test_a_search_stops_when_the_interval_is_narrow_enough():
    _, found, episodes = searched("one", 1, width=0.2)
    assert found.width <= 0.2
    assert 20 < episodes < 250
