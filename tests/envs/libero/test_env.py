"""Our LIBERO environment held against stock LIBERO: hard reset, cameras always on. Needs the official meshes."""

from pathlib import Path

import numpy as np
import pytest
from stock_libero import (
    SEED,
    SIZE,
    STEPS,
    Reset,
    assert_same_episode,
    assert_same_picture,
    raw_proprioception,
    stock_episode,
    wild_actions,
)

from envs import suites
from envs.base import EnvError
from envs.libero.env import IDLE_ACTION, LiberoEnv
from envs.libero.files import init_states

pytestmark = pytest.mark.official


@pytest.fixture(scope="module")
def assets(official_assets) -> Path:
    return official_assets


def disturb_history(env, other):
    """Other episodes, another seed, other conditions and another task in the same process, before the comparison."""
    env.reset(Reset(init_state=9, env_seed=1))
    model = env.scene().model
    model.light_diffuse[:] *= 0.2
    model.vis.headlight.ambient[:] *= 0.2
    model.cam_pos[:] += 0.05
    env.step(wild_actions(99))
    env.observe()
    other.reset(Reset(init_state=1, env_seed=3))
    other.step(wild_actions(98))
    other.observe()
    env.reset(Reset(init_state=2, env_seed=SEED))
    env.step(wild_actions(97)[:3])


@pytest.fixture(scope="module")
def other_scene(assets):
    env = LiberoEnv(suites.tasks("libero_object")[9], SIZE, assets)
    yield env
    env.close()


# The drawer and stove tasks start with open/close samplers, which draw from the generator that places the fixtures.
@pytest.mark.parametrize(("suite", "index"), [("libero_spatial", 4), ("libero_object", 0), ("libero_10", 2)])
def test_episode_is_identical_to_stock_libero(suite, index, assets, other_scene):
    task, actions = suites.tasks(suite)[index], wild_actions(index)
    observations, states = stock_episode(task, assets, 3, actions)
    env = LiberoEnv(task, SIZE, assets)
    disturb_history(env, other_scene)
    assert_same_episode(env, observations, states, actions)
    assert env.renders == 2 * (1 + 1 + STEPS // 3)
    env.close()


def test_stepping_in_one_call_is_stepping_one_by_one(other_scene):
    actions, traces = wild_actions(5), []
    for size in (1, 7, STEPS):
        other_scene.reset(Reset(init_state=4))
        other_scene.goals = ()
        parts = [other_scene.step(actions[i : i + size]).states for i in range(0, STEPS, size)]
        traces.append((np.concatenate(parts), other_scene.observe().images["wrist"]))
    for states, picture in traces[1:]:
        assert np.array_equal(states, traces[0][0])
        assert np.array_equal(picture, traces[0][1])


def test_the_stoves_glow_is_that_of_the_sampled_moment(assets):
    """The burner site is switched after the sensors have sampled: one step later than the knob."""
    task = suites.tasks("libero_10")[2]

    def turn_knob(sim):
        sim.data.set_joint_qpos("flat_stove_1_button", 1.0)

    actions = np.tile(np.asarray(IDLE_ACTION, np.float32), (2, 1))
    observations, states = stock_episode(task, assets, 0, actions, meddle=turn_knob)
    env = LiberoEnv(task, SIZE, assets)
    env.reset(Reset(init_state=0))
    env.goals = ()
    dark = env.observe().images["agentview"]
    turn_knob(env.world.env.sim)
    for step in (1, 2):
        env.step(actions[:1])
        assert np.array_equal(env.state(), states[step])
        assert_same_picture(env, observations[step], step)
    assert not np.array_equal(env.observe().images["agentview"], dark)
    env.reset(Reset(init_state=0))
    assert np.array_equal(env.observe().images["agentview"], dark)
    env.close()


def test_state_vector_is_that_of_lerobots_processor(other_scene):
    import torch
    from lerobot.processor.env_processor import LiberoProcessorStep

    other_scene.reset(Reset(init_state=5))
    for _ in range(3):
        other_scene.step(wild_actions(11)[:4])
        raw = torch.from_numpy(raw_proprioception(other_scene))[None]
        robot = {"eef": {"pos": raw[:, :3], "quat": raw[:, 3:7]}, "gripper": {"qpos": raw[:, 7:]}}
        wanted = LiberoProcessorStep().observation({"observation.robot_state": robot})["observation.state"][0].numpy()
        np.testing.assert_allclose(other_scene.observe(()).state, wanted, rtol=1e-6, atol=1e-6)


def test_privileged_poses_and_videos_do_not_touch_the_motion(other_scene):
    goal, actions = other_scene.task.goal, wild_actions(6)
    other_scene.reset(Reset(init_state=6))
    plain = other_scene.step(actions).states
    other_scene.reset(Reset(init_state=6))
    watched = []
    for action in actions:
        privileged = other_scene.privileged(goal)
        assert {"basket_1", "orange_juice_1"} <= set(privileged.objects)
        other_scene.render("agentview", 64)
        watched.append(other_scene.step(action[None]).states)
    assert np.array_equal(np.concatenate(watched), plain)


def test_without_settling_the_first_frame_is_the_initial_state_itself(other_scene):
    other_scene.reset(Reset(init_state=4, settle_steps=0))
    stored = init_states(other_scene.task.init_states)[4]
    assert np.array_equal(other_scene.state(), stored)
    assert other_scene.observe(("wrist",)).images["wrist"].any()


def test_init_state_out_of_range_is_refused(other_scene):
    with pytest.raises(EnvError, match=r"init_state 50: .* has 0\.\.49"):
        other_scene.reset(Reset(init_state=50))
