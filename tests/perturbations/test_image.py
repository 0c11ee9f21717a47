"""Laws of the image chain, and the definitions of its plainest axes. The others have files of their own."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from perturbations.base import Stage, axes, find_axis, image_difference
from perturbations.spec import parse

GREY = np.full((256, 256, 3), 128, np.uint8)


def see(text, picture, rng, step=0, camera="agentview"):
    return parse(text).start(rng).images({camera: picture}, step)[camera]


def change(text, picture, rng, **where):
    return see(text, picture, rng, **where).astype(float) - picture


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def covered(text, rng, size=(256, 256), **where):
    """Where a black occluder hides a white picture."""
    return see(f"{text}/fill=black", np.full((*size, 3), 255, np.uint8), rng, **where)[..., 0] == 0


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_noise_has_the_sigma_it_names(sigma, streams):
    difference = change(f"noise:{sigma}", GREY, streams())
    assert difference.std() == pytest.approx(255 * sigma, rel=0.01)
    assert abs(difference.mean()) < 0.05 + sigma


def test_noise_is_shared_by_strengths_and_by_nothing_else(streams):
    rng = streams()
    weak, strong = change("noise:0.1", GREY, rng), change("noise:0.2", GREY, rng)
    assert correlation(weak, strong) > 0.98
    assert abs(correlation(weak, change("noise:0.1", GREY, rng, camera="wrist"))) < 0.01
    assert abs(correlation(weak, change("noise:0.1", GREY, rng, step=1))) < 0.01
    assert abs(correlation(weak[..., 0], weak[..., 1])) < 0.02
    assert abs(correlation(weak[:, 1:], weak[:, :-1])) < 0.01


def test_noise_flickers_unless_static(streams):
    rng = streams()
    still = [see("noise:0.1/mode=static", GREY, rng, step=step) for step in (0, 9)]
    np.testing.assert_array_equal(*still)
    np.testing.assert_array_equal(still[0], see("noise:0.1", GREY, rng, step=0))
    assert not np.array_equal(still[0], see("noise:0.1", GREY, rng, step=9))


def test_brightness_multiplies_rounds_and_clips(picture, streams):
    for factor in (0.0, 0.3, 0.5, 1.7, 4.0):
        exact = np.clip(np.rint(picture.astype(np.float64) * factor), 0, 255)
        np.testing.assert_allclose(see(f"brightness:{factor}", picture, streams()), exact, atol=1)
    np.testing.assert_array_equal(see("brightness:0.5", picture, streams()), np.rint(picture * 0.5))


def test_blur_has_the_sigma_it_names_at_any_width(streams):
    def sigma(width):
        point = np.zeros((width, width, 3), np.uint8)
        point[:, width // 2] = 255
        profile = see("blur.gaussian:4", point, streams())[width // 2, :, 0].astype(float)
        x = np.arange(width) - width // 2
        return np.sqrt((profile * x**2).sum() / profile.sum())

    assert sigma(224) == pytest.approx(4, rel=0.05)
    assert sigma(448) == pytest.approx(8, rel=0.05)


def test_blur_looks_alike_at_two_sizes(picture, streams):
    large = cv2.resize(picture, None, fx=4, fy=4, interpolation=cv2.INTER_AREA)
    small = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_AREA)
    shrunk = cv2.resize(see("blur.gaussian:6", large, streams()), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - see("blur.gaussian:6", small, streams())).mean() < 1


@pytest.mark.parametrize("area", [0.05, 0.1, 0.2, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("size", [(256, 256), (240, 320)])
def test_occlusion_hides_the_area_it_names(area, size, streams):
    for seed in range(20):
        hidden = covered(f"occlusion:{area}", streams(seed), size)
        assert hidden.mean() == pytest.approx(area, rel=0.02)
        rows, columns = np.flatnonzero(hidden.any(1)), np.flatnonzero(hidden.any(0))
        assert hidden.sum() == len(rows) * len(columns)  # one upright rectangle


def test_a_larger_occluder_covers_the_smaller_one(streams):
    for seed in range(20):
        masks = [covered(f"occlusion:{area}", streams(seed)) for area in (0.05, 0.1, 0.2, 0.3, 0.4, 0.7, 0.9)]
        assert all((small <= large).all() for small, large in pairwise(masks))


def test_occluders_reach_everywhere_and_hold_still(streams):
    masks = [covered("occlusion:0.1", streams(seed)) for seed in range(200)]
    assert (np.mean(masks, axis=0) > 0).mean() > 0.9
    assert len({mask.tobytes() for mask in masks}) == 200
    np.testing.assert_array_equal(*(covered("occlusion:0.1", streams(), step=step) for step in (0, 50)))
    moving = [covered("occlusion:0.1/mode=flicker", streams(), step=step) for step in (0, 50)]
    assert not np.array_equal(*moving)


def test_occluders_are_opaque(streams):
    for fill, expected in (("gray", {128}), ("black", {0})):
        seen = see(f"occlusion:0.3/fill={fill}", np.full((64, 64, 3), 77, np.uint8), streams())
        assert set(np.unique(seen)) == {77} | expected
    textured = see("occlusion:0.3/fill=noise", GREY, streams())
    np.testing.assert_array_equal(textured, see("occlusion:0.3/fill=noise", GREY, streams(), step=4))
    assert textured[covered("occlusion:0.3", streams())].std() > 60


def test_stages_follow_the_camera_not_the_text(streams):
    rng = streams()
    mixed = see("occlusion:0.2+noise:0.05+brightness:0.5", GREY, rng)
    np.testing.assert_array_equal(mixed, see("brightness:0.5+noise:0.05+occlusion:0.2", GREY, rng))
    hidden = covered("occlusion:0.2", rng)
    assert (mixed[hidden] == 128).all()  # neither darkened nor noisy: the occluder comes last
    assert mixed[~hidden].mean() == pytest.approx(64, abs=0.5)
    assert mixed[~hidden].std() == pytest.approx(255 * 0.05, rel=0.02)  # noise is not darkened: it comes after


def test_values_are_clipped_once_at_the_end(streams):
    """Noise on an over-exposed picture pulls fewer pixels below white than on a white one."""
    bright = np.full((64, 64, 3), 200, np.uint8)
    assert (see("brightness:2+noise:0.1", bright, streams()) == 255).mean() > 0.99


def test_windows_are_half_open(picture, streams):
    condition = parse("brightness:0.5/from=10/until=20")
    shown = {step: condition.start(streams()).images({"wrist": picture}, step)["wrist"] for step in (0, 9, 10, 19, 20)}
    assert [step for step, image in shown.items() if image is not picture] == [10, 19]


def test_cameras_can_have_different_strengths(picture, streams):
    images = {"agentview": picture, "wrist": picture}
    both = parse("noise:0.05@agentview+noise:0.2@wrist").start(streams()).images(images, 0)
    np.testing.assert_array_equal(both["agentview"], see("noise:0.05", picture, streams()))
    np.testing.assert_array_equal(both["wrist"], see("noise:0.2", picture, streams(), camera="wrist"))


def test_an_observation_without_the_wrist_view_is_fine(picture, streams):
    assert list(parse("noise:0.1").start(streams()).images({"agentview": picture}, 0)) == ["agentview"]


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8)]
)
def test_a_wrong_kind_of_picture_is_refused(image, streams):
    with pytest.raises(ValueError, match=r"expected uint8\[H, W, 3\]"):
        see("noise:0.1", image, streams())


def test_an_unknown_camera_is_refused_rather_than_left_clean(picture, streams):
    with pytest.raises(ValueError, match="unknown camera 'top'"):
        see("noise:0.1", picture, streams(), camera="top")


STRONGER = [
    (info.name, value)
    for info in axes()
    if Stage.OPTICS <= info.stage <= Stage.CODEC
    for value in (np.linspace(info.identity, end, 9)[1:] for end in info.bounds if end != info.identity)
]
"""From each axis' identity to either end of its range."""


@pytest.mark.parametrize(("axis", "values"), STRONGER, ids=lambda value: value if isinstance(value, str) else "")
def test_pictures_get_worse_with_every_step_away_from_the_identity(axis, values, picture, streams):
    large = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA)
    whole = find_axis(axis).unit.whole
    texts = [f"{axis}:{round(value) if whole else value}" for value in values]
    found = [image_difference(large, see(text, large, streams())).psnr for text in texts]
    assert None not in found
    assert all(weak >= strong for weak, strong in pairwise(found)), found


@pytest.mark.parametrize("info", [i for i in axes() if Stage.OPTICS <= i.stage <= Stage.CODEC], ids=lambda i: i.name)
def test_severities_lower_the_psnr_in_a_scene(info, streams):
    scene = cv2.imread(str(Path(__file__).parent / "data" / "libero_spatial_0_bundled.png"))[..., ::-1]
    found = [image_difference(scene, see(f"{info.name}:{v}", scene, streams())).psnr for v in info.presets]
    assert all(weak > strong for weak, strong in pairwise(found)), found
    assert found[0] < 40
    assert found[-1] < 28
