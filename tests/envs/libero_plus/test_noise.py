"""The fifty noises, held against slow code that does what LIBERO-plus's does."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from envs.libero_plus import noise


def photo(size=256):
    rng = np.random.default_rng(3)
    blobs = cv2.GaussianBlur(rng.normal(0, 1, (size, size, 3)), (0, 0), size / 32)
    return np.clip(128 + 60 * blobs / blobs.std(), 0, 255).astype(np.uint8)


def noisy(number, image=None, seed=0):
    return noise.corrupt(photo() if image is None else image, number, np.random.default_rng(seed))


@pytest.mark.parametrize("number", range(1, 51))
def test_every_noise_changes_the_image_and_only_that(number):
    image = photo(128)
    changed = noisy(number, image)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (image == photo(128)).all()
    assert np.abs(changed.astype(float) - image).mean() > 0.2
    assert (noisy(number, image) == changed).all()


@pytest.mark.parametrize("kind", range(5))
def test_strengths_of_a_kind_are_ordered_at_their_ends(kind):
    weak, strong = (np.abs(noisy(10 * kind + n).astype(float) - photo()).mean() for n in (1, 10))
    assert strong > 1.2 * weak


@pytest.mark.parametrize("number", [7, 33, 48])
def test_random_kinds_differ_by_seed(number):
    assert (noisy(number, seed=1) != noisy(number, seed=2)).any()


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.1, 1.23, 1.5, 1.55])
def test_magnification_is_scipys(factor):
    image = photo().astype(float)
    crop = int(np.ceil(256 / factor))
    first = (256 - crop) // 2
    enlarged = ndimage.zoom(image[first : first + crop, first : first + crop], (factor, factor, 1), order=1)
    trim = (len(enlarged) - 256) // 2
    expected = enlarged[trim : trim + 256, trim : trim + 256]
    assert np.abs(noise._magnified(image, factor) - expected).max() < 1e-9


def test_strengths_of_the_gaussian_blur_are_pixels_at_256():
    wide = ndimage.gaussian_filter(photo()[::-1, ::-1].astype(float), (4, 4, 0), mode="nearest", truncate=4)
    assert (noisy(14) == wide.astype(np.uint8)[::-1, ::-1]).all()


def test_motion_blur_is_half_a_gaussian_along_a_line():
    dot = np.zeros((64, 64, 3))
    dot[32, 32] = 1
    blurred = noise.motion_blur(dot, 5, 2.0, 0.0)
    weights = np.exp(-(np.arange(11) ** 2) / 8)
    assert blurred[32, 22:33, 0][::-1] == pytest.approx(weights / weights.sum())
    assert blurred.sum() == pytest.approx(3)
    tilted = noise.motion_blur(dot, 5, 2.0, 45.0)
    assert tilted[25, 25, 0] > 0
    assert tilted[39, 39, 0] == tilted[32, 25, 0] == 0


def test_the_image_that_is_blurred_is_the_simulators():
    """The policy's is turned by 180 degrees, so the tail of a moving dot points the other way."""
    image = np.zeros((256, 256, 3), np.uint8)
    image[128, 128] = 255
    _, columns = np.nonzero(noisy(10, image)[..., 0])
    assert columns.min() >= 127
    assert columns.max() > 135


def test_fog_is_bright_and_uneven():
    foggy = noisy(31, np.full((256, 256, 3), 40, np.uint8)).astype(float)
    assert foggy.std() > 1
    assert foggy.max() <= 40
    field = noise._plasma(64, 2.0, np.random.default_rng(0))
    assert (field.min(), field.max()) == (0, 1)
    rough = noise._plasma(64, 1.3, np.random.default_rng(0))
    assert np.abs(np.diff(rough)).mean() > np.abs(np.diff(field)).mean()


@pytest.mark.parametrize(("size", "reach", "last"), [(40, 1, 34), (40, 3, 32), (32, 5, 23)])
def test_shuffling_is_one_pixel_after_the_other(size, reach, last):
    offsets = np.random.default_rng(size + reach).integers(-reach, reach, (2, size, size))
    image = np.arange(size * size).reshape(size, size)
    for h in range(last, reach, -1):
        for w in range(last, reach, -1):
            image[h, w] = image[h + offsets[0, h, w], w + offsets[1, h, w]]
    assert (noise.shuffled(size, reach, last, offsets) == image.ravel()).all()
