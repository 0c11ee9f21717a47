"""LIBERO-PRO's scenes, from the assets that its authors publish."""

import numpy as np
import pytest
from stock_libero import SIZE, Reset, assert_same_episode, stock_episode, wild_actions

from envs.libero.env import LiberoEnv
from envs.libero.files import init_states
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
    solved = [task.index for task in pro_tasks(suite) if sound(task, pro_assets)]
    assert solved == SOLVED.get(suite, [])


SOLVED = {"libero_goal_task": [7]}
"""Tasks whose goal holds before the policy does anything."""
