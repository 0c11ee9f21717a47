"""t-SNE with the numbers that say whether to believe it."""

import numpy as np
import pytest

from simeval.stats.embedding import MIN_POINTS, embed


def clusters(apart: float, n: int = 48):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 4
    return rng.normal(size=(n, 20)) + apart * rng.normal(size=(4, 20))[labels], labels


def test_planted_clusters_are_apart_and_noise_is_not():
    found, nothing = embed(*clusters(5), seed=0), embed(*clusters(0), seed=0)
    assert found.silhouette > 0.5
    assert found.silhouette_plane > 0.5
    assert found.trustworthiness > 0.9
    assert abs(nothing.silhouette) < 0.1
    assert len(found.points) == 48


def test_the_same_features_give_the_same_points():
    assert embed(*clusters(1), seed=3) == embed(*clusters(1), seed=3)


@pytest.mark.parametrize(
    ("features", "why"), [(np.ones((MIN_POINTS - 1, 3)), "needs at least"), (np.ones((30, 3)), "the same features")]
)
def test_what_cannot_be_shown_says_why(features, why):
    found = embed(features, np.arange(len(features)), 0)
    assert why in found.reason
    assert found.points == ()


def test_one_label_has_no_silhouette():
    features, labels = clusters(1)
    assert embed(features, 0 * labels, 0).silhouette is None
