"""Blur and fog against their definitions and against ImageNet-C's."""

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbations.base import find_axis
from perturbations.fog import DECAY, haze
from perturbations.image import steady
from perturbations.optics import convolved, disk, fast_length, line
from perturbations.spec import parse

CONSTANTS = {
    "blur.gaussian": (1, 2, 3, 4, 6),
    "blur.defocus": (3, 4, 6, 8, 10),
    "blur.zoom": (1.11, 1.16, 1.21, 1.26, 1.31),
}


def see(text, picture, rng, step=0, camera="agentview"):
    return parse(text).start(rng).images({camera: picture}, step)[camera]


def moments(kernel):
    """Mean and covariance (px) of where a kernel puts its light."""
    y, x = np.indices(kernel.shape) - len(kernel) // 2
    places = np.stack([x.ravel(), y.ravel()])
    return (kernel.ravel() * places).sum(1), np.cov(places, aweights=kernel.ravel(), ddof=0)


@pytest.mark.parametrize(("axis", "values"), CONSTANTS.items())
def test_presets_are_those_of_imagenet_c(axis, values):
    assert find_axis(axis).presets == values


def test_fog_presets_are_those_of_imagenet_c_except_the_repeated_one():
    assert [v for s, v in enumerate(find_axis("fog").presets, 1) if s != 4] == [1.5, 2, 2.5, 3]


@given(length=st.floats(0.01, 80), angle=st.floats(0, math.pi))
def test_a_motion_spreads_light_along_its_path_and_moves_nothing(length, angle):
    kernel = line(length, angle)
    mean, spread = moments(kernel)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert mean == pytest.approx([0, 0], abs=1e-9)
    direction = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-direction[1], direction[0]])
    # Sharing a point among four pixels adds up to a quarter of a px squared in each direction.
    assert length**2 / 12 - 1e-3 <= direction @ spread @ direction <= length**2 / 12 + 0.26
    assert across @ spread @ across <= 0.26


@given(radius=st.floats(0.01, 25))
def test_a_disk_has_the_radius_it_names(radius):
    kernel = disk(radius)
    mean, spread = moments(kernel)
    assert kernel.sum() == pytest.approx(1)
    assert mean == pytest.approx([0, 0], abs=1e-9)
    if radius >= 3:
        assert 2 * math.sqrt(spread[0, 0]) == pytest.approx(radius, rel=0.03)
        assert spread[0, 1] == pytest.approx(0, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(size=st.tuples(st.integers(4, 40), st.integers(4, 40)), reach=st.integers(0, 30), seed=st.integers(0, 99))
def test_convolution_is_exact_to_a_thousandth_of_a_level(size, reach, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(-100, 400, (*size, 3)).astype(np.float32)
    kernel = rng.random((2 * reach + 1,) * 2)
    kernel += kernel[::-1, ::-1]
    kernel /= kernel.sum()
    expected = np.stack([scipy.ndimage.convolve(c.astype(float), kernel, mode="nearest") for c in cv2.split(pixels)], 2)
    np.testing.assert_allclose(convolved(pixels, kernel), expected, atol=0.001)


@given(least=st.integers(1, 4000))
def test_fast_lengths_have_small_factors(least):
    found = fast_length(least)
    assert least <= found <= 2 * least
    assert 2**20 * 3**20 * 5**20 % found == 0


def test_averages_half_way_between_levels_do_not_depend_on_their_last_bit():
    half = np.array([0.5, 1.5, 127.5])
    for error in (-1e-11, 0, 1e-11):
        np.testing.assert_array_equal(steady(half + error), half)


def test_defocus_agrees_with_imagenet_c(picture, streams):
    """Its disk is a pixel-exact circle under a small Gaussian."""
    large = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA)
    for radius, alias in ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)):
        reach = max(8, radius)
        x = np.arange(-reach, reach + 1)
        circle = (x[:, None] ** 2 + x**2 <= radius**2).astype(np.float32)
        size = (3, 3) if radius <= 8 else (5, 5)
        kernel = cv2.GaussianBlur(circle / circle.sum(), size, sigmaX=alias)
        reference = cv2.filter2D(large.astype(np.float32), -1, kernel)
        ours = see(f"blur.defocus:{radius}", large, streams())
        inner = np.s_[12:-12, 12:-12]  # it mirrors the picture at its border
        assert np.abs(reference[inner] - ours[inner]).mean() < 1.5


