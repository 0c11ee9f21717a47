"""The registry, the stages and the measure of image change."""

import numpy as np
import pytest

import envs.base
from perturbations.base import (
    CAMERAS,
    FRACTION,
    FROM,
    WORD,
    AxisInfo,
    ImageDifference,
    Key,
    Stage,
    Unit,
    axes,
    find_axis,
    image_difference,
    register,
)
from perturbations.spec import parse
from perturbations.units import CONTROL_STEP_MS


def declare(**changes):
    values = {
        "name": "test.axis",
        "stage": Stage.CODEC,
        "family": "V",
        "unit": FRACTION,
        "value_means": "nothing",
        "bounds": (0.0, 1.0),
        "identity": 0.0,
        "source": "this test",
    }
    return AxisInfo(**(values | changes))


def test_cameras_are_those_of_the_environments():
    assert CAMERAS == envs.base.CAMERAS


def test_the_listing_is_in_order_of_application():
    names = [info.name for info in axes()]
    listed = [
        "instruction",
        "robot.qpos",
        "light",
        "blur.gaussian",
        "brightness",
        "noise",
        "occlusion",
        "jpeg",
        "freeze",
    ]
    listed += ["obs.delay", "proprio.noise", "action.delay"]
    assert [name for name in names if name in listed] == listed
    assert len(set(names)) == len(names) >= 45
    channels = ["language", "physics", "scene", *["image"] * 6, "timing", "state", "action", "latency"]
    assert [stage.channel for stage in Stage] == channels


def test_a_control_step_lasts_as_long_as_the_environments_say():
    assert CONTROL_STEP_MS == 1000 / envs.base.CONTROL_HZ


@pytest.mark.usefixtures("registry")
def test_a_users_axis_joins_the_grammar_and_the_chain(picture, streams):
    @register(declare(name="invert", aliases=("negative",), cameras=CAMERAS, keys=(FROM,), presets=(0.2,) * 5))
    def invert(pixels, value, rng):
        return pixels + value * (255 - 2 * pixels)

    assert "invert" in [info.name for info in axes()]
    condition = parse("negative:100%+noise:0")
    assert str(condition) == "noise:0+invert:1"
    np.testing.assert_array_equal(condition.start(streams()).images({"wrist": picture}, 0)["wrist"], 255 - picture)


@pytest.mark.usefixtures("registry")
def test_a_scene_axis_can_be_aimed_at_cameras(scene, streams):
    degrees = Unit("deg", {"": 1, "deg": 1})

    @register(
        declare(name="camera.zoom", stage=Stage.SCENE, unit=degrees, cameras=("agentview",), writes=("cam_fovy",))
    )
    def zoom(scene, value, rng, camera):
        scene.model.cam_fovy[scene.cameras[camera]] += value

    before = scene.model.cam_fovy.copy()
    condition = parse("camera.zoom:1deg@agentview")
    assert str(condition) == "camera.zoom:1"
    condition.apply_scene(scene, streams())
    np.testing.assert_allclose(scene.model.cam_fovy - before, [1, 0])


