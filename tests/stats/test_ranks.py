"""Ranks of several policies: sets where they cannot be told apart, which hold the true ranks."""

import gc

import numpy as np
import pytest

from simeval.stats.ranks import rank
from simeval.stats.resampling import Resampling

QUICK = Resampling(n_permutations=399)


def outcomes(seed: int, rates: list[float], n: int = 200) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    luck = rng.random(n)
    return [(0.5 * luck + 0.5 * rng.random(n) < rate).astype(float) for rate in rates]


def test_policies_far_apart_have_a_rank_each():
    found = rank(outcomes(0, [0.3, 0.9, 0.6]), units=np.arange(200), resampling=QUICK)
    assert found.ranks == ((3, 3), (1, 1), (2, 2))
    assert [(pair.first, pair.second, pair.better) for pair in found.differences] == [(0, 1, 1), (0, 2, 2), (1, 2, 1)]


def test_policies_that_cannot_be_told_apart_share_their_ranks():
    same = outcomes(1, [0.5])[0]
    found = rank([same, same, outcomes(2, [0.95])[0]], units=np.arange(200), resampling=QUICK)
    assert found.ranks == ((2, 3), (2, 3), (1, 1))


def test_the_differences_are_adjusted_for_all_pairs():
    found = rank(outcomes(3, [0.5, 0.56, 0.6, 0.63]), units=np.arange(200), resampling=QUICK)
    plain, adjusted = ([getattr(pair.gain, name) for pair in found.differences] for name in ("p", "p_holm"))
    assert min(adjusted) == pytest.approx(min(1, 6 * min(plain)))


def test_means_over_conditions_are_ranked_too_and_keep_their_sign():
    good, bad = (np.mean(outcomes(seed, [rate, rate - 0.2]), axis=0) for seed, rate in ((4, 0.9), (5, 0.5)))
    (pair,) = rank([bad, good], units=np.arange(200), resampling=QUICK).differences
    assert pair.better == 1
    assert pair.gain.gain == pytest.approx(good.mean() - bad.mean())
    assert (pair.gain.a, pair.gain.b) == (pytest.approx(bad.mean()), pytest.approx(good.mean()))


@pytest.fixture
def without_collections(monkeypatch):
    """Holm's adjustment in statsmodels collects garbage, 60 ms each time: all of the time of these studies."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.mark.slow
@pytest.mark.usefixtures("without_collections")
@pytest.mark.parametrize("rates", [[0.6] * 4, [0.5, 0.5, 0.6, 0.6], [0.4, 0.5, 0.6, 0.7]])
def test_the_sets_hold_the_true_ranks(rates):
    """In at least 95 % of studies all of them at once; ties may have any of their ranks."""
    right = 0
    for seed in range(400):
        found = rank(outcomes(seed, rates), units=np.arange(200), resampling=QUICK)
        right += all(
            low <= 1 + sum(other > rate for other in rates) and high >= sum(other >= rate for other in rates)
            for rate, (low, high) in zip(rates, found.ranks, strict=True)
        )
    assert right / 400 >= 0.95 - 2 * (0.05 * 0.95 / 400) ** 0.5