def test_zoom_blur_agrees_with_imagenet_c(picture, streams):
    """The mean of central crops, enlarged; it counts the picture itself twice."""
    large = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA)
    for largest, step in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)):
        zooms = np.arange(1, largest, step)
        total = large.astype(float)
        for zoom in zooms:
            side = math.ceil(224 / zoom)
            start = (224 - side) // 2
            crop = large[start : start + side, start : start + side].astype(float)
            enlarged = scipy.ndimage.zoom(crop, (zoom, zoom, 1), order=1)
            trim = (len(enlarged) - 224) // 2
            total += enlarged[trim : trim + 224, trim : trim + 224]
        reference = total / (len(zooms) + 1)
        ours = see(f"blur.zoom:{largest}", large, streams()).astype(float)
        away = np.abs(ours - large).mean()
        assert np.abs(ours - reference).mean() < 0.35 * away
        assert away == pytest.approx(np.abs(reference - large).mean(), rel=0.25)


def test_zoom_blur_smears_outwards_and_keeps_the_middle(streams):
    dot = np.zeros((224, 224, 3), np.uint8)
    dot[110:114, 110:114] = dot[110:114, 160:164] = 255
    seen = see("blur.zoom:1.31", dot, streams()).astype(int)[..., 0]
    assert seen[111:113, 111:113].min() > 240
    streak = np.flatnonzero(seen[111:113, 130:].any(axis=0)) + 130
    # The dot is 48 to 52 px from the middle, and ends up 1.31 times as far.
    assert (streak[0], streak[-1]) == (pytest.approx(160, abs=1), pytest.approx(112 + 1.31 * 52, abs=2))
    rows = np.flatnonzero(seen[:, 150:].any(axis=1))
    assert len(rows) <= 4 * 1.31 + 3


def test_blurs_keep_a_plain_picture_and_its_brightness(picture, streams):
    plain = np.full((48, 64, 3), (12, 130, 251), np.uint8)
    for text in ("blur.gaussian:6", "blur.defocus:10", "blur.motion:35", "blur.zoom:1.31"):
        np.testing.assert_array_equal(see(text, plain, streams()), plain)
    for text in ("blur.gaussian:3", "blur.defocus:6", "blur.motion:10"):
        assert see(text, picture, streams()).mean() == pytest.approx(picture.mean(), rel=0.03)


@pytest.mark.parametrize("text", ["blur.defocus:8", "blur.motion:20", "blur.zoom:1.3"])
def test_blurs_look_alike_at_two_sizes(text, picture, streams):
    large = cv2.resize(picture, None, fx=4, fy=4, interpolation=cv2.INTER_AREA)
    small = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_AREA)
    shrunk = cv2.resize(see(text, large, streams()), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - see(text, small, streams())).mean() < 1.2


def smeared(rng, step=0, text="blur.motion:30"):
    """Direction (rad) in which a dot is smeared."""
    dot = np.zeros((224, 224, 3), np.uint8)
    dot[112, 112] = 255
    y, x = np.indices((224, 224)) - 112
    weights = see(text, dot, rng, step=step)[..., 0].ravel()
    _, spread = np.linalg.eigh(np.cov(np.stack([x.ravel(), y.ravel()]), aweights=weights))
    return math.atan2(spread[1, 1], spread[0, 1]) % math.pi


