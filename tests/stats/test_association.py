"""Published tables, agreement with SciPy, and what families of conditions are evidence of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from simeval.stats.association import (
    STATISTICS,
    associate,
    kendall,
    mmrv,
    pearson,
    spearman,
)
from simeval.stats.clusters import clusters_needed, fisher_interval
from simeval.stats.reliability import reliability
from simeval.stats.resampling import Resampling

QUICK = Resampling(n_resamples=199, n_permutations=999)

# Real and simulated success of SIMPLER (Li et al. 2024): RT-2-X, RT-1 converged, 15 %, X, begin, Octo base; for WidowX
# RT-1-X, Octo base, Octo small. Source: tools/calc_metrics.py of simpler-env/SimplerEnv. Then its MMRV and Pearson's r.
SIMPLER = {
    "pick coke can": (
        [0.907, 0.853, 0.920, 0.760, 0.133, 0.293],
        [0.787, 0.857, 0.710, 0.567, 0.027, 0.170],
        *(0.03, 0.98),
    ),
    "move near": (
        [0.733, 0.633, 0.583, 0.450, 0.017, 0.350],
        [0.779, 0.442, 0.354, 0.317, 0.050, 0.042],
        *(0.11, 0.86),
    ),
    "open drawer": (
        [0.333, 0.815, 0.704, 0.519, 0.000, 0.148],
        [0.157, 0.601, 0.463, 0.296, 0.000, 0.009],
        *(0.00, 0.98),
    ),
    "close drawer": (
        [0.630, 0.926, 0.889, 0.741, 0.000, 0.519],
        [0.343, 0.861, 0.667, 0.891, 0.278, 0.444],
        *(0.12, 0.77),
    ),
    "place apple": (
        [0.074, 0.185, 0.185, 0.407, 0.000, 0.000],
        [0.037, 0.065, 0.130, 0.213, 0.000, 0.000],
        *(0.00, 0.97),
    ),
    "spoon on towel": ([0.000, 0.333, 0.417], [0.000, 0.125, 0.472], 0.00, 0.83),
    "carrot on plate": ([0.000, 0.250, 0.083], [0.042, 0.083, 0.097], 0.11, 0.57),
    "stack cube": ([0.000, 0.000, 0.125], [0.000, 0.000, 0.042], 0.00, 1.00),
    "eggplant in basket": ([0.000, 0.250, 0.400], [0.000, 0.431, 0.569], 0.00, 0.99),
}

points = arrays(float, 9, elements=st.integers(0, 20).map(float))


@pytest.mark.parametrize("task", SIMPLER)
def test_simplers_published_table(task):
    real, simulated, violation, r = SIMPLER[task]
    assert pearson(np.array(simulated), np.array(real)) == pytest.approx(r, abs=0.006)
    assert mmrv(simulated, real) == pytest.approx(violation, abs=0.005)


def test_mmrv_is_weighted_by_the_true_side():
    real, simulated, *_ = SIMPLER["move near"]
    assert mmrv(simulated, real) == pytest.approx(0.111, abs=5e-4)
    assert mmrv(real, simulated) == pytest.approx(0.003, abs=5e-4)


def test_mmrv_of_a_perfect_and_a_reversed_order():
    true = [0.0, 0.5, 1.0]
    assert mmrv([1, 2, 3], true) == 0.0
    assert mmrv([3, 2, 1], true) == pytest.approx((1 + 0.5 + 1) / 3)
    assert mmrv([1, 1, 1], true) == pytest.approx((0 + 0.5 + 1) / 3), "a tie violates in one direction only"
    with pytest.raises(ValueError, match="predictions"):
        mmrv([1, 2], [1])


@settings(deadline=None)
@given(points, points)
def test_correlations_are_scipys(x, y):
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert all(np.isnan(found(x, y)) for found in (spearman, kendall, pearson))
        return
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(points, points, st.permutations(range(9)), st.floats(0.01, 100))
def test_order_and_scale_of_drift_do_not_matter(x, y, order, factor):
    chosen = np.array(order)
    for stat, found in STATISTICS.items():
        value = pytest.approx(found(x, y), abs=1e-9, nan_ok=True)
        assert found(x[chosen], y[chosen]) == value
        assert found(factor * x, y) == value
        if stat != "pearson":
            assert found(np.exp(x), y) == value


@pytest.mark.parametrize(
    ("value", "k", "low", "high"),
    [(0.9, 6, 0.13, 0.99), (0.8, 8, 0.09, 0.97), (0.8, 24, 0.54, 0.92), (0.61, 27, 0.27, 0.82), (0.87, 27, 0.70, 0.95)],
)
def test_bonett_and_wrights_interval_golden(value, k, low, high):
    interval = fisher_interval(value, k)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-3)
    mirrored = fisher_interval(-value, k)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))


@pytest.mark.parametrize(("pairs", "ceiling"), [(50, 0.86), (100, 0.92), (500, 0.98)])
def test_noise_ceiling_golden(pairs, ceiling):
    """True drops that vary by 10 points, and a standard error of .42 over the root of the pairs."""
    noise = 0.42 / np.sqrt(pairs)
    drops = np.sqrt(0.1**2 + noise**2) * np.array([-1.0, 0.0, 1.0])
    assert reliability(drops, np.full(3, noise)).ceiling == pytest.approx(ceiling, abs=6e-3)


def test_no_ceiling_without_spread():
    assert reliability([0.1, 0.1, 0.1], [0.01] * 3).ceiling is None
    assert reliability([0.1, 0.2], [0.01] * 2).ceiling is None
    noisy = reliability([0.10, 0.11, 0.12], [0.05] * 3)
    assert (noisy.share, noisy.ceiling) == (0.0, 0.0)
    assert "noise" in noisy.reason


def test_p_is_exact_for_few_conditions():
    four = associate([1, 2, 3, 4], [1, 2, 3, 4], resampling=QUICK)
    assert (four.value, four.n_permutations) == (1.0, 24)
    assert four.p == pytest.approx(2 / 24)
    assert four.ci_conditions is None
    assert "at least 6" in four.reason


def test_a_perfect_order_is_not_certainty():
    for k in (6, 7, 8, 12):
        interval = associate(np.arange(k), np.arange(k), resampling=QUICK).ci_conditions
        assert interval is not None
        assert (interval.high, interval.low < 0.98) == (1.0, True)


@pytest.mark.parametrize("stat", STATISTICS)
@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([], [], "too few conditions: 0"),
        ([1, 2], [1, 2], "too few conditions: 2"),
        ([1, 1, 1, 1], [1, 2, 3, 4], "drift the same"),
        ([1, 2, 3, 4], [0, 0, 0, 0], "lose the same"),
    ],
)
def test_what_has_no_correlation_says_so(x, y, words, stat):
    found = associate(x, y, stat=stat, resampling=QUICK)
    assert (found.value, found.ci_conditions, found.p, found.loo_min) == (None, None, None, None)
    assert words in found.reason


def test_points_must_be_numbers():
    with pytest.raises(ValueError, match="not finite"):
        associate([1, np.nan, 2], [1, 2, 3], resampling=QUICK)
    with pytest.raises(ValueError, match="shape"):
        associate([1, 2], [1, 2, 3], resampling=QUICK)


def test_one_extreme_condition_is_found():
    x, y = np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.3, 9.0]), np.array([0.3, 0.1, 0.2, 0.3, 0.2, 0.1, 5.0])
    found = associate(x, y, stat="pearson", resampling=QUICK)
    assert found.loo_point == 6
    assert found.value is not None
    assert found.loo_min is not None
    assert found.value > 0.9 > 0.5 > found.loo_min


@pytest.mark.parametrize("stat", ["spearman", "kendall", "pearson"])
def test_copies_of_a_condition_are_not_new_evidence(stat):
    """Neither for the interval nor for p."""
    rng = np.random.default_rng(3)
    x, y = rng.random(8), rng.random(8)
    copied = np.repeat(np.arange(8), 5)
    alone = associate(x, y, stat=stat, resampling=QUICK)
    together = associate(x[copied], y[copied], stat=stat, clusters=copied, resampling=QUICK)
    naive = associate(x[copied], y[copied], stat=stat, resampling=QUICK)
    assert together.value == pytest.approx(alone.value)
    assert together.p == pytest.approx(alone.p)
    assert (together.ci_conditions.low, together.ci_conditions.high) == pytest.approx(
        (alone.ci_conditions.low, alone.ci_conditions.high)
    )
    assert naive.p < 0.5 * together.p
    assert together.n_permutations == alone.n_permutations


def rising(rng, families: int, strengths: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unrelated families in which drift and drop both grow with strength."""
    labels = np.repeat(np.arange(families), strengths)
    step = np.tile(np.arange(strengths), families)
    x, y = (rng.normal(size=families)[labels] + step + 0.1 * rng.normal(size=labels.size) for _ in range(2))
    return x, y, labels


