"""What the light and texture axes write, and what that looks like in LIBERO's scenes."""

from operator import attrgetter

import numpy as np
import pytest
from arenas import apart, begin, build, changed, fields, pictures

from envs.sim import surface_styles
from envs.toy.env import ToyEnv
from perturbations import texture
from perturbations.base import Infeasible, axes
from perturbations.spec import parse

SCENE = [info for info in axes() if info.channel == "scene"]
CHANGES = [f"{info.name}:{value}" for info in SCENE for value in info.presets or info.words if value != info.identity]

ONE_EACH = [f"{info.name}:{info.presets[2] if info.presets else list(info.words)[-1]}" for info in SCENE]


@pytest.fixture(scope="module")
def libero():
    env = build("libero_spatial", 0)
    yield env
    env.close()


@pytest.fixture(scope="module")
def clean(libero):
    return pictures(libero)


@pytest.mark.parametrize("factor", [0.0, 0.3, 2.0])
def test_light_scales_all_sources_alike(factor, scene, streams):
    kinds = ("ambient", "diffuse", "specular")
    sources = [f"{source}{kind}" for source in ("light_", "vis.headlight.") for kind in kinds]
    before = {name: attrgetter(name)(scene.model).copy() for name in sources}
    parse(f"light:{factor}").apply_scene(scene, streams())
    for name, value in before.items():
        assert np.any(value)
        np.testing.assert_allclose(attrgetter(name)(scene.model), factor * value, rtol=1e-6)


def test_light_one_writes_nothing_even_into_a_locked_model(streams):
    class Locked:
        cameras = {}  # noqa: RUF012

        @property
        def model(self):
            raise AssertionError("the model was asked for")

    parse("light:1").apply_scene(Locked(), streams())
    parse("noise:0.5+instruction:empty").apply_scene(Locked(), streams())


def test_scene_terms_leave_pictures_alone(picture, streams):
    condition = parse("light:0.3")
    assert condition.cameras == ()
    assert condition.start(streams()).images({"wrist": picture}, 0)["wrist"] is picture


def check_model(env, text):
    """Only declared fields are written, the same ones twice, and the next reset undoes all of it."""
    begin(env, "none")
    model = env.scene().model
    before = fields(model)
    begin(env, text)
    after = fields(model)
    declared = set(parse(text).terms[0].info.writes)
    assert changed(before, after) <= declared
    assert changed(before, after), "nothing was written"
    assert changed(after, fields(begin(env, text).scene().model)) == set()
    assert changed(before, fields(begin(env, "none").scene().model)) == set()


@pytest.mark.parametrize("text", CHANGES)
def test_only_declared_fields_are_written_and_all_are_restored(text, libero, clean):
    check_model(libero, text)
    changed_pictures = pictures(libero, text)
    assert max(apart(clean, changed_pictures).values()) > 0, "nobody can see it"
    assert apart(changed_pictures, pictures(libero, text)) == {"agentview": 0, "wrist": 0}
    assert apart(clean, pictures(libero)) == {"agentview": 0, "wrist": 0}


@pytest.fixture(scope="module")
def official(request, official_assets):
    env = build(request.param, 0, official_assets)
    yield env
    env.close()


@pytest.mark.slow
@pytest.mark.official
@pytest.mark.parametrize("text", ONE_EACH)
@pytest.mark.parametrize("official", ["libero_spatial", "libero_10"], indirect=True, scope="module")
def test_the_same_laws_hold_in_the_official_scenes(official, text):
    clean = pictures(official)
    check_model(official, text)
    seen = pictures(official, text)
    hidden = official.task.suite == "libero_10" and text.startswith(("texture.floor", "texture.wall"))
    assert (max(apart(clean, seen).values()) == 0) == hidden
    assert apart(clean, pictures(official)) == {"agentview": 0, "wrist": 0}


@pytest.mark.parametrize("info", [pytest.param(i, id=i.name) for i in SCENE if i.presets])
def test_severities_grow(info, libero, clean):
    differences = [sum(apart(clean, pictures(libero, f"{info.name}:{value}")).values()) for value in info.presets]
    assert differences == sorted(differences)
    assert len(set(differences)) == len(differences)


def test_light_is_near_linear_below_one(libero, clean):
    for factor in (0.8, 0.6, 0.4, 0.25, 0.1):
        seen = pictures(libero, f"light:{factor}")
        for camera, picture in seen.items():
            assert picture.mean() == pytest.approx(factor * clean[camera].mean(), rel=0.03)


def test_without_lamps_the_headlight_is_left(libero, clean):
    dark = pictures(libero, "light.diffuse:0")["agentview"].mean()
    assert 0.5 < dark / clean["agentview"].mean() < 0.8
    assert pictures(libero, "light:0")["agentview"].mean() < 1


def test_lamps_swing_rigidly_about_one_level_line_through_the_pivot(libero):
    model, sides = begin(libero, "none").scene().model, []
    start = np.concatenate((model.light_pos - libero.scene().workspace_center, model.light_dir))
    for angle in (10, 65):
        begin(libero, f"light.dir:{angle}")
        end = np.concatenate((model.light_pos - libero.scene().workspace_center, model.light_dir))
        np.testing.assert_allclose(end @ end.T, start @ start.T, atol=1e-9)
        # What a rotation does to any vector is square to its axis.
        axis = np.linalg.svd(end - start)[2][-1]
        across = start - np.outer(start @ axis, axis)
        turned = (across * (end - np.outer(end @ axis, axis))).sum(axis=1) / np.square(across).sum(axis=1)
        np.testing.assert_allclose(np.degrees(np.arccos(turned)), angle, atol=1e-6)
        sides.append(axis * np.sign(axis[0]))
    assert abs(sides[0][2]) < 1e-9
    np.testing.assert_allclose(sides[0], sides[1], atol=1e-9)


