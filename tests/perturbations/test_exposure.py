"""Levels and colours, resolution and compression, against their definitions and their sources."""

import io
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from perturbations.base import find_axis, image_difference
from perturbations.color import chromaticity, white_balance_gains
from perturbations.spec import parse

CONSTANTS = {
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "jpeg": (25, 18, 15, 10, 7),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
}


def see(text, picture, rng):
    return parse(text).start(rng).images({"agentview": picture}, 0)["agentview"]


@pytest.mark.parametrize(("axis", "values"), CONSTANTS.items())
def test_presets_are_those_of_imagenet_c(axis, values):
    assert find_axis(axis).presets == values


@pytest.mark.parametrize("factor", [0, 0.05, 0.4, 1.7])
def test_contrast_is_the_formula_of_imagenet_c(factor, picture, streams):
    mean = picture.mean(axis=(0, 1))
    expected = np.clip((picture - mean) * factor + mean, 0, 255)
    np.testing.assert_allclose(see(f"contrast:{factor}", picture, streams()), expected, atol=0.51)


def test_saturation_keeps_grey_and_brightness(picture, streams):
    weights = np.array([0.299, 0.587, 0.114])
    luma = picture @ weights
    grey = see("saturation:0", picture, streams())
    assert (grey.max(axis=2) == grey.min(axis=2)).all()
    np.testing.assert_allclose(grey[..., 0], luma, atol=0.51)
    for factor in (0.3, 0.7):
        np.testing.assert_allclose(see(f"saturation:{factor}", picture, streams()) @ weights, luma, atol=0.6)
    np.testing.assert_array_equal(see("saturation:3", grey, streams()), grey)
    spread = [np.ptp(see(f"saturation:{f}", picture, streams()).astype(int), axis=2).mean() for f in (0, 0.5, 1.5)]
    assert spread == sorted(spread)


@pytest.mark.parametrize(
    ("kelvin", "x", "y"),
    [
        *((2000, 0.5267, 0.4133), (2856, 0.4475, 0.4075), (3500, 0.4053, 0.3907)),
        *((5000, 0.3451, 0.3516), (6500, 0.3135, 0.3237), (10000, 0.2807, 0.2884)),
    ],
)
def test_black_bodies_have_their_published_colours(kelvin, x, y):
    """Published points of the Planckian locus; 2856 K is CIE illuminant A."""
    assert chromaticity(kelvin) == pytest.approx((x, y), abs=0.001)


def test_light_gets_colder_with_its_temperature_and_keeps_its_luminance():
    gains = [white_balance_gains(kelvin) for kelvin in (1700, 2000, 2700, 3500, 4500, 5500, 6500, 8500, 15000, 25000)]
    for warm, cold in pairwise(gains):
        assert warm[0] > cold[0]
        assert warm[2] < cold[2]
    for gain in gains:
        assert np.dot(gain**2.2, [0.2126, 0.7152, 0.0722]) == pytest.approx(1)
        assert (gain >= 0).all()
    np.testing.assert_allclose(white_balance_gains(6500), 1)
    # The colour changes least per kelvin where it is coldest, and the fits meet at 4000 and 2222 K.
    for seam in (4000, 2222):
        np.testing.assert_allclose(white_balance_gains(seam), white_balance_gains(seam + 0.01), atol=0.01)


def test_temperature_multiplies_each_channel(streams):
    grey = np.full((8, 8, 3), 100, np.uint8)
    for kelvin in (3500, 5500, 7500, 8500):
        np.testing.assert_array_equal(
            see(f"temperature:{kelvin}", grey, streams())[0, 0], np.rint(100 * white_balance_gains(kelvin))
        )
    assert parse("temperature:3500K") == parse("temperature:3500")


def test_brightness_has_a_bright_side_as_strong_as_its_dark_one(picture, streams):
    dark = [see(f"brightness:{v}", picture, streams()).mean() for v in find_axis("brightness").presets]
    assert dark == sorted(dark, reverse=True)
    bright = [see(f"brightness:{v}", picture, streams()).mean() for v in (1.15, 1.3, 1.45, 1.6, 1.75)]
    assert bright == sorted(bright)
    np.testing.assert_allclose(see("brightness:1.75", picture, streams()), np.minimum(picture * 1.75, 255), atol=0.51)


@pytest.mark.parametrize("quality", [25, 15, 7])
def test_jpeg_is_that_of_imagenet_c(quality, picture, streams):
    """Pillow writes it, with colours at half resolution too; encoders differ by a level here and there."""
    data = io.BytesIO()
    PIL.Image.fromarray(picture).save(data, "JPEG", quality=quality)
    reference = np.asarray(PIL.Image.open(data)).astype(int)
    assert np.abs(see(f"jpeg:{quality}", picture, streams()) - reference).mean() < 1


def test_a_codec_gets_bytes(streams):
    """Over-exposed pixels are clipped before they are compressed, not after."""
    bright = np.full((32, 32, 3), 200, np.uint8)
    bright[:, 16:] = 10
    white = np.where(bright == 200, 255, 40).astype(np.uint8)
    np.testing.assert_array_equal(see("brightness:4+jpeg:10", bright, streams()), see("jpeg:10", white, streams()))


@pytest.mark.parametrize("scale", [0.6, 0.5, 0.4, 0.3, 0.25])
def test_pixelate_does_what_that_of_imagenet_c_does(scale, streams):
    """Pillow repeats pixels where ours mixes blocks that share one, so only whole blocks agree pixel by pixel."""
    picture = cv2.imread(str(Path(__file__).parent / "data" / "libero_spatial_0_bundled.png"))[..., ::-1]
    small = PIL.Image.fromarray(picture).resize((int(128 * scale),) * 2, PIL.Image.Resampling.BOX)
    reference = np.asarray(small.resize((128, 128), PIL.Image.Resampling.BOX))
    ours = see(f"pixelate:{scale}", picture, streams())
    psnr = image_difference(picture, ours).psnr
    assert psnr == pytest.approx(image_difference(picture, reference).psnr, abs=0.5)
    if (1 / scale).is_integer():
        np.testing.assert_allclose(ours, reference, atol=1)


def test_pixelate_averages_whole_blocks(picture, streams):
    seen = see("pixelate:0.25", picture, streams())
    blocks = picture.reshape(24, 4, 32, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(seen[::4, ::4], blocks, atol=0.51)
    for y, x in ((1, 0), (0, 3), (3, 3)):
        np.testing.assert_array_equal(seen[y::4, x::4], seen[::4, ::4])
