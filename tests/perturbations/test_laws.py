"""Laws that hold for every registered axis at every strength."""

import copy
import pickle

import numpy as np
import pytest

from perturbations.base import CAMERAS, axes
from perturbations.condition import number_text
from perturbations.spec import parse


def strengths(info):
    """Identity, presets and both ends, or every word."""
    numbers = (info.identity, *info.presets, *info.bounds)
    return tuple(info.words) or tuple(dict.fromkeys(number_text(n) for n in numbers))


AXES = [pytest.param(info, id=info.name) for info in axes()]
TERMS = [f"{info.name}:{value}" for info in axes() for value in strengths(info)]
IDENTITIES = [f"{info.name}:{info.identity}" for info in axes()]
IMAGE = [info for info in axes() if info.channel == "image"]
IMAGE_TERMS = [f"{info.name}:{value}{aim}" for info in IMAGE for value in strengths(info) for aim in ("", "@wrist")]
IMAGE_CHANGES = [f"{info.name}:{value}" for info in IMAGE for value in info.presets]
SCENE_CHANGES = [f"{info.name}:{v}" for info in axes() if info.channel == "scene" for v in info.presets]


def fields(struct, prefix=""):
    """Every array and number of a model, by dotted name."""
    found = {}
    for name in dir(struct):
        if name.startswith("_") or callable(value := getattr(struct, name)):
            continue
        if isinstance(value, np.ndarray):
            found[prefix + name] = value.tobytes()
        elif isinstance(value, int | float):
            found[prefix + name] = value
        elif prefix + name in ("vis", "opt", "stat") or prefix == "vis.":
            found |= fields(value, f"{prefix}{name}.")
    return found


def changed(before, model):
    after = fields(model)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("info", AXES)
def test_declarations_are_complete(info):
    assert len(info.presets) == (0 if info.words else 5)
    assert info.source
    assert info.value_means
    assert info.cameras == (CAMERAS if info.channel == "image" else ())
    assert (info.channel == "scene") == bool(info.writes)
    assert not parse(info.example).terms[0].is_identity


@pytest.mark.parametrize("text", TERMS)
def test_canonical_text_reads_back_as_the_same_value(text):
    condition = parse(text)
    assert parse(str(condition)) == condition
    assert str(parse(str(condition))) == str(condition)
    assert hash(pickle.loads(pickle.dumps(condition))) == hash(condition)


@pytest.mark.parametrize("text", [*IDENTITIES, "none", "+".join(IDENTITIES)])
def test_identity_is_byte_identical_to_none(text, picture, scene, context, streams):
    condition = parse(text)
    images = dict.fromkeys(CAMERAS, picture)
    before = fields(scene.model)
    condition.apply_scene(scene, streams())
    assert all(condition.apply_images(images, 3, streams())[camera] is picture for camera in CAMERAS)
    assert changed(before, scene.model) == set()
    assert condition.instruction(context, streams()) == parse("none").instruction(context, streams())
    assert condition.cameras == ()
    assert condition.is_clean == (text == "none")


@pytest.mark.parametrize("text", IMAGE_TERMS)
def test_images_keep_their_form_and_the_input_is_untouched(text, picture, streams):
    original = picture.copy()
    condition = parse(text)
    seen = condition.apply_images(dict.fromkeys(CAMERAS, picture), 5, streams())
    assert list(seen) == list(CAMERAS)
    for camera in CAMERAS:
        assert (seen[camera].dtype, seen[camera].shape) == (np.uint8, picture.shape)
        assert (seen[camera] is picture) == (camera not in condition.cameras)
    np.testing.assert_array_equal(picture, original)


@pytest.mark.parametrize("text", IMAGE_CHANGES)
def test_the_same_key_gives_the_same_pixels_and_something_changes(text, picture, streams):
    condition = parse(text)
    first, second = (condition.apply_images({"agentview": picture}, 2, streams())["agentview"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, picture)


@pytest.mark.parametrize("text", ["noise:0.1", "noise:0.1/mode=static", "occlusion:0.3", "occlusion:0.3/fill=noise"])
def test_seed_and_camera_change_every_draw(text, picture, streams):
    condition = parse(text)
    images = dict.fromkeys(CAMERAS, picture)
    one, other = condition.apply_images(images, 0, streams(1)), condition.apply_images(images, 0, streams(2))
    assert not np.array_equal(one["agentview"], other["agentview"])
    assert not np.array_equal(one["agentview"], one["wrist"])


@pytest.mark.parametrize("info", [pytest.param(info, id=info.name) for info in IMAGE])
def test_severities_are_ordered_by_their_effect(info, picture, streams):
    def distance(value):
        seen = parse(f"{info.name}:{value}").apply_images({"agentview": picture}, 0, streams())["agentview"]
        return np.abs(seen.astype(int) - picture).mean()

    distances = [distance(value) for value in info.presets]
    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)


@pytest.mark.parametrize("text", SCENE_CHANGES)
def test_scene_axes_write_their_declared_fields_and_no_other(text, scene, streams):
    condition = parse(text)
    before = fields(scene.model)
    twin = copy.deepcopy(scene)
    assert {"light_diffuse", "vis.headlight.diffuse", "cam_pos", "opt.gravity", "tex_data"} <= before.keys()
    condition.apply_scene(scene, streams())
    assert changed(before, scene.model) == set(condition.terms[0].info.writes)
    condition.apply_scene(twin, streams())
    assert changed(fields(twin.model), scene.model) == set()
