"""Meta-World's scenes against the package's own environments, and against lerobot's images."""

import gc

import metaworld
import numpy as np
import pytest

from envs.base import EnvError, ResetOptions
from envs.build import make_env
from envs.metaworld.env import SEED
from envs.metaworld.expert import expert_action
from envs.suites import tasks
from simeval.testing import check_env

BY_NAME = {task.name: task for task in tasks("metaworld_mt50")}


def build(name, resolution=64):
    return make_env("metaworld_mt50", BY_NAME[name].index, resolution, None)


@pytest.fixture(scope="module")
def drawer():
    env = build("drawer-open-v3")
    yield env
    env.close()


def packages_own(name, init_state):
    """A new environment of the package after its first reset, and its observation."""
    benchmark = metaworld.MT1(name, seed=SEED)
    env = benchmark.train_classes[name]()
    env.set_task(benchmark.train_tasks[init_state])
    return env, env.reset()[0]


@pytest.mark.parametrize("name", ["reach-v3", "drawer-close-v3", "pick-out-of-hole-v3", "stick-push-v3", "sweep-v3"])
def test_the_experts_episodes_are_the_packages_to_the_byte(name):
    ours, (theirs, seen) = build(name), packages_own(name, 49)
    goal = ours.task.goal
    ours.reset(ResetOptions(0))
    ours.step(np.ones((9, 4), np.float32))  # an earlier episode leaves no trace
    ours.reset(ResetOptions(49))
    for _ in range(500):
        assert ours.privileged(goal).native.tobytes() == seen.tobytes()
        action = expert_action(goal[0][0], seen)
        seen, _, _, _, info = theirs.step(action)
        assert ours.step(action[None]).reached == (bool(info["success"]),)
        ours.observe(())  # looking changes nothing
        for one, other in ((ours.data.qpos, theirs.data.qpos), (ours.data.qvel, theirs.data.qvel)):
            assert one.tobytes() == other.tobytes()
        if info["success"]:
            break
    assert info["success"]
    theirs.close()
    ours.close()


def test_images_and_states_are_lerobots_to_the_byte():
    from lerobot.envs.metaworld import MetaworldEnv

    theirs = MetaworldEnv("coffee-push-v3", obs_type="pixels_agent_pos")
    theirs._ensure_env()
    inner = theirs._env
    inner._freeze_rand_vec = True
    inner.set_task(metaworld.MT1("coffee-push-v3", seed=SEED).train_tasks[3])
    raw, _ = inner.reset()
    ours = build("coffee-push-v3", 480)
    ours.reset(ResetOptions(3))
    for _ in range(9):
        action = np.array([0.3, 0.9, -1.7, 0.2], np.float32)  # out of range: both clip it
        raw, *_ = inner.step(action)
        ours.step(action[None])
    expected, seen = theirs._format_raw_obs(raw), ours.observe()
    assert np.array_equal(seen.images["agentview"], expected["pixels"])
    assert np.array_equal(seen.state, expected["agent_pos"].astype(np.float32))
    ours.close()
    theirs.close()
    del theirs, inner
    gc.collect()


@pytest.mark.parametrize("name", ["drawer-open-v3", "push-v3"])
def test_the_contract_is_kept(name):
    check_env("metaworld_mt10", task=[task.name for task in tasks("metaworld_mt10")].index(name), resolution=48)


def test_initial_states_are_the_packages_draws():
    env = build("pick-place-wall-v3")
    drawn = metaworld.MT1("pick-place-wall-v3", seed=SEED).train_tasks
    assert [task.data for task in env._starts] == [task.data for task in drawn]
    with pytest.raises(EnvError, match="metaworld_mt50 has initial states 0 to 49, not 50"):
        env.reset(ResetOptions(50))


def test_the_package_does_not_limit_the_steps(drawer):
    drawer.reset(ResetOptions(0, settle_steps=5))
    drawer.goals = ()
    assert drawer.step(np.zeros((501, 4), np.float32)).steps == 501
    assert drawer.observe(()).step == 501


def test_success_ends_with_the_next_reset(drawer):
    drawer.reset(ResetOptions(0))
    goal = drawer.task.goal
    while not drawer.step(expert_action("drawer-open", drawer.privileged(goal).native)[None]).reached[0]:
        pass
    assert drawer.holds(goal[0])
    assert drawer.approached == "drawer"
    drawer.reset(ResetOptions(1))
    assert not drawer.holds(goal[0])
    assert drawer.approached is None


def test_other_goals_are_refused(drawer):
    drawer.reset(ResetOptions(0))
    drawer.goals = (BY_NAME["drawer-close-v3"].goal,)
    with pytest.raises(EnvError, match=r"task 19 cannot tell whether \('drawer-close', 'drawer'\) holds"):
        drawer.step(np.zeros((1, 4), np.float32))


def test_the_expert_sees_an_intervention():
    env = build("push-v3")
    env.reset(ResetOptions(0))
    goal = env.task.goal
    before = env.privileged(goal).native

    def move(physics):
        physics.data.qpos[physics.objects["obj"]] += 0.05

    env.intervene(move)
    moved = env.privileged(goal).native - before
    assert moved[4] == pytest.approx(0.05, abs=1e-6)
    assert np.count_nonzero(np.abs(moved[:18]) > 1e-6) == 1
    assert not moved[18:].any()


def centre(env):
    rows, columns = np.nonzero(env.masks("agentview", ["drawer"])["drawer"])
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize(
    ("text", "axis", "sign"),
    [
        ("camera.shift:5/direction=left", 0, 1),
        ("camera.shift:5/direction=up", 1, 1),
        ("camera.rotate:4/direction=right", 0, -1),
        ("camera.rotate:4/direction=down", 1, -1),
    ],
)
def test_axes_of_cameras_mean_what_the_view_shows(drawer, text, axis, sign):
    """A camera that moves or turns to one side sees things move to the other."""
    from perturbations.spec import parse

    drawer.reset(ResetOptions(0))
    before = centre(drawer)
    parse(text).apply_scene(drawer.scene(), lambda *_: np.random.default_rng(0))
    assert sign * (centre(drawer) - before)[axis] > 1


def test_masks_lie_on_what_they_name(drawer):
    """The drawer is green, and nothing else at the start is."""
    drawer.reset(ResetOptions(0))
    image = drawer.observe().images["agentview"].astype(int)
    mask = drawer.masks("agentview", ["drawer"])["drawer"]
    green = (image[..., 1] > image[..., 0] + 25) & (image[..., 1] > image[..., 2] + 25)
    assert mask.sum() > 50
    assert (green & mask).sum() > 0.7 * green.sum()
