"""Every number that robostats computes too: pairs, rates, drops, tests, adjustment. Tango alone: `test_score`."""

from pathlib import Path

import numpy as np
import pytest
from robostats import EpisodeRecord, RecordSet, pair
from robostats.compare import compare
from robostats.intervals import wilson as their_wilson
from robostats.kmodel import adjust

from simeval.analysis import success
from simeval.stats.change import compare_runs
from simeval.stats.intervals import suite_mean_of_units, wilson
from simeval.stats.paired import holm, paired_drop
from simeval.stats.resampling import Resampling
from simeval.store.run import Run

STORED = Path(__file__).parents[2] / "results" / "correlation"


def records(name, outcomes):
    """Their rows of a policy: by scenario whether it succeeded."""
    return RecordSet([EpisodeRecord(name, "task", bool(won), scenario_id=str(key)) for key, won in outcomes.items()])


def both(clean, perturbed):
    """What they say of two sides of the same scenarios."""
    return pair(records("clean", dict(enumerate(clean))), records("perturbed", dict(enumerate(perturbed))))


@pytest.mark.parametrize("level", [0.90, 0.95])
@pytest.mark.parametrize("n", [1, 2, 5, 50, 333])
def test_wilson(n, level):
    for wins in {0, 1, n // 3, n - 1, n}:
        theirs = their_wilson(wins, n, level)
        found = wilson(wins, n, level)
        assert (found.low, found.high) == pytest.approx((theirs.lower, theirs.upper), abs=1e-12)
        units = np.arange(n) < wins
        task = suite_mean_of_units([units.astype(float)], level)
        if 0 < wins < n and task.n_eff == n:
            assert (task.interval.low, task.interval.high) == pytest.approx((theirs.lower, theirs.upper), abs=1e-12)


def test_paired_drops():
    rng = np.random.default_rng(0)
    for pairs in (1, 2, 6, 25, 60, 400):
        for chance in (0.0, 0.1, 0.5, 1.0):
            clean = rng.random(pairs) < 0.7
            perturbed = np.where(rng.random(pairs) < chance, rng.random(pairs) < 0.5, clean)
            found, theirs = paired_drop(clean, perturbed), compare(both(clean, perturbed), confidence=0.90)
            assert (found.n10, found.n01) == (
                theirs.n_a_success_b_failure,
                theirs.n_b_success_a_failure,
            )
            assert found.drop == pytest.approx(theirs.delta, abs=1e-12)
            limits = found.interval_90.low, found.interval_90.high
            assert limits == pytest.approx((theirs.interval.lower, theirs.interval.upper), abs=1e-8)
            assert found.p == pytest.approx(theirs.p_value, abs=1e-12)


def test_two_policies():
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 80, 3)) < [[[0.8, 0.6, 0.3]], [[0.7, 0.6, 0.6]]]
    change = compare_runs(("none", "x", "y"), a, b, resampling=Resampling(n_permutations=9))
    for i, gain in enumerate(change.success):
        theirs = compare(both(b[:, i], a[:, i]))
        assert (gain.only_b, gain.only_a) == (theirs.n_a_success_b_failure, theirs.n_b_success_a_failure)
        assert (gain.gain, gain.p) == pytest.approx((theirs.delta, theirs.p_value), abs=1e-12)
    expected = adjust([gain.p for gain in change.success], "holm")
    assert [gain.p_holm for gain in change.success] == pytest.approx(expected)


def test_holm():
    rng = np.random.default_rng(2)
    for count in (1, 2, 7, 28):
        p = [*(rng.random(count) ** 3), 0.02, 0.02]
        assert holm(p) == pytest.approx(adjust(p, "holm"), abs=1e-12)


def test_the_table_of_a_stored_run():
    """They join the rows by themselves: 28 conditions of 50 pairs."""
    episodes = Run.load(STORED).episodes
    table = success.drop_table(episodes)
    clean = episodes[episodes["condition"] == "none"].set_index("pair_id")["outcome"] == "success"
    p = []
    for row in table:
        rows = episodes[(episodes["condition"] == row.condition) & (episodes["outcome"] != "infeasible")]
        perturbed = rows.set_index("pair_id")["outcome"] == "success"
        theirs = compare(pair(records("clean", clean), records("perturbed", perturbed)), confidence=0.90)
        counts = theirs.n_a_success_b_failure, theirs.n_b_success_a_failure, theirs.n_pairs
        assert (row.harmed, row.helped, row.pairs) == counts
        assert (row.drop, row.p) == pytest.approx((theirs.delta, theirs.p_value), abs=1e-12)
        p.append(theirs.p_value)
    assert len(p) == 28
    assert [row.p_holm for row in table] == pytest.approx(adjust(p, "holm"), abs=1e-12)