def test_the_direction_of_motion_holds_for_an_episode_and_is_shared_by_strengths(streams):
    first = smeared(streams())
    assert smeared(streams(), step=40) == first
    assert smeared(streams(), text="blur.motion:15") == pytest.approx(first, abs=0.05)
    assert smeared(streams(), step=40, text="blur.motion:30/mode=flicker") != pytest.approx(first, abs=0.02)


def test_every_direction_of_motion_occurs(streams):
    angles = [smeared(streams(seed)) for seed in range(60)]
    counts, _ = np.histogram(angles, bins=4, range=(0, math.pi))
    assert counts.min() >= 5


def plasma(size, decay, rng):
    """The generator behind ImageNet-C's fog, written down loop by loop."""
    field, amplitude, step = np.zeros((size, size)), 1.0, size
    while step > 1:
        half = step // 2
        for y in range(0, size, step):
            for x in range(0, size, step):
                right, down = (x + step) % size, (y + step) % size
                corners = field[y, x] + field[y, right] + field[down, x] + field[down, right]
                field[y + half, x + half] = corners / 4 + amplitude * rng.uniform(-1, 1)
        for y in range(0, size, step):
            for x in range(0, size, step):
                right, down, middle = (x + step) % size, (y + step) % size, field[y + half, x + half]
                beside = middle + field[y + half, (x - half) % size] + field[y, x] + field[down, x]
                above = middle + field[(y - half) % size, x + half] + field[y, x] + field[y, right]
                field[y + half, x] = beside / 4 + amplitude * rng.uniform(-1, 1)
                field[y, x + half] = above / 4 + amplitude * rng.uniform(-1, 1)
        step, amplitude = half, amplitude / decay**2
    field -= field.min()
    return field / field.max()


def roughness(field):
    """Root mean square difference at 1, 4 and 16 px, relative to the field's spread."""
    return [np.sqrt(np.mean((field - np.roll(field, k, 1)) ** 2)) / field.std() for k in (1, 4, 16)]


def test_haze_is_the_plasma_of_imagenet_c():
    ours = [haze(np.random.default_rng(seed)) for seed in range(30)]
    reference = [plasma(256, DECAY, np.random.default_rng(1000 + seed)) for seed in range(4)]
    for field in ours:
        assert (field.shape, field.min(), field.max()) == ((256, 256), 0, 1)
    np.testing.assert_allclose(
        np.mean([roughness(f) for f in ours], axis=0), np.mean([roughness(f) for f in reference], axis=0), rtol=0.25
    )


def test_fog_is_the_formula_of_imagenet_c_and_thickens_in_place(picture, streams):
    """With a white pixel in the picture the scale is the published one."""
    large = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_NEAREST)
    large[0, 0] = 255
    field = haze(streams()("fog", "agentview", 0))[..., None]
    for strength in (0.5, 1.5, 2.5, 5.0):
        expected = np.clip((large / 255 + strength * field) * 1 / (1 + strength), 0, 1) * 255
        np.testing.assert_allclose(see(f"fog:{strength}", large, streams()), expected, atol=0.51)
    distances = [np.abs(see(f"fog:{v}", large, streams()).astype(float) - large) for v in (0.5, 1.5, 2.5, 5.0)]
    assert all((thick >= thin - 1).all() for thin, thick in pairwise(distances))


def test_fog_is_the_same_at_every_render_size_and_over_time(streams):
    black = np.zeros((128, 128, 3), np.uint8)
    small, large = see("fog:2", black, streams()), see("fog:2", np.zeros((512, 512, 3), np.uint8), streams())
    shrunk = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 1.5
    np.testing.assert_array_equal(see("fog:2", black, streams(), step=30), small)
    assert np.abs(see("fog:2/mode=flicker", black, streams(), step=30).astype(int) - small).mean() > 5
    assert np.abs(see("fog:2", black, streams(), camera="wrist").astype(int) - small).mean() > 5
    assert see("fog:2", np.zeros((60, 90, 3), np.uint8), streams()).shape == (60, 90, 3)
