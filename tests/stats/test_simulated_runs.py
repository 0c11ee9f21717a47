"""What tables and plans say of their errors, in a made-up world whose truth is known; see `paired_worlds`."""

import numpy as np
import pytest
from paired_worlds import TASKS, PairedWorld, paired_world

from simeval.stats.paired import PairedDrop, paired_drop
from simeval.stats.power import chance_to_find, pairs_needed, sensitivity

pytestmark = pytest.mark.slow


def runs(truth: PairedWorld, pairs: int, count: int, seed: int) -> list[PairedDrop]:
    rng = np.random.default_rng(seed)
    return [paired_drop(*truth.play(pairs // TASKS, rng)) for _ in range(count)]


def called(found: PairedDrop, tests: int = 1) -> bool:
    """The rule of the tables, beside conditions that cost nothing: Holm multiplies the smallest p by their number."""
    assert found.p is not None
    return found.interval.low > 0 and found.p * tests < 0.05


@pytest.mark.parametrize("tests", [1, 12])
@pytest.mark.parametrize(("pairs", "own_luck"), [(50, 0.3), (100, 0.5), (500, 0.5)])
def test_a_drop_that_is_said_to_be_found_in_four_of_five_runs_is(pairs, own_luck, tests):
    background = paired_world(0.1, own_luck).background
    for _ in range(3):  # a larger drop leaves less to flip back
        drop = sensitivity(pairs, tests, background=background).visible
        truth = paired_world(drop, own_luck)
        background = truth.background
    found = np.mean([called(run, tests) for run in runs(truth, pairs, 1000, seed=1)])
    assert found == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("drop", "power"), [(0.10, 0.9), (0.20, 0.8)])
def test_the_planned_number_of_pairs_finds_the_wished_drop(drop, power):
    truth = paired_world(drop, 0.4)
    pairs = -(-pairs_needed(drop, background=truth.background, power=power, alpha=0.05 / 4) // TASKS) * TASKS
    found = np.mean([called(run, 4) for run in runs(truth, pairs, 1000, seed=2)])
    assert found == pytest.approx(chance_to_find(pairs, drop, background=truth.background, alpha=0.05 / 4), abs=0.04)


@pytest.mark.parametrize("drop", [0.0, 0.15, 0.35])
@pytest.mark.parametrize(("pairs", "own_luck"), [(20, 0.4), (50, 0.1), (200, 0.4)])
def test_the_interval_of_a_drop_covers_it(drop, pairs, own_luck):
    truth = paired_world(drop, own_luck)
    found = [run.interval for run in runs(truth, pairs, 1000, seed=3)]
    assert np.mean([interval.low <= drop <= interval.high for interval in found]) >= 0.92


@pytest.mark.parametrize(("pairs", "own_luck"), [(50, 0.0), (50, 0.3), (80, 0.0), (200, 0.4)])
def test_a_drop_of_five_points_is_seldom_called_less(pairs, own_luck):
    """At the margin itself, in at most 5 % of the runs, but for the error of the simulation."""
    truth = paired_world(0.05, own_luck)
    wrong = np.mean([run.interval_90.high < 0.05 for run in runs(truth, pairs, 2000, seed=4)])
    assert wrong <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_without_a_drop_hardly_any_is_called():
    found = [called(run) for run in runs(paired_world(0.0, 0.5), 200, 2000, seed=5)]
    assert np.mean(found) <= 0.025 + 3 * (0.025 * 0.975 / 2000) ** 0.5
