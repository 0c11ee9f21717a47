"""Laws that hold for every axis at every strength, and that `check_perturbation` notices when they do not."""

import pickle

import numpy as np
import pytest

from envs.build import make_env
from envs.libero.files import resolve_assets
from perturbations.base import (
    CAMERAS,
    FRACTION,
    MULTIPLIER,
    NUMBER,
    PROBABILITY,
    AxisInfo,
    Infeasible,
    SpecError,
    Stage,
    axes,
    register,
)
from perturbations.spec import parse
from simeval.testing import check_perturbation, model_fields, values

AXES = [info.name for info in axes()]
IN_A_SCENE = [info.name for info in axes() if info.channel in ("scene", "physics")]
TERMS = [f"{info.name}:{value}" for info in axes() for value in values(info)]


@pytest.fixture(scope="module")
def bundled():
    env = make_env("libero_spatial", 0, 64, resolve_assets("bundled"))
    yield env
    env.close()


@pytest.mark.parametrize("name", AXES)
def test_every_axis_keeps_the_laws(name, bundled):
    check_perturbation(name, bundled)


@pytest.fixture(scope="module")
def official(request, official_assets):
    env = make_env(request.param, 2, 64, official_assets)
    yield env
    env.close()


@pytest.mark.slow
@pytest.mark.official
@pytest.mark.parametrize("name", IN_A_SCENE)
@pytest.mark.parametrize(
    "official", ["libero_spatial", "libero_object", "libero_goal", "libero_10"], indirect=True, scope="module"
)
def test_scene_and_physics_axes_keep_the_laws_in_the_official_scenes(official, name):
    if name == "texture.table" and official.task.suite == "libero_object":
        with pytest.raises(AssertionError, match="this scene has no table"):
            check_perturbation(name, official)
        return
    check_perturbation(name, official)


@pytest.mark.parametrize("name", [info.name for info in axes() if info.channel == "scene" and "tex" not in info.name])
def test_scene_axes_keep_the_laws_in_the_toy_scene(name):
    """Some need what the toy scene does not have, and say so; none breaks."""
    env = make_env("toy", 0, 64, None)
    try:
        check_perturbation(name, env)
    except AssertionError as error:
        if "infeasible" not in str(error) and "changes nothing" not in str(error):
            raise
    finally:
        env.close()


@pytest.mark.parametrize("text", TERMS)
def test_canonical_text_reads_back_as_the_same_value(text):
    condition = parse(text)
    assert parse(str(condition)) == condition
    assert str(parse(str(condition))) == str(condition)
    assert hash(pickle.loads(pickle.dumps(condition))) == hash(condition)


def test_all_identities_together_are_byte_identical_to_none(picture, scene, context, streams):
    condition = parse("+".join(f"{info.name}:{info.identity}" for info in axes()))
    images = dict.fromkeys(CAMERAS, picture)
    before = model_fields(scene.model)
    condition.apply_scene(scene, streams())
    applied = condition.start(streams())
    state, actions = np.ones(8, np.float32), np.ones((4, 7), np.float32)
    assert all(applied.images(images, 3)[camera] is picture for camera in CAMERAS)
    assert applied.state(state, 3) is state
    assert applied.actions(actions, 3) is actions
    assert [applied.source(step) for step in range(9)] == list(range(9))
    assert model_fields(scene.model) == before
    assert condition.instruction(context, streams()) == parse("none").instruction(context, streams())
    assert (condition.cameras, condition.scene_cameras, condition.steps, condition.wants_masks) == ((), (), (), False)
    assert not condition.is_clean


@pytest.mark.parametrize("text", ["noise:0.1", "occlusion:0.3", "action.noise:0.1", "proprio.noise:0.1"])
def test_another_seed_gives_other_draws_and_the_same_kind_of_change(text, picture, streams):
    def everything(term):
        applied = parse(term).start(streams())
        image = applied.images({"wrist": picture}, 2)["wrist"]
        return [image, applied.state(np.zeros(8, np.float32), 2), applied.actions(np.zeros((3, 7), np.float32), 2)]

    plain, again, other = (everything(text + end) for end in ("", "/seed=0", "/seed=1"))
    assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(plain, other, strict=True))