@pytest.mark.parametrize("stat", ["spearman", "kendall", "pearson"])
def test_strength_alone_is_not_significant(stat):
    """Nine unrelated axes of three strengths; strengths taken for independent give p < .001 in nearly every draw."""
    rng = np.random.default_rng(12)
    p = [
        associate(x, y, stat=stat, clusters=f, resampling=QUICK).p for x, y, f in (rising(rng, 9, 3) for _ in range(30))
    ]
    assert np.mean(np.array(p) < 0.05) < 0.2
    assert np.median(p) > 0.2


def test_the_p_of_families_does_not_depend_on_the_order_of_the_columns():
    x, y, labels = rising(np.random.default_rng(13), 6, 3)
    order = np.random.default_rng(14).permutation(18)
    for stat in ("spearman", "kendall", "pearson"):
        one = associate(x, y, stat=stat, clusters=labels, resampling=QUICK)
        other = associate(x[order], y[order], stat=stat, clusters=labels[order], resampling=QUICK)
        assert other.p == pytest.approx(one.p)


def test_families_of_unequal_size_are_permuted_as_their_means():
    rng = np.random.default_rng(15)
    labels = np.repeat(np.arange(6), [3, 1, 4, 3, 2, 3])
    x, y = rng.random(16), rng.random(16)
    means = [np.array([values[labels == f].mean() for f in range(6)]) for values in (x, y)]
    for stat in ("spearman", "kendall", "pearson"):
        found = associate(x, y, stat=stat, clusters=labels, resampling=QUICK)
        assert (found.p, found.n_permutations) == (associate(*means, stat=stat, resampling=QUICK).p, 720)


