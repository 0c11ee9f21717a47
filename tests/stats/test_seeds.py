"""Recipes over their training seeds: the formula, and both questions together."""

import numpy as np
import pytest
from scipy import stats

from simeval.stats.change import Gain, compare_scores
from simeval.stats.resampling import Resampling
from simeval.stats.seeds import adjusted_gains, seed_gain, seed_mean

QUICK = Resampling(n_permutations=399)


def pairs(gain: float, noise: float = 0.1, n: int = 100) -> Gain:
    rng = np.random.default_rng(0)
    shift = rng.normal(0, noise, n)
    return compare_scores(0.5 + 0 * shift, 0.5 + shift - shift.mean() + gain, units=np.arange(n), resampling=QUICK)


def test_the_interval_over_seeds_is_students():
    values = [0.10, 0.16, 0.13, 0.20]
    found = seed_gain(values, pairs(0.1475))
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.over_seeds.low, found.over_seeds.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(max(stats.ttest_1samp(values, 0).pvalue, pairs(0.1475).p))
    assert found.deviation == pytest.approx(np.std(values, ddof=1))


def test_a_recipe_is_called_better_only_where_both_questions_say_so():
    sure, doubtful = [0.14, 0.15, 0.16], [0.01, 0.40, 0.04]
    (both,) = adjusted_gains([seed_gain(sure, pairs(0.15))])
    (other_seeds,) = adjusted_gains([seed_gain(doubtful, pairs(0.15))])
    (other_episodes,) = adjusted_gains([seed_gain(sure, pairs(0.15, noise=4.0, n=12))])
    assert both.direction == "better"
    assert {other_seeds.direction, other_episodes.direction} == {"no difference shown"}
    assert adjusted_gains([seed_gain([-value for value in sure], pairs(-0.15))])[0].direction == "worse"


def test_one_or_two_seeds_tell_nothing_of_others():
    for count in (1, 2):
        (found,) = adjusted_gains([seed_gain([0.5, 0.51][:count], pairs(0.5))])
        assert (found.p, found.over_seeds, found.direction) == (None, None, "no difference shown")
        assert f"{count} seed" in found.reason
        assert found.over_pairs is not None


def test_seeds_that_agree_to_the_episode_are_not_taken_for_certain():
    found = seed_gain([0.01, 0.01, 0.01], pairs(0.01), step=0.01)
    assert found.over_seeds.high - found.over_seeds.low == pytest.approx(
        2 * stats.t.isf(0.025, 2) * 0.01 / np.sqrt(12) / np.sqrt(3)
    )
    assert seed_gain([0.0, 0.0, 0.0], pairs(0.0)).p == 1.0


def test_an_interval_ends_at_what_is_possible():
    found = seed_gain([0.9, 0.95, 1.0], pairs(0.95), limits=(-1, 1))
    assert (found.over_seeds.low > 0.7, found.over_seeds.high) == (True, 1)
    assert seed_mean([0.0, 0.01, 0.05], limits=(0, 1)).interval.low == 0


def test_holms_adjustment_is_over_all_gains():
    gains = [
        seed_gain(values, pairs(np.mean(values))) for values in ([0.1, 0.2, 0.3], [0.1, 0.12, 0.14], [0, 0.1, -0.2])
    ]
    assert min(one.p_holm for one in adjusted_gains(gains)) == pytest.approx(3 * min(one.p for one in gains))


def test_the_mean_over_seeds_has_its_deviation_and_interval():
    found = seed_mean([0.5, 0.6, 0.7])
    assert (found.mean, found.deviation) == (pytest.approx(0.6), pytest.approx(0.1))
    low, high = stats.t.interval(0.95, 2, 0.6, 0.1 / np.sqrt(3))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert seed_mean([0.5, 0.6]).interval is None
    assert seed_mean([]).mean is None


@pytest.mark.slow
def test_the_interval_over_seeds_covers_the_recipes_gain():
    """Networks of a recipe differ; the same episodes. In 95 % of studies the mean over all seeds is inside."""
    rng, truth, covered = np.random.default_rng(0), 0.05, 0
    for _ in range(2000):
        found = seed_mean(truth + rng.normal(0, 0.06, 3) - rng.normal(0, 0.06, 3))
        covered += found.interval.low <= truth <= found.interval.high
    assert 0.935 <= covered / 2000 <= 0.965
