import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

NAME = "envs.gymnasium_env:simeval/Task-v0"


def test_gymnasiums_own_checker_accepts_it():
    env = gymnasium.make(NAME, suite="toy", task=2, render_mode="rgb_array")
    check_env(env.unwrapped, skip_render_check=False)
    env.close()


def test_an_episode_ends_by_truncation_at_the_protocols_limit():
    env = gymnasium.make(NAME, suite="toy", task=0)
    observation, info = env.reset(options={"init_state": 7})
    assert info == {"instruction": "touch the red block", "init_state": 7}
    assert observation["agentview"].shape == (128, 128, 3)
    for step in range(1, 61):
        _, reward, terminated, truncated, _ = env.step(np.zeros(7, np.float32))
        assert (reward, terminated, truncated) == (0.0, False, step == 60)
    env.close()


def test_touching_the_block_terminates_with_reward():
    env = gymnasium.make(NAME, suite="toy", task=1).unwrapped
    observation, _ = env.reset(options={"init_state": 0})
    goal = env.env.goals[0]
    for _ in range(60):
        block = env.env.privileged(goal).objects["green_block"].pos
        move = np.zeros(7, np.float32)
        move[:3] = np.clip((block - observation["state"][:3]) * 40, -1, 1)
        observation, reward, terminated, _, info = env.step(move)
        if terminated:
            break
    assert terminated
    assert reward == 1.0
    assert info["is_success"]
    env.close()
