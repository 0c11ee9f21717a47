"""The bundled scenes: LIBERO's own tasks on our light models."""

import functools
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs import suites
from envs.assets import BUNDLED, is_bundled
from envs.assets.generate import files
from envs.assets.robot import lighten
from envs.base import EnvError, ResetOptions
from envs.libero.catalog import LIBERO_SUITES
from envs.libero.env import LiberoEnv
from envs.libero.files import resolve_assets
from envs.suite import INIT_STATES

SUITES = LIBERO_SUITES[:4]
SAMPLE = (("libero_spatial", 4), ("libero_object", 3), ("libero_goal", 0), ("libero_10", 9))
OFFICIAL_SAMPLE = (("libero_spatial", 6), ("libero_10", 4))
WORKSPACES = ("main_table", "floor", "kitchen_table", "living_room_table", "study_table")
FLAT = 0.005
"""Deviation from the official scenes (m) of what rests on a flat support."""
STRAIGHT = 0.002
"""What moves further sideways while it settles (m) has been pushed: in some initial states objects overlap."""
FALLEN = 0.02
"""How far an object may end below where it starts (m) beyond LIBERO's own drop onto the support."""
SPEED = 0.5
"""Above this (m/s, rad/s times 0.1 m) something is still flying after settling."""


Reset = functools.partial(ResetOptions, settle_steps=10)


def all_tasks():
    return [(suite, task.index) for suite in SUITES for task in suites.tasks(suite)]


def build(suite, index, assets=BUNDLED):
    return LiberoEnv(suites.tasks(suite)[index], 64, assets)


def support_height(env):
    """Height of the surface everything stands on: the table's top, or the floor."""
    return float(env.world.env.workspace_offset[2])


def movables(env):
    return {name: env.world.env.obj_body_id[name] for name in env.world.env.objects_dict}


def check_settled(env, init_state):
    """One initial state after settling: finite, nothing fell or flies, and no goal holds yet."""
    env.reset(Reset(init_state))
    where = f"{env.task.suite} {env.task.index} init_state {init_state}"
    ground = support_height(env) - FALLEN
    for name, body in movables(env).items():
        position = env.world.data.xpos[body]
        assert position[2] > ground, f"{where}: {name} fell to {position}"
        assert np.abs(position[:2]).max() < 0.8, f"{where}: {name} is at {position}"
        speed = max(np.abs(env.world.data.cvel[body][3:]).max(), 0.1 * np.abs(env.world.data.cvel[body][:3]).max())
        assert speed < SPEED, f"{where}: {name} still moves with {speed:.2f}"
    assert not env.world.holds(env.task.goal), f"{where}: starts satisfied"
    for other in suites.other_goals(env.task.suite, env.task.index):
        assert not env.world.holds(other.goal), f"{where}: starts with '{other.instruction}' done"


def anatomy(env):
    """Everything that the state vector and LIBERO's predicates depend on."""
    model = env.world.model
    joints = [
        (model.joint(j).name, int(model.jnt_type[j]), int(model.jnt_qposadr[j]), tuple(model.jnt_range[j]))
        for j in range(model.njnt)
    ]
    damping = {model.joint(int(j)).name: float(d) for j, d in zip(model.dof_jntid, model.dof_damping, strict=True)}
    sites = {
        model.site(s).name: tuple(model.site_size[s].round(5)) + tuple(model.site_pos[s].round(5))
        for s in range(model.nsite)
    }
    return joints, damping, sites


def poses(env, init_state):
    env.reset(Reset(init_state))
    return {name: pose.pos for name, pose in env.privileged(env.task.goal).objects.items()}


def fell_straight(env, init_state, found):
    """Objects that start above the workspace and come down on it; the others rest on something or start overlapping."""
    start = env._init_states[init_state][1:]
    for name in movables(env):
        address = int(env.world.model.joint(f"{name}_joint0").qposadr[0])
        aside = np.linalg.norm(found[name][:2] - start[address : address + 2])
        if aside < STRAIGHT and env.task.scenery.placements[name][1].startswith(WORKSPACES):
            yield name


def test_generator_reproduces_the_committed_files():
    pack = files()
    committed = {str(path.relative_to(BUNDLED)): path for path in BUNDLED.rglob("*") if path.is_file()}
    assert committed.keys() == pack.keys()
    stale = [path for path, content in pack.items() if committed[path].read_bytes() != content]
    assert not stale, f"run python -m envs.assets.generate: {stale}"


