"""What perturbations get hold of in a bundled scene: names, masks, textures, shadows, physics; all of it undone."""

from dataclasses import dataclass

import mujoco
import numpy as np
import pytest

from envs import suites
from envs.base import CAMERAS
from envs.build import make_env
from envs.libero.files import resolve_assets
from perturbations.base import axes
from perturbations.spec import parse
from simeval.core.seeding import PairStreams
from simeval.testing import model_fields

RNG = PairStreams(0, (1, 2, 3, 4)).generator


@dataclass(frozen=True)
class Reset:
    init_state: int = 0
    env_seed: int = 0
    settle_steps: int = 10


@pytest.fixture(scope="module")
def env():
    env = make_env("libero_spatial", 0, 128, resolve_assets("bundled"))
    yield env
    env.close()


@pytest.fixture
def clean(env):
    env.reset(Reset())
    return env.observe().images


def same(one, other):
    return all(np.array_equal(one[camera], other[camera]) for camera in CAMERAS)


def test_things_have_the_names_of_the_task_file(env):
    scene = env.scene()
    assert scene.task_objects == ("akita_black_bowl_1", "plate_1")
    assert {"akita_black_bowl_2", "cookies_1"} < set(scene.bodies)
    assert set(scene.fixtures) == {"wooden_cabinet_1", "flat_stove_1"}
    assert scene.workspace_center.tolist() == scene.pivot.tolist() == [0, 0, 0.9]  # the old name, for plugins
    assert len(scene.geoms_of("wooden_cabinet_1")) > 5
    assert not set(scene.geoms_of("plate_1")) & set(scene.geoms_of("akita_black_bowl_1"))
    with pytest.raises(KeyError):
        scene.geoms_of("teapot_1")


@pytest.mark.parametrize(
    ("suite", "task", "named", "height"),
    [("libero_goal", 0, ("wooden_cabinet_1",), 0.9), ("libero_object", 0, ("alphabet_soup_1", "basket_1"), 0.0)],
)
def test_a_region_counts_as_the_thing_it_belongs_to(suite, task, named, height):
    env = make_env(suite, task, 64, resolve_assets("bundled"))
    scene = env.scene()
    env.close()
    assert scene.task_objects == named
    assert scene.workspace_center[2] == height


def test_masks_are_where_the_thing_is_drawn(env, clean):
    masks = env.masks("agentview", ["akita_black_bowl_1", "plate_1", "teapot_1"])
    assert set(masks) == {"akita_black_bowl_1", "plate_1"}
    assert not (masks["akita_black_bowl_1"] & masks["plate_1"]).any()
    scene = env.scene()
    for geom in scene.geoms_of("plate_1"):
        scene.model.geom_rgba[geom, 3] = 0
    gone = env.observe().images["agentview"]
    changed = (gone != clean["agentview"]).any(axis=2)
    # A shadowless scene: what changes when the plate is gone lies under its mask.
    assert changed.sum() > 100
    assert (changed & masks["plate_1"]).sum() > 0.95 * changed.sum()
    env.reset(Reset())
    assert same(env.observe().images, clean)


def test_a_mask_alone_shows_through_what_stands_before_it():
    env = make_env("libero_10", 0, 128, resolve_assets("bundled"))
    env.reset(Reset())
    seen = env.observe().images
    hidden = env.masks("agentview", ["alphabet_soup_1"])["alphabet_soup_1"]
    whole = env.masks("agentview", ["alphabet_soup_1"], alone=True)["alphabet_soup_1"]
    assert (hidden <= whole).all()
    assert whole.sum() > 1.5 * hidden.sum() > 0
    assert same(env.observe().images, seen)
    env.close()


def test_written_textures_are_shown_and_put_back(env, clean):
    scene = env.scene()
    name = next(i for i in range(scene.model.ntex) if "wall" in scene.model.tex(i).name)
    before = scene.texture(name)
    scene.set_texture(name, 255 - before)
    assert not same(env.observe().images, clean)
    other_size = env.render("agentview", 64)
    env.reset(Reset())
    np.testing.assert_array_equal(env.scene().texture(name), before)
    assert same(env.observe().images, clean)
    assert not np.array_equal(env.render("agentview", 64), other_size)
    with pytest.raises(ValueError, match="is uint8"):
        scene.set_texture(name, before[:1])