WRONG = {
    "not finite": (lambda values: np.full_like(values, np.nan), "numbers that are not finite"),
    "too large for a float": (lambda values: values + np.inf, "numbers that are not finite"),
    "masked": (lambda values: np.ma.masked_less_equal(values, values.max()), "numbers that are masked"),
    "another shape": (lambda values: np.ones((2, 2)), r"float64\[2, 2\] instead of float32\["),
    "nothing": (lambda values: None, r"NoneType instead of float32\["),
    "words": (lambda values: "dark", r"str instead of float32\["),
    "truth values": (lambda values: values > 0, r"bool\[.*\] instead of float32\["),
}


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(("function", "said"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("channel", ["image", "state", "action"])
def test_what_an_axis_returns_is_checked_where_the_policy_would_get_it(picture, streams, channel, function, said):
    stage = {"image": Stage.OPTICS, "state": Stage.STATE, "action": Stage.ACTION}[channel]
    cameras = CAMERAS if channel == "image" else ()
    register(declare(stage=stage, cameras=cameras))(lambda values, value: function(values))
    active = parse("test.axis:0.5").start(streams())
    apply = {
        "image": lambda: active.images({"wrist": picture}, 0),
        "state": lambda: active.state(np.zeros(8, np.float32), 0),
        "action": lambda: active.actions(np.zeros((3, 7), np.float32), 0),
    }[channel]
    with pytest.raises(ValueError, match=f"axis test.axis: it returned {said}"):
        apply()


FIELDS = {"stage": Stage.STATE, "keys": (Key("hold", "0"),), "identity": 0.0}
FUNCTIONS = {
    "random numbers": (lambda state, value, rng, hold: state + rng.random(), True),
    "random numbers under another name": (lambda state, value, generator, hold: state + generator.random(), True),
    "whatever there is": (lambda *given, hold: given[0] + given[2].random(), True),
    "none": (lambda state, value, hold: state + value, False),
    "none, but memory": (lambda state, value, memory, hold: state + len(memory), False),
    "none, but the scale": (lambda state, value, scale, hold: state + scale, False),
}


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(("function", "draws"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_an_axis_uses_random_numbers_if_its_function_takes_them(streams, function, draws):
    register(declare(**FIELDS))(function)
    info = find_axis("test.axis")
    assert (info.draws, info.key("seed") is not None) == (draws, draws)
    changed = [parse("test.axis:0.5").start(streams(seed)).state(np.zeros(8, np.float32), 0) for seed in (1, 2)]
    assert np.array_equal(*changed) != draws


@pytest.mark.usefixtures("registry")
def test_an_axis_in_the_former_form_takes_random_numbers_and_says_that_it_uses_none(streams):
    @register(declare(**FIELDS, family="E", draws=False))
    def former(state, value, rng, hold):
        assert isinstance(rng, np.random.Generator)
        del rng
        return state + value

    info = find_axis("test.axis")
    assert (info.draws, info.family, info.key("seed")) == (False, "E", None)
    state = parse("test.axis:0.5").start(streams()).state(np.zeros(8, np.float32), 0)
    np.testing.assert_array_equal(state, np.full(8, 0.5, np.float32))


@pytest.mark.parametrize(
    ("stage", "family"), [(Stage.SCENE, "V"), (Stage.DROP, "V"), (Stage.LANGUAGE, "S"), (Stage.PHYSICS, "E")]
)
def test_the_family_follows_from_the_stage_unless_it_is_given(stage, family):
    assert declare(stage=stage, family="").family == family
    assert declare(stage=stage, family="S").family == "S"


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("clash", [{"name": "noise"}, {"name": "mine", "aliases": ("noise.gaussian",)}])
def test_a_name_is_given_once(clash):
    with pytest.raises(ValueError, match="already taken"):
        register(declare(**clash))(lambda pixels, value, rng: pixels)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Noise"},
        {"name": "none"},
        {"name": "a+b"},
        {"aliases": ("a/b",)},
        {"identity": 2.0},
        {"presets": (0.5, 1.5)},
        {"unit": WORD, "words": {"on": "kept"}, "identity": "off"},
    ],
)
def test_impossible_declarations_are_refused(changes):
    with pytest.raises(ValueError, match="axis"):
        declare(**changes)


def test_image_difference_is_exact_and_adds_up(streams):
    rng = streams()("test", "", 0)
    one, other = rng.integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)
    levels = one.astype(np.int64) - other
    difference = image_difference(one, other)
    assert difference == ImageDifference(np.abs(levels).sum(), (levels**2).sum(), one.size)
    assert difference.mean_abs == pytest.approx(np.abs(levels).mean())
    assert difference.psnr == pytest.approx(10 * np.log10(255**2 / (levels**2).mean()))
    assert (difference + difference).mean_abs == difference.mean_abs
    assert (difference + image_difference(one, one)).n == 2 * one.size


def test_image_difference_at_its_ends():
    black, white = np.zeros((1024, 1024, 3), np.uint8), np.full((1024, 1024, 3), 255, np.uint8)
    assert image_difference(black, black).psnr is None
    assert image_difference(black, black).mean_abs == 0
    assert image_difference(black, white) == ImageDifference(255 * black.size, 255**2 * black.size, black.size)
    assert image_difference(black, white).psnr == 0
    assert (ImageDifference().mean_abs, ImageDifference().psnr) == (0, None)
    with pytest.raises(ValueError, match="different shape"):
        image_difference(black, black[:5])