def test_two_families_have_no_p_and_three_have_no_interval():
    x, y, labels = rising(np.random.default_rng(16), 2, 5)
    assert (associate(x, y, clusters=labels, resampling=QUICK).p) is None
    x, y, labels = rising(np.random.default_rng(16), 3, 4)
    found = associate(x, y, clusters=labels, resampling=QUICK)
    assert (found.ci_conditions, found.n_permutations) == (None, 6)
    assert "too few families for an interval: 3, at least 4" in found.reason


def test_four_families_have_an_interval_that_says_something():
    x, y, labels = rising(np.random.default_rng(17), 4, 3)
    interval = associate(x + y, y, clusters=labels, resampling=QUICK).ci_conditions
    assert interval.high - interval.low < 1.2, "Fisher's z of four points is 1.8 wide and more"


def test_a_family_that_makes_the_correlation_alone_is_said():
    x, y = np.array([1.0, 1, 1, 1, 1, 2]), np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    found = associate(x, y, resampling=QUICK)
    assert found.ci_conditions is None
    assert "without one family" in found.reason


def test_mmrv_has_no_interval():
    rng = np.random.default_rng(18)
    found = associate(rng.random(12), rng.random(12), stat="mmrv", resampling=QUICK)
    assert (found.ci_conditions, found.p, found.reason) == (None, None, "")
    assert found.value > 0


def test_same_seed_same_numbers():
    rng = np.random.default_rng(4)
    x, y = rng.random(12), rng.random(12)
    assert associate(x, y, resampling=QUICK) == associate(x, y, resampling=QUICK)


def test_clusters_needed():
    """An interval from .4 to .9 around .75 excludes .5 with about half its width on Fisher's scale."""
    assert clusters_needed(0.75, 0.5, 0.4, 9) == 14
    assert clusters_needed(0.75, 0.5, 0.501, 9) == 9, "enough already"
    assert clusters_needed(0.5, 0.5, 0.2, 9) is None
    assert clusters_needed(0.501, 0.5, 0.2, 9) is None


def test_permuted_drift_gives_uniform_p():
    assert stats.kstest(null_p(60, 199), "uniform").pvalue > 0.01


@pytest.mark.slow
def test_permuted_drift_gives_uniform_p_long():
    p = null_p(1500, 999)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)


def null_p(runs: int, n_permutations: int) -> list[float]:
    """P-values of unrelated points; a seed for each, as the orders tried are else the same."""
    rng = np.random.default_rng(5)
    few = [Resampling(seed, n_resamples=1, n_permutations=n_permutations) for seed in range(runs)]
    return [associate(rng.random(12), rng.random(12), resampling=one).p for one in few]