def declared(**changes):
    known = {
        "name": "mine",
        "stage": Stage.SENSOR,
        "family": "V",
        "unit": NUMBER,
        "value_means": "something",
        "bounds": (0.0, 1.0),
        "identity": 0.0,
        "presets": (0.1, 0.2, 0.3, 0.4, 0.5),
        "source": "this test",
        "cameras": CAMERAS,
    }
    return AxisInfo(**(known | changes))


_state = np.random.default_rng(0)


def forgetful(pixels, value, rng):
    return pixels + _state.normal(0, 100 * value, pixels.shape)


def old_fashioned(pixels, value, rng):
    return pixels + np.random.normal(0, 100 * value, pixels.shape)  # noqa: NPY002


def cropping(pixels, value, rng):
    return pixels[1:]


def gray(pixels, value, rng):
    return pixels.mean(axis=2)


def idle(pixels, value, rng):
    return pixels


def deaf(pixels, value, rng):
    return pixels + 255 * value


def unit_range(pixels, value, rng):
    return np.clip(pixels / 255 + value, 0, 1)


def unit_range_without_clipping(pixels, value, rng):
    return pixels / 255 * (1 - 0.1 * value)


def undeclared(scene, value, rng):
    scene.model.light_diffuse[:] *= value
    scene.model.cam_fovy[:] *= value


def clairvoyant(step, value, rng):
    return step + 1


def stretching(actions, value, rng):
    return np.repeat(actions, 2, axis=0)


def dropping(actions, value, rng):
    actions[:, 6] = 1
    return actions


def chunky(actions, value, rng, memory):
    memory["n"] = memory.get("n", 0) + len(actions)
    return actions * (1 - value) if len(actions) == 1 else actions


def impossible(physics, value, rng):
    raise Infeasible("never")


ACTION = {"stage": Stage.ACTION, "cameras": ()}
SCENE = {"stage": Stage.SCENE, "cameras": (), "identity": 1.0, "unit": MULTIPLIER, "writes": ("light_diffuse",)}


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("function", "changes", "law"),
    [
        (forgetful, {}, "mine@|two results|differs from what|mine: .*two"),
        (old_fashioned, {}, "global generator|differs from"),
        (cropping, {}, r"returned float32\[47, 64, 3\] instead of float32\[48, 64, 3\]"),
        (gray, {}, r"returned float32\[48, 64\] instead of"),
        (idle, {}, "mine:0.5 changes nothing"),
        (deaf, {"presets": (0.1, 0.2)}, "severities are five presets, not 2"),
        (deaf, {"source": ""}, "must say something"),
        (deaf, {"cameras": ()}, "must name the cameras"),
        (unit_range, {}, "gives images from 0 to 1; pixels are from 0 to 255"),
        (unit_range_without_clipping, {}, "gives images from 0 to 1; pixels are from 0 to 255"),
        (undeclared, SCENE, "writes undeclared fields: cam_fovy"),
        (clairvoyant, {"stage": Stage.TIMING, "cameras": ()}, "has not happened yet"),
        (stretching, ACTION, r"returned float32\[2, 7\] instead of float32\[1, 7\]"),
        (dropping, ACTION, "changes the gripper unasked"),
        (impossible, {"stage": Stage.PHYSICS, "cameras": ()}, "infeasible here: never"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_axis_is_told_which_law_it_breaks(function, changes, law, bundled):
    register(declared(**changes))(function)
    with pytest.raises((AssertionError, ValueError, IndexError), match=law):
        check_perturbation("mine", bundled)


@pytest.mark.usefixtures("registry")
def test_a_sound_axis_of_a_users_own_passes():
    @register(declared(unit=PROBABILITY))
    def salt(pixels, value, rng):
        pixels[rng.random(pixels.shape[:2]) < value] = 255
        return pixels

    @register(declared(name="mine.too", stage=Stage.STATE, unit=FRACTION, cameras=()))
    def drift(state, value, rng, scale, memory):
        memory["n"] = memory.get("n", 0) + 1
        return state + value * scale * memory["n"]

    check_perturbation("mine")
    check_perturbation("mine.too")


def test_an_unknown_axis_is_a_spec_error():
    with pytest.raises(SpecError, match="did you mean 'noise'"):
        check_perturbation("nois")
