"""Objects that mean nothing to the task: which, where, how many, and that an episode without them stays what it is."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from arenas import Reset, begin, build, pictures, streams

from envs import suites
from envs.base import EnvError
from envs.libero.catalog import LIBERO_SUITES
from envs.libero.distractors import KINDS, POOL, distractor_kinds
from envs.toy.env import ToyEnv
from perturbations import layout
from perturbations.base import Infeasible
from perturbations.spec import parse

IDLE = np.tile(np.asarray([0, 0, 0, 0, 0, 0, -1], np.float32), (10, 1))


@pytest.fixture(scope="module")
def spatial():
    env = build("libero_spatial", 0)
    yield env
    env.close()


def handle(env):
    found = []
    env.intervene(found.append)
    return found[0]


def poses(env) -> dict[str, np.ndarray]:
    physics = handle(env)
    return {name: physics.data.qpos[at : at + 7].copy() for name, at in physics.objects.items()}


def added(env, text, **how) -> dict[str, np.ndarray]:
    return {name: pose for name, pose in poses(begin(env, text, **how)).items() if name.startswith("distractor_")}


@pytest.mark.parametrize("suite", LIBERO_SUITES)
def test_every_task_has_enough_kinds_that_are_like_nothing_in_its_scene(suite):
    for task in suites.tasks(suite):
        kinds = distractor_kinds(task)
        assert len(set(kinds)) == len(kinds) >= POOL
        families = {KINDS[kind].family for kind in kinds}
        present = {KINDS[kind].family for kind in KINDS for name in task.scenery.names if name.startswith(f"{kind}_")}
        assert not families & present, task.name
        named = " ".join(word for goal in goals(task) for atom in goal for word in atom)
        assert not [kind for kind in kinds if kind in named], task.name
        first = [KINDS[kind].family for kind in kinds[: len(families)]]
        assert sorted(first) == sorted(families)


def goals(task):
    others = suites.other_goals(task.suite, task.index) + suites.other_goals_apart(task.suite, task.index)
    return (task.goal, *(other.goal for other in others))


def test_more_of_them_are_the_same_ones_and_others(spatial):
    found = [added(spatial, f"layout.distractors:{n}") for n in range(1, 6)]
    assert [len(objects) for objects in found] == [1, 2, 3, 4, 5]
    for fewer, more in pairwise(found):
        for name, pose in fewer.items():
            np.testing.assert_allclose(more[name][:3], pose[:3], atol=layout.MAX_DRIFT)
    (one,), (other,) = found[0].values(), added(spatial, "layout.distractors:1", seed=1).values()
    assert np.linalg.norm(one[:2] - other[:2]) > 0.02


@pytest.mark.parametrize("seed", [0, 1])
def test_they_stand_on_the_table_clear_of_everything(seed, spatial):
    clean = poses(begin(spatial, "none", init_state=seed))
    found = poses(begin(spatial, "layout.distractors:4", init_state=seed, seed=seed))
    for name, pose in clean.items():
        assert np.linalg.norm(found[name][:2] - pose[:2]) < layout.MAX_DRIFT
        assert abs(found[name][2] - pose[2]) < layout.MAX_STEP
    physics, model, data = handle(spatial), spatial.world.model, spatial.world.data
    for name in found.keys() - clean.keys():
        assert physics.clearance(name, 1.0) > layout.CLEARANCE - layout.MAX_DRIFT
        (low, high), (left, right) = layout.FIELD
        x, y = found[name][:2] - physics.workspace_center[:2]
        assert low - 0.01 < x < high + 0.01
        assert left - 0.01 < y < right + 0.01
        assert 0.9 - 0.01 < found[name][2] < 1.05
        pairs = ([physics.owner(int(geom)) for geom in data.contact[k].geom] for k in range(data.ncon))
        touching = {owner for pair in pairs if name in pair for owner in pair} - {name}
        assert len(touching) == 1, "it stands on the table, and touches nothing else"
        assert not touching & {"robot", *found}
        speed = data.qvel[model.body_dofadr[physics.body_ids[name]] :][:6]
        assert np.abs(speed[:3]).max() < 0.02
    assert physics.occlusion_fraction() <= layout.MAX_HIDDEN


def test_an_episode_without_them_is_the_plain_scene_before_and_after(spatial):
    clean = begin(spatial, "none").state()
    seen = spatial.observe().images
    more = begin(spatial, "layout.distractors:2").state()
    assert len(more) == len(clean) + 13 * POOL
    for text in ("layout.distractors:0", "none"):
        np.testing.assert_array_equal(begin(spatial, text).state(), clean)
        assert all(np.array_equal(picture, seen[camera]) for camera, picture in spatial.observe().images.items())


def test_those_left_out_wait_unseen_weightless_and_untouched(spatial):
    begin(spatial, "layout.distractors:1")
    world, start = spatial.world, spatial.state()
    here = set(world.distractors.present(world.data.qpos))
    absent = [name for name in world.distractors.names if name not in here]
    assert (len(here), len(absent)) == (1, POOL - 1)
    assert here < set(spatial.scene().bodies)
    assert not set(absent) & set(spatial.scene().bodies)
    assert not any(mask.any() for mask in spatial.masks("agentview", absent).values())
    spatial.step(IDLE)
    for at in (world.distractors._joints[name] for name in absent):
        np.testing.assert_allclose(spatial.state()[1 + at : 8 + at], start[1 + at : 8 + at], atol=1e-12)


def test_goals_masks_and_poses_are_those_of_the_same_names(spatial):
    begin(spatial, "layout.distractors:3")
    assert spatial.goals == (spatial.task.goal,)
    assert not spatial.world.holds(spatial.task.goal)
    (name,) = list(spatial.world.distractors.present(spatial.world.data.qpos))[:1]
    masks = spatial.masks("agentview", ["plate_1", name])
    assert masks["plate_1"].any()
    assert not (masks["plate_1"] & masks[name]).any()
    privileged = spatial.privileged(spatial.task.goal)
    body = spatial.world.model.body("plate_1_main").id
    np.testing.assert_allclose(privileged.objects["plate_1"].pos, spatial.world.data.xpos[body], atol=1e-4)


def test_a_stored_state_is_shown_again_with_everything_in_it(spatial):
    begin(spatial, "layout.distractors:3", init_state=2)
    end = spatial.step(IDLE[:4]).states[-1]
    shown = spatial.render("agentview", 96)
    clean = begin(spatial, "none", init_state=2).state()
    plain = spatial.render("agentview", 96)
    spatial.set_state(end)
    np.testing.assert_array_equal(spatial.state(), end)
    np.testing.assert_array_equal(spatial.render("agentview", 96), shown)
    assert not np.array_equal(plain, shown)
    spatial.set_state(clean)
    np.testing.assert_array_equal(spatial.render("agentview", 96), plain)
    with pytest.raises(EnvError, match=rf"has {len(clean)} or {len(end)} numbers, not {len(end) + 1}"):
        spatial.set_state(np.append(end, 0))
    with pytest.raises(EnvError, match=rf"has {len(clean)} numbers, not 3"):
        spatial.set_state(end[:3])


def test_other_axes_act_on_the_same_scene(spatial):
    bright, dark = (pictures(spatial, f"layout.distractors:3{more}") for more in ("", "+light:0.5"))
    for camera, picture in bright.items():
        assert dark[camera].mean() == pytest.approx(0.5 * picture.mean(), rel=0.05)
    here = poses(begin(spatial, "layout.distractors:3"))
    shifted = poses(begin(spatial, "layout.distractors:3+layout.shift:2"))
    assert here.keys() == shifted.keys()
    assert np.linalg.norm((shifted["plate_1"] - here["plate_1"])[:2]) == pytest.approx(0.02, abs=layout.MAX_DRIFT)
    texture = pictures(spatial, "layout.distractors:3+texture.table:marble")
    assert not np.array_equal(texture["agentview"], bright["agentview"])
    assert all(np.array_equal(bright[c], p) for c, p in pictures(spatial, "layout.distractors:3").items())


@pytest.mark.parametrize(
    ("suite", "task"), [("libero_object", 0), pytest.param("libero_10", 5, marks=pytest.mark.slow)]
)
def test_other_arenas_have_room_too(suite, task):
    env = build(suite, task)
    found = added(env, "layout.distractors:3")
    surface = {"libero_object": 0.0, "libero_10": 0.885}[suite]
    assert len(found) == 3
    for name, pose in found.items():
        low, high = env.world.distractors._reach(env.world.data, name)
        assert low == pytest.approx(surface, abs=0.003)
        assert high < surface + 0.2, f"{name} at {pose}"
    env.close()


@pytest.mark.slow
@pytest.mark.official
@pytest.mark.parametrize(("suite", "task"), [("libero_spatial", 3), ("libero_10", 5)])
def test_official_scenes_hold_official_objects_in_reserve(suite, task, official_assets):
    env = build(suite, task, official_assets)
    assert len(added(env, "layout.distractors:4")) == 4
    clean = begin(env, "none").state()
    np.testing.assert_array_equal(begin(env, "layout.distractors:0").state(), clean)
    env.close()


def test_where_there_is_no_room_it_is_infeasible_and_nothing_is_left(spatial, monkeypatch):
    begin(spatial, "layout.distractors:1")
    physics = handle(spatial)
    (first,) = spatial.world.distractors.present(spatial.world.data.qpos)
    x, y = poses(spatial)[first][:2] - physics.workspace_center[:2]
    physics.remove_distractor(first)
    before = spatial.state()
    monkeypatch.setattr(layout, "FIELD", ((x, x), (y, y)))  # one place for two
    with pytest.raises(Infeasible, match=r"layout\.distractors:2: no room for distractor_\w+ within 600 draws"):
        parse("layout.distractors:2").apply_physics(physics, streams())
    np.testing.assert_array_equal(spatial.state(), before)
    assert not spatial.world.distractors.present(spatial.world.data.qpos)


def test_scenes_with_fewer_in_reserve_or_none_say_so(spatial):
    env = ToyEnv(0, 64)
    one = parse("layout.distractors:1")
    with pytest.raises(Infeasible, match=r"layout\.distractors:1: this scene has 0 objects in reserve"):
        env.reset(Reset(settle_steps=0), lambda physics: one.apply_physics(physics, streams()))
    env.close()
    few = SimpleNamespace(distractors=("distractor_milk",))
    with pytest.raises(Infeasible, match="has 1 objects in reserve"):
        parse("layout.distractors:2").apply_physics(few, streams())


def test_they_can_only_come_in_with_a_reset(spatial):
    begin(spatial, "none")
    with pytest.raises(EnvError, match="while it is reset"):
        spatial.intervene(lambda physics: parse("layout.distractors:1").apply_physics(physics, streams()))
