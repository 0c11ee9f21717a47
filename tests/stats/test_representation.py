"""Distances of inner representations against definitions written out, hand-computed values and known invariances."""

from math import isnan, sqrt

import numpy as np
import pytest

from simeval.stats.representation import CkaAccumulator, cosine_distance, linear_cka, total_variation


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def centred_gram(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(0)
    return x @ x.T


def kernel_cka(x: np.ndarray, y: np.ndarray) -> float:
    """The definition by kernels: tr(KL) / sqrt(tr(KK) tr(LL))."""
    k, m = centred_gram(x), centred_gram(y)
    return np.sum(k * m) / sqrt(np.sum(k * k) * np.sum(m * m))


def u_centred(x: np.ndarray) -> np.ndarray:
    """Szekely and Rizzo's U-centred kernel, whose inner product is the unbiased estimator of HSIC."""
    k, n = x @ x.T, len(x)
    np.fill_diagonal(k, 0.0)
    rows = k.sum(0) / (n - 2)
    k = k - rows[:, None] - rows[None, :] + k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0.0)
    return k


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    k, m = u_centred(x), u_centred(y)
    return np.sum(k * m) / sqrt(np.sum(k * k) * np.sum(m * m))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 0], [0, 1], 1.0),
        ([1, 0], [-2, 0], 2.0),
        ([1, 0], [5, 5], 1 - sqrt(0.5)),
        ([3, 4], [4, 3], 1 - 24 / 25),
        ([0, 0], [1, 0], 1.0),
        ([0, 0], [0, 0], 0.0),
    ],
)
def test_cosine_distance_by_hand(x, y, expected):
    assert cosine_distance(x, y) == pytest.approx(expected, abs=1e-15)
    assert cosine_distance(y, x) == cosine_distance(x, y)


def test_identical_vectors_are_exactly_0_apart(rng):
    for x in rng.normal(size=(200, 37)).astype(np.float32):
        assert cosine_distance(x, x.copy()) == 0.0
        assert total_variation(np.abs(x), np.abs(x)) == 0.0
    assert cosine_distance(x, np.nextafter(x, np.float32(9))) > 0


def test_small_angles_keep_their_digits():
    assert cosine_distance([1.0, 0.0], [1.0, 1e-9]) == pytest.approx(0.5e-18, rel=1e-6)


def test_total_variation_by_hand():
    assert total_variation([[1, 1], [1, 1]], [[4, 0], [0, 0]]) == pytest.approx(0.75)
    assert total_variation([1, 0], [0, 7]) == 1.0
    assert total_variation([2, 2, 4], [3, 3, 2]) == pytest.approx(0.25)


@pytest.mark.parametrize(("p", "q"), [([0, 0], [1, 0]), ([1, -1, 3], [1, 1, 1]), ([1, 2], [1, 2, 3]), ([np.nan], [1])])
def test_what_is_no_distribution_is_refused(p, q):
    with pytest.raises(ValueError, match="distribution"):
        total_variation(p, q)


def test_cka_by_hand():
    x = np.array([[-1.0], [0.0], [1.0]])
    y = np.array([[1.0], [-2.0], [1.0]])
    z = np.array([[-1.0], [1.0], [0.0]])
    assert linear_cka(x, -3 * x + 5, debiased=False) == pytest.approx(1.0)
    assert linear_cka(x, y, debiased=False) == pytest.approx(0.0, abs=1e-15)
    assert linear_cka(x, z, debiased=False) == pytest.approx(0.25)  # of one feature it is the squared correlation


@pytest.mark.parametrize(("n", "d", "e"), [(5, 3, 3), (40, 6, 11), (12, 50, 50)])
def test_cka_is_what_the_definition_by_kernels_says(rng, n, d, e):
    x = 100 + rng.normal(size=(n, d))
    y = np.pad(x, ((0, 0), (0, max(0, e - d))))[:, :e] + 0.7 * rng.normal(size=(n, e))
    assert linear_cka(x, y, debiased=False) == pytest.approx(kernel_cka(x, y), rel=1e-9)
    assert linear_cka(x, y, debiased=True) == pytest.approx(debiased_cka(x, y), rel=1e-8)
    assert linear_cka(x, y, debiased=True) == pytest.approx(linear_cka(y, x, debiased=True), rel=1e-9)


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_ignores_rotation_scale_and_shift_but_not_a_stretch(rng, debiased):
    x = rng.normal(size=(30, 8))
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    assert linear_cka(x, 3 * x @ turn + 1, debiased=debiased) == pytest.approx(1.0)
    assert linear_cka(x, x * np.logspace(0, 2, 8), debiased=debiased) < 0.9


def test_few_frames_of_many_unrelated_features_only_fool_the_plain_form(rng):
    pairs = [rng.normal(size=(2, 20, 200)) for _ in range(50)]
    assert np.mean([linear_cka(x, y, debiased=False) for x, y in pairs]) > 0.8
    assert abs(np.mean([linear_cka(x, y, debiased=True) for x, y in pairs])) < 0.02


@pytest.mark.parametrize("debiased", [False, True])
def test_portions_add_up(rng, debiased):
    x = 20 + rng.normal(size=(60, 9))
    y = x + rng.normal(size=x.shape)
    sums = CkaAccumulator()
    for part in np.split(np.arange(60), [1, 2, 30, 30]):
        sums.add(x[part], y[part])
    assert sums.n == 60
    assert sums.cka(debiased=debiased) == pytest.approx(linear_cka(x, y, debiased=debiased), rel=1e-9)


@pytest.mark.parametrize("debiased", [False, True])
def test_identical_sets_are_exactly_alike(rng, debiased):
    for _ in range(20):
        sums = CkaAccumulator()
        for size in (3, 40, 17):
            x = rng.normal(size=(size, 65)).astype(np.float32)
            sums.add(x, x.copy())
        assert sums.cka(debiased=debiased) == 1.0
    sums.add(x, x + np.float32(0.5))
    assert sums.cka(debiased=debiased) < 1.0


@pytest.mark.parametrize("debiased", [False, True])
def test_what_cannot_be_known_is_nan(rng, debiased):
    x, same = rng.normal(size=(10, 4)), np.tile(rng.normal(size=4), (10, 1))
    assert isnan(CkaAccumulator().cka(debiased=debiased))
    assert isnan(linear_cka(x, same, debiased=debiased))
    assert isnan(linear_cka(same, same, debiased=debiased))
    enough = 4 if debiased else 2
    assert isnan(linear_cka(x[: enough - 1], x[: enough - 1], debiased=debiased))
    assert not isnan(linear_cka(x[:enough], x[:enough], debiased=debiased))
    for n in range(4, 60):
        same = np.tile(rng.normal(size=64), (n, 1))
        assert isnan(linear_cka(same, same, debiased=debiased))


def test_frames_that_are_equally_far_apart_have_no_geometry_once_the_bias_is_gone(rng):
    for _ in range(20):
        turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
        x = 3 * np.eye(6) @ turn + 1
        assert isnan(linear_cka(x, x + 0.1 * rng.normal(size=x.shape), debiased=True))
        assert linear_cka(x, 2 * x, debiased=False) == pytest.approx(1)


def test_features_that_do_not_fit_are_refused():
    sums = CkaAccumulator()
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(4, 2\)"):
        sums.add(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="expected"):
        sums.add(np.zeros(3), np.zeros(3))
    sums.add(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="before"):
        sums.add(np.zeros((3, 2)), np.zeros((3, 5)))
