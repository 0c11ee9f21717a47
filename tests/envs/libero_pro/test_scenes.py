"""LIBERO-PRO's scenes, from the assets that its authors publish."""

from pathlib import Path

import numpy as np
import pytest
from stock_libero import SIZE, Reset, assert_same_episode, stock_episode, wild_actions

from envs.assets import BUNDLED
from envs.base import EnvError
from envs.libero.env import LiberoEnv
from envs.libero.files import import_libero, init_states, use_assets
from envs.libero.recolored import RECOLORED
from envs.libero_pro.catalog import PRO_SUITES, pro_tasks

pytestmark = pytest.mark.official

ONE_OF_EACH = (("libero_goal_lan", 5), ("libero_object_object", 7), ("libero_spatial_swap", 6), ("libero_10_task", 3))


@pytest.mark.parametrize(("suite", "index"), ONE_OF_EACH)
def test_episode_is_identical_to_stock_libero(suite, index, pro_assets):
    task, actions = pro_tasks(suite)[index], wild_actions(index)
    observations, states = stock_episode(task, pro_assets, 3, actions)
    env = LiberoEnv(task, SIZE, pro_assets)
    assert_same_episode(env, observations, states, actions)
    env.close()


def sound(task, assets) -> bool:
    """Build a task's scene, start it, and say whether its goal holds at once."""
    env = LiberoEnv(task, 64, assets)
    states = init_states(task.init_states)
    solved = False
    for index in (0, len(states) - 1):
        env.reset(Reset(index, settle_steps=0))
        assert np.array_equal(env.state(), states[index])
        env.reset(Reset(index))
        result = env.step(wild_actions(0)[:1] * 0)
        assert np.isfinite(result.states).all()
        solved |= any(result.reached)
        assert set(env.world.index.task_objects) <= set(env.world.index.all)
        assert env.world.index.task_objects
    env.close()
    return solved


@pytest.mark.slow
@pytest.mark.parametrize("suite", PRO_SUITES)
def test_every_task_builds_and_starts_unsolved(suite, pro_assets):
    assert [task.index for task in pro_tasks(suite) if sound(task, pro_assets)] == []


def test_the_stove_that_is_to_be_turned_off_is_off(pro_assets):
    """But it counts as off only once its knob is turned below zero."""
    env = LiberoEnv(pro_tasks("libero_goal_task")[7], 64, pro_assets)
    knob = env.world.model.joint("flat_stove_1_button")
    assert not init_states(env.task.init_states)[:, 1 + knob.qposadr[0]].any()
    assert list(knob.range) == [-0.005, 2.1]
    env.reset(Reset(0))
    assert not env.world.holds(env.task.goal)
    env.world.env.sim.data.set_joint_qpos("flat_stove_1_button", -0.001)
    env.world.env.sim.forward()
    assert env.world.holds(env.task.goal)
    env.close()


def test_recoloured_objects_say_where_they_are(pro):
    with pytest.raises(EnvError, match=r"has no red_basket; pip install simeval.official. and pass --assets official"):
        LiberoEnv(pro_tasks("libero_object_object")[9], 64, BUNDLED)


def test_every_recoloured_object_has_its_own_model_and_the_behaviour_of_another(pro_assets):
    use_assets(pro_assets)
    make = import_libero().objects.get_object_fn
    for kind, like in RECOLORED.items():
        ours, theirs = make(kind)(), make(like)()
        assert ours.category_name == kind
        assert (ours.rotation, ours.rotation_axis) == (theirs.rotation, theirs.rotation_axis)
        assert Path(ours.file).stem == kind
