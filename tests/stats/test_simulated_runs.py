"""What tables and plans say of their errors, in a made-up world whose truth is known.

Tasks differ, initial states of a task differ, and the perturbed twin shares a part of its luck with the clean one. A
perturbation makes every episode harder by the same amount, so it costs tasks differently, as their rates differ.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from simeval.stats.paired import PairedDrop, paired_drop
from simeval.stats.power import chance_to_find, pairs_needed, sensitivity

TASKS = 10
EASE = np.linspace(-0.8, 3.2, TASKS)
"""Mean logit of success of each task."""
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class World:
    """A perturbation with a true drop.

    Attributes:
        shift: logits that it costs.
        own_luck: share of pairs whose perturbed episode has luck of its own.
        drop: true drop (fraction).
        background: share of pairs that flip without net effect.
    """

    shift: float
    own_luck: float
    drop: float
    background: float

    def play(self, states: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Outcomes of the clean and the perturbed episodes, `states` initial states of every task."""
        ease = EASE[:, None] + rng.normal(0, 1.0, (TASKS, states))
        luck, other = rng.random((2, TASKS, states))
        luck_of_twin = np.where(rng.random((TASKS, states)) < self.own_luck, other, luck)
        return (luck < expit(ease)).ravel(), (luck_of_twin < expit(ease - self.shift)).ravel()


def world(drop: float, own_luck: float) -> World:
    """The world with this true drop; its truth from half a million states."""
    ease = EASE[:, None] + np.random.default_rng(0).normal(0, 1.0, (TASKS, 50_000))
    clean = expit(ease)
    low, high = 0.0, 12.0
    while high - low > 1e-6:
        shift = (low + high) / 2
        low, high = (shift, high) if (clean - expit(ease - shift)).mean() < drop else (low, shift)
    helped = own_luck * ((1 - clean) * expit(ease - low)).mean()
    return World(low, own_luck, drop, 2 * float(helped))


def runs(truth: World, pairs: int, count: int, seed: int) -> list[PairedDrop]:
    rng = np.random.default_rng(seed)
    return [paired_drop(*truth.play(pairs // TASKS, rng)) for _ in range(count)]


def called(found: PairedDrop, tests: int = 1) -> bool:
    """The rule of the tables, beside conditions that cost nothing: Holm multiplies the smallest p by their number."""
    assert found.p is not None
    return found.interval.low > 0 and found.p * tests < 0.05


@pytest.mark.parametrize("tests", [1, 12])
@pytest.mark.parametrize(("pairs", "own_luck"), [(50, 0.3), (100, 0.5), (500, 0.5)])
def test_a_drop_that_is_said_to_be_found_in_four_of_five_runs_is(pairs, own_luck, tests):
    background = world(0.1, own_luck).background
    for _ in range(3):  # a larger drop leaves less to flip back
        drop = sensitivity(pairs, tests, background=background).visible
        truth = world(drop, own_luck)
        background = truth.background
    found = np.mean([called(run, tests) for run in runs(truth, pairs, 1000, seed=1)])
    assert found == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("drop", "power"), [(0.10, 0.9), (0.20, 0.8)])
def test_the_planned_number_of_pairs_finds_the_wished_drop(drop, power):
    truth = world(drop, 0.4)
    pairs = -(-pairs_needed(drop, background=truth.background, power=power, alpha=0.05 / 4) // TASKS) * TASKS
    found = np.mean([called(run, 4) for run in runs(truth, pairs, 1000, seed=2)])
    assert found == pytest.approx(chance_to_find(pairs, drop, background=truth.background, alpha=0.05 / 4), abs=0.04)


@pytest.mark.parametrize("drop", [0.0, 0.15, 0.35])
@pytest.mark.parametrize(("pairs", "own_luck"), [(20, 0.4), (50, 0.1), (200, 0.4)])
def test_the_interval_of_a_drop_covers_it(drop, pairs, own_luck):
    truth = world(drop, own_luck)
    found = [run.interval for run in runs(truth, pairs, 1000, seed=3)]
    assert np.mean([interval.low <= drop <= interval.high for interval in found]) >= 0.92


@pytest.mark.parametrize(("pairs", "own_luck"), [(50, 0.0), (50, 0.3), (80, 0.0), (200, 0.4)])
def test_a_drop_of_five_points_is_seldom_called_less(pairs, own_luck):
    """At the margin itself, in at most 5 % of the runs, but for the error of the simulation."""
    truth = world(0.05, own_luck)
    wrong = np.mean([run.interval_90.high < 0.05 for run in runs(truth, pairs, 2000, seed=4)])
    assert wrong <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_without_a_drop_hardly_any_is_called():
    found = [called(run) for run in runs(world(0.0, 0.5), 200, 2000, seed=5)]
    assert np.mean(found) <= 0.025 + 3 * (0.025 * 0.975 / 2000) ** 0.5