def test_warm_light_is_redder_and_cold_light_bluer_than_daylight(libero, clean):
    def redness(text):
        picture = pictures(libero, text)["agentview"].reshape(-1, 3).mean(axis=0)
        return picture[0] / picture[2]

    ratios = [redness(f"light.color:{kelvin}") for kelvin in (2500, 3500, 5500, 6500, 9000, 15000)]
    assert ratios == sorted(ratios, reverse=True)
    assert apart(clean, pictures(libero, "light.color:6500K")) == {"agentview": 0, "wrist": 0}


def test_shadows_darken_some_places_and_brighten_none(libero, clean):
    seen = pictures(libero, "light.shadow:on")
    for camera, picture in seen.items():
        difference = picture.astype(int) - clean[camera]
        assert difference.min() < -10
        assert difference.max() < 40
        assert 0.005 < (difference < -10).any(axis=-1).mean() < 0.4
    assert apart(clean, pictures(libero)) == {"agentview": 0, "wrist": 0}


def test_looks_have_the_same_names_and_colours_on_both_sides():
    ours = {
        surface: {name: look.color for name, look in looks.items()} for surface, looks in surface_styles.STYLES.items()
    }
    assert ours == {surface: dict(looks) for surface, looks in texture.STYLES.items()}


@pytest.mark.parametrize(
    ("surface", "name"), [(surface, name) for surface, looks in surface_styles.STYLES.items() for name in looks]
)
def test_pictures_of_looks_repeat_without_a_seam_and_have_their_colour(surface, name):
    look = surface_styles.STYLES[surface][name]
    picture = surface_styles.render_texture(look).astype(int)
    inside = max(np.abs(np.diff(picture, axis=axis)).mean() for axis in (0, 1))
    for axis in (0, 1):
        seam = np.abs(picture.take(0, axis) - picture.take(-1, axis)).mean()
        # Where a joint meets the edge every pixel of the seam is one, which inside only few are.
        assert seam < 3 * inside + 1 or "_boards" in look.pattern.__qualname__
    np.testing.assert_allclose(picture.mean(axis=(0, 1)), look.color, rtol=0.1)
    assert picture.std() > 1


@pytest.mark.parametrize("surface", texture.STYLES)
def test_a_drawn_look_is_one_of_the_looks(surface, libero):
    looks = {name: pictures(libero, f"texture.{surface}:{name}") for name in texture.STYLES[surface]}
    found = set()
    for seed in range(8):
        drawn = pictures(libero, f"texture.{surface}:draw", seed=seed)
        found |= {name for name, seen in looks.items() if not any(apart(drawn, seen).values())}
    assert len(found) > 1


@pytest.mark.parametrize("suite", ["libero_object", "libero_10"])
def test_surfaces_of_other_arenas(suite):
    env = build(suite, 0)
    clean = pictures(env)
    surface = {"libero_object": "floor", "libero_10": "table"}[suite]
    assert min(apart(clean, pictures(env, f"texture.{surface}:draw")).values()) > 5
    if suite == "libero_object":
        with pytest.raises(Infeasible, match=r"texture\.table:draw: this scene has no table"):
            pictures(env, "texture.table:draw")
    env.close()


def test_a_scene_without_the_pictures_gets_the_plain_colour(streams):
    env = ToyEnv(0, 64)
    env.reset(type("Reset", (), {"init_state": 0, "env_seed": 0, "settle_steps": 0})())
    before = env.observe(("agentview",)).images["agentview"].astype(int)
    parse("texture.table:walnut").apply_scene(env.scene(), streams())
    after = env.observe(("agentview",)).images["agentview"].astype(int)
    assert (after - before).mean() < -20
    env.close()


def test_a_tint_stays_on_the_tasks_objects(libero, clean):
    names = libero.scene().task_objects
    begin(libero, "none")
    for camera in clean:
        on_them = np.any(list(libero.masks(camera, names).values()), axis=0)
        tinted = pictures(libero, "tint.object:1")[camera].astype(int)
        difference = np.abs(tinted - clean[camera]).max(axis=-1)
        assert difference[~on_them].max(initial=0) == 0
        assert difference[on_them].mean() > 30


def test_a_tint_goes_straight_to_its_colour(scene):
    weak, strong = (begin_tint(scene, value) for value in (0.25, 1.0))
    np.testing.assert_allclose(weak, [0.75 + 0.25 * c for c in strong], atol=1e-6)


def begin_tint(scene, value):
    """The colour of the hand's box, whose material is white wood, after a tint."""
    import dataclasses

    from arenas import streams

    handle = dataclasses.replace(scene, task_objects=("hand",), bodies={"hand": 1})
    handle.model.geom_rgba[0] = texture.NO_COLOR
    parse(f"tint.object:{value}").apply_scene(handle, streams())
    return handle.model.geom_rgba[0, :3].astype(float).tolist()


def test_a_task_without_objects_has_nothing_to_tint(scene, streams):
    with pytest.raises(Infeasible, match="names no object"):
        parse("tint.object:1").apply_scene(scene, streams())