def test_textures_are_uploaded_when_something_shows_them(env, clean):
    model, context = env.scene().model, env.world._renderers._by_size[128]
    style = model.tex("style_wall_brick").id
    assert style not in context.uploads.versions
    model.geom_matid[model.geom_matid == model.mat("walls_mat").id] = model.mat("style_wall_brick").id
    dressed = env.observe().images
    assert not same(dressed, clean)
    assert style in context.uploads.versions
    everything = mujoco.Renderer(model, 128, 128)  # it uploads all textures at once
    option = mujoco.MjvOption()
    option.geomgroup[0] = 0
    everything.update_scene(env.world.seen, env.world.cameras["agentview"], option)
    assert np.array_equal(everything.render()[:, ::-1], dressed["agentview"])
    everything.close()
    sizes = model.tex_width.copy(), model.tex_height.copy()
    env.world._renderers.close()
    assert same(env.observe().images, dressed), "a new context has it from the start"
    assert np.array_equal((model.tex_width, model.tex_height), sizes)
    env.reset(Reset())
    assert same(env.observe().images, clean)


def test_shadows_appear_when_lights_cast_them_and_leave_no_trace(env, clean):
    model = env.scene().model
    model.light_castshadow[:] = 1
    assert np.abs(env.observe().images["wrist"].astype(int) - clean["wrist"]).mean() > 1
    env.reset(Reset())
    assert same(env.observe().images, clean)


def test_the_whole_model_is_as_it_was_after_every_axis_at_once(env, clean):
    pristine, state = model_fields(env.scene().model), env.state()
    names = [info.name for info in axes() if info.channel in ("scene", "physics")]
    for name in names:
        condition = parse(next(info.example for info in axes() if info.name == name))
        env.reset(Reset(1), lambda physics, c=condition: c.apply_physics(physics, RNG))
        for step in condition.steps:
            env.intervene(lambda physics, c=condition, s=step: c.apply_step(physics, s, RNG))
        condition.apply_scene(env.scene(), RNG)
        env.observe()
    env.reset(Reset())
    now = model_fields(env.scene().model)
    assert [name for name in pristine if now[name] != pristine[name]] == []
    np.testing.assert_array_equal(env.state(), state)
    assert same(env.observe().images, clean)


def test_the_arm_holds_where_it_is_put(env):
    offset = np.array([0.1, -0.1, 0.1, 0.2, -0.1, 0.1, 0.1])
    found = {}

    def move(physics):
        found["wanted"] = physics.robot_qpos + offset
        physics.set_robot(found["wanted"])

    env.reset(Reset(), move)
    env.intervene(lambda physics: found.update(now=physics.robot_qpos))
    np.testing.assert_allclose(found["now"], found["wanted"], atol=1e-4)


def test_contacts_and_settling_tell_a_bad_place_from_a_good_one(env):
    env.reset(Reset())
    seen = {}

    def look(physics):
        seen["fine"] = physics.contacts_deeper_than(0.002), physics.settle_check()
        bowl, plate = physics.objects["akita_black_bowl_1"], physics.objects["plate_1"]
        physics.data.qpos[bowl : bowl + 3] = physics.data.qpos[plate : plate + 3] - [0, 0, 0.01]
        before = physics.data.qpos.copy()
        physics.forward()
        seen["bad"] = physics.contacts_deeper_than(0.002)
        physics.settle_check()
        assert np.array_equal(physics.data.qpos, before)

    env.intervene(look)
    contacts, drift = seen["fine"]
    assert contacts == ()
    assert max(np.linalg.norm(moved[:2]) for moved in drift.values()) < 0.005
    assert any("akita_black_bowl_1" in pair for pair in seen["bad"])


def test_what_the_gripper_closes_next_to_is_remembered(env):
    env.reset(Reset())
    close = np.zeros((3, 7), np.float32)
    close[:, 6] = 1
    env.step(close)
    assert env.approached is None  # in the air
    bowl = env.privileged(suites.tasks("libero_spatial")[0].goal).objects["akita_black_bowl_1"].pos
    for _ in range(60):
        hand = env.privileged(suites.tasks("libero_spatial")[0].goal).hand.pos
        action = np.zeros((1, 7), np.float32)
        action[0, :3] = np.clip(20 * (bowl + np.array([0, 0.04, 0.03]) - hand), -1, 1)
        action[0, 6] = -1
        env.step(action)
    assert env.approached is None  # not closed
    env.step(close)
    assert env.approached == "akita_black_bowl_1"
    env.reset(Reset())
    assert env.approached is None
