"""Noise against the distributions that it names."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbations.base import find_axis
from perturbations.sensor import photon_counts
from perturbations.spec import parse

CONSTANTS = {
    "noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "noise.shot": (60, 25, 12, 5, 3),
    "noise.impulse": (0.03, 0.06, 0.09, 0.17, 0.27),
    "noise.speckle": (0.15, 0.2, 0.35, 0.45, 0.6),
}
GREY = np.full((256, 256, 3), 128, np.uint8)


def see(text, picture, rng, step=0, camera="agentview"):
    return parse(text).start(rng).images({camera: picture}, step)[camera].astype(float)


@pytest.mark.parametrize(("axis", "values"), CONSTANTS.items())
def test_presets_are_those_of_imagenet_c(axis, values):
    assert find_axis(axis).presets == values


@pytest.mark.parametrize("photons", [60, 25, 12])
@pytest.mark.parametrize("level", [20, 60, 120])
def test_shot_noise_has_poissons_mean_and_variance(photons, level, streams):
    seen = see(f"noise.shot:{photons}", np.full((256, 256, 3), level, np.uint8), streams())
    mean = photons * level / 255
    clipped = np.minimum(np.rint(np.arange(1000) * 255 / photons), 255)
    law = scipy.stats.poisson.pmf(np.arange(1000), mean)
    expected = (law * clipped).sum()
    assert seen.mean() == pytest.approx(expected, rel=0.01)
    assert seen.var() == pytest.approx((law * (clipped - expected) ** 2).sum(), rel=0.03)
    if level + 5 * 255 * np.sqrt(mean) / photons < 255:
        assert seen.var() == pytest.approx(255 * level / photons, rel=0.03)


@settings(max_examples=60, deadline=None)
@given(
    photons=st.sampled_from([1.0, 2.5, 3.0, 12.0, 60.0, 700.0, 9999.0]),
    level=st.integers(0, 1000),
    draw=st.integers(0, 2**32 - 1),
)
def test_photon_counts_are_the_inverse_of_poissons_distribution(photons, level, draw):
    count = photon_counts(np.array([level]), np.array([draw], np.uint32), photons)[0]
    law = scipy.stats.poisson(photons * level / 255)
    # Measured over all levels: 1.4e-10 up to 700 photons, 2.4e-9 at 9999, where logarithms of factorials round.
    u, slack = draw / 2**32, 3e-9 if photons > 700 else 4e-10
    assert law.cdf(count) >= u - slack
    assert law.cdf(count - 1) <= u + slack


def test_photon_counts_follow_poissons_law_in_every_bucket():
    """Goodness of fit, at few and at many photons."""
    rng = np.random.default_rng(5)
    for photons in (3.0, 60.0):
        draws = rng.integers(0, 2**32, 200_000, dtype=np.uint32)
        counts = photon_counts(np.full(draws.size, 200), draws, photons)
        law = scipy.stats.poisson(photons * 200 / 255)
        low, high = int(law.ppf(0.001)), int(law.ppf(0.999))
        seen = np.bincount(np.clip(counts.astype(int), low, high) - low, minlength=high - low + 1)
        odds = law.pmf(np.arange(low, high + 1))
        odds[0], odds[-1] = law.cdf(low), law.sf(high - 1)
        assert scipy.stats.chisquare(seen, odds * draws.size).pvalue > 0.001


def test_a_black_picture_sends_no_photons_and_an_overexposed_one_more_than_white(streams):
    black = np.zeros((64, 64, 3), np.uint8)
    assert see("noise.shot:3", black, streams()).max() == 0
    bright = np.full((64, 64, 3), 250, np.uint8)
    assert (see("brightness:4+noise.shot:12", bright, streams()) == 255).mean() > 0.99
    assert (see("noise.shot:12", bright, streams()) == 255).mean() < 0.7


@pytest.mark.parametrize("fraction", [0.03, 0.27, 0.9])
def test_impulse_noise_replaces_the_fraction_it_names(fraction, streams):
    seen = see(f"noise.impulse:{fraction}", GREY, streams())
    assert set(np.unique(seen)) == {0, 128, 255}
    error = 4 * np.sqrt(fraction / 2 / seen.size)
    assert (seen == 0).mean() == pytest.approx(fraction / 2, abs=error)
    assert (seen == 255).mean() == pytest.approx(fraction / 2, abs=error)
    hit = seen != 128
    assert np.corrcoef(hit[..., 0].ravel(), hit[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_impulses_of_a_strength_are_among_those_of_a_larger_one(streams):
    hits = [see(f"noise.impulse:{f}", GREY, streams()) != 128 for f in (0.01, 0.03, 0.3, 1)]
    assert all((few <= many).all() for few, many in pairwise(hits))
    assert hits[-1].all()


@pytest.mark.parametrize("sigma", [0.05, 0.15, 0.2])
def test_speckle_grows_with_brightness(sigma, streams):
    for level in (10, 50, 128):
        seen = see(f"noise.speckle:{sigma}", np.full((256, 256, 3), level, np.uint8), streams())
        assert seen.mean() == pytest.approx(level, abs=0.2)
        # Rounding to whole levels adds its own twelfth.
        assert seen.var() == pytest.approx((sigma * level) ** 2 + 1 / 12, rel=0.04)


@pytest.mark.parametrize("axis", ["noise.shot", "noise.impulse", "noise.speckle"])
def test_strengths_share_their_draws_and_nothing_else_does(axis, streams):
    def noise(value, **where):
        return (see(f"{axis}:{value}", GREY, streams(where.pop("seed", 0)), **where) - 128).ravel()

    def alike(one, other):
        return np.corrcoef(one, other)[0, 1]

    weak, strong = find_axis(axis).presets[:2]
    first = noise(weak)
    assert alike(first, noise(strong)) > 0.65
    for other in (noise(weak, step=1), noise(weak, camera="wrist"), noise(weak, seed=1)):
        assert abs(alike(first, other)) < 0.01
    np.testing.assert_array_equal(noise(f"{weak}/mode=static", step=8), first)


def test_the_kinds_of_noise_do_not_share_draws(streams):
    seen = [see(f"{axis}:{value}", GREY, streams()) for axis, value in (("noise", 0.1), ("noise.speckle", 0.2))]
    assert abs(np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1]) < 0.01