def test_pack_is_small_and_marked():
    assert is_bundled(resolve_assets("bundled"))
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 1_000_000
    assert "not LIBERO results" in (BUNDLED / "BUNDLED").read_text()


def test_other_folders_are_not_bundled(tmp_path):
    assert not is_bundled(tmp_path)


@pytest.mark.parametrize(("suite", "index"), SAMPLE)
def test_sample_settles(suite, index):
    env = build(suite, index)
    for init_state in (0, 17, 49):
        check_settled(env, init_state)
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "index"), all_tasks())
def test_every_initial_state_settles(suite, index):
    env = build(suite, index)
    for init_state in range(INIT_STATES):
        check_settled(env, init_state)
    env.close()


def test_resets_are_exact_on_bundled_scenes():
    env = build("libero_goal", 3)
    env.reset(Reset(5))
    first = env.state()
    env.reset(Reset(6))
    env.step(np.full((5, 7), 0.3, np.float32))
    env.reset(Reset(5))
    assert np.array_equal(env.state(), first)
    env.close()


def test_pictures_show_the_scene_and_little_geometry():
    env = build("libero_spatial", 0)
    env.reset(Reset(0))
    for name, picture in env.observe().images.items():
        assert picture.std() > 20, f"{name} is empty"
    model = env.world.model
    drawn = [g for g in range(model.ngeom) if model.geom_group[g] == 1 and model.geom_dataid[g] >= 0]
    assert sum(int(model.mesh_facenum[model.geom_dataid[g]]) for g in drawn) < 6000
    assert model.vis.quality.offsamples == 0
    env.close()


def test_a_suite_without_models_says_what_is_missing():
    task = next(task for task in suites.tasks("libero_90") if "white_bowl_1" in task.scenery.names)
    with pytest.raises(EnvError, match=r"cannot build libero_90 task \d+: .*bundled has no white_bowl; pass --assets"):
        LiberoEnv(task, 64, BUNDLED)


def test_lighter_robot_weighs_and_collides_the_same():
    xml = """<mujoco><compiler inertiagrouprange="0 0"/>
      <asset><mesh name="robot0_a" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/>
        <mesh name="robot0_b" vertex="0 0 0 2 0 0 0 2 0 0 0 2"/>
        <mesh name="robot0_link0" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset>
      <worldbody><body name="robot0_link0"><freejoint/>
        <geom type="mesh" mesh="robot0_link0" group="0" name="robot0_link0_collision"/>
        <geom type="mesh" mesh="robot0_a" group="1" contype="0" conaffinity="0" name="robot0_g0_vis"/>
        <geom type="mesh" mesh="robot0_b" group="1" contype="0" conaffinity="0" name="robot0_g1_vis"/>
      </body></worldbody></mujoco>"""
    heavy, light = mujoco.MjModel.from_xml_string(xml), mujoco.MjModel.from_xml_string(lighten(xml))
    np.testing.assert_array_equal(heavy.body_mass, light.body_mass)
    np.testing.assert_array_equal(heavy.body_inertia, light.body_inertia)
    assert [heavy.geom(g).name for g in range(heavy.ngeom)] == [light.geom(g).name for g in range(light.ngeom)]
    assert light.nmesh == 1
    assert light.geom_contype[1:].sum() == 0


@pytest.mark.official
@pytest.mark.parametrize(("suite", "index"), OFFICIAL_SAMPLE)
def test_sample_is_built_like_the_official_scene_and_settles_alike(suite, index, official_assets: Path):
    compare(suite, index, official_assets, init_states=(0, 25))


@pytest.mark.official
@pytest.mark.slow
@pytest.mark.parametrize(("suite", "index"), all_tasks())
def test_every_task_is_built_like_the_official_scene_and_settles_alike(suite, index, official_assets: Path):
    compare(suite, index, official_assets, init_states=range(0, INIT_STATES, 10))


def compare(suite, index, official_assets, init_states):
    ours, theirs = build(suite, index), build(suite, index, official_assets)
    for part, mine, official in zip(("joints", "damping", "sites"), anatomy(ours), anatomy(theirs), strict=True):
        assert mine == official, part
    compared = 0
    for init_state in init_states:
        here, there = poses(ours, init_state), poses(theirs, init_state)
        for name in fell_straight(theirs, init_state, there):
            compared += 1
            assert np.linalg.norm(here[name] - there[name]) < FLAT, f"{name} in initial state {init_state}"
        for name in ours.world.env.fixtures_dict:
            np.testing.assert_allclose(here[name], there[name], atol=1e-6)
    assert compared
    ours.close()
    theirs.close()
