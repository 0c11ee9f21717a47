"""Stock LIBERO's episodes, to hold our environment against: hard reset, cameras always on."""

import functools

import numpy as np

from envs.base import ResetOptions
from envs.libero.env import IDLE_ACTION
from envs.libero.files import import_libero, init_states, silence, use_assets

SIZE = 128
STEPS = 18
SEED = 7


Reset = functools.partial(ResetOptions, env_seed=SEED, settle_steps=10)


def wild_actions(seed):
    """A random walk that pushes into the table: contacts, joint limits and gripper switches."""
    rng = np.random.default_rng(seed)
    actions = np.clip(np.cumsum(rng.normal(0, 0.4, (STEPS, 7)), axis=0), -1, 1)
    actions[:, 2] -= 0.4
    actions[:, 6] = np.sign(actions[:, 6])
    return actions.astype(np.float32)


def stock_episode(task, assets, init_state, actions, meddle=None):
    """What a new stock environment shows and does after its first hard reset."""
    module = import_libero()
    use_assets(assets)
    with silence():
        env = module.OffScreenRenderEnv(bddl_file_name=str(task.bddl), camera_heights=SIZE, camera_widths=SIZE)
        env.seed(SEED)
        env.reset()
        observation = env.set_init_state(init_states(task.init_states)[init_state])
        for _ in range(10):
            observation, *_ = env.step(list(IDLE_ACTION))
    if meddle:
        meddle(env.env.sim)
    observations, states = [observation], [env.get_sim_state()]
    for action in actions:
        observation, *_ = env.step(action)
        observations.append(observation)
        states.append(env.get_sim_state())
    env.close()
    return observations, states


def assert_same_picture(env, stock, step):
    ours = env.observe().images
    for camera, name in (("agentview", "agentview_image"), ("wrist", "robot0_eye_in_hand_image")):
        assert np.array_equal(ours[camera], stock[name][::-1, ::-1]), f"{camera} after step {step}"


def raw_proprioception(env):
    seen, arm = env.world.seen, env.world.arm
    return np.concatenate((seen.site_xpos[arm.site], seen.xquat[arm.hand][[1, 2, 3, 0]], seen.qpos[arm.fingers]))


def assert_same_episode(env, observations, states, actions):
    """Our episode from initial state 3, against a stock one of the same actions, to the byte."""
    env.reset(Reset(init_state=3))
    env.goals = ()
    for step in range(STEPS + 1):
        if step:
            env.step(actions[step - 1 : step])
        assert np.array_equal(env.state(), states[step]), f"state after step {step}"
        stock = observations[step]
        wanted = [stock[f"robot0_{name}"] for name in ("eef_pos", "eef_quat", "gripper_qpos")]
        assert np.array_equal(raw_proprioception(env), np.concatenate(wanted)), f"proprioception after step {step}"
        if step % 3 == 0:  # what a policy with chunks consumes; nothing is drawn in between
            assert_same_picture(env, stock, step)
