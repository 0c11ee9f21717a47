"""Scenes of LIBERO-plus, built from the bundled models."""

from functools import cache

import numpy as np
import pytest

from envs import suites
from envs.base import EnvError, ResetOptions
from envs.build import make_env
from envs.libero.env import LiberoEnv
from envs.libero.files import resolve_assets
from envs.libero_plus.catalog import PLUS_SUITES, base_task, category
from envs.libero_plus.env import moved_camera
from envs.libero_plus.names import RUNNABLE, View, variation
from envs.libero_plus.poses import robot_pose
from simeval.testing import check_env

SPATIAL = "libero_spatial_plus"
RESET = ResetOptions(0, 7, 10)
SIZE = 64
TABLE = (
    np.array([0.6586131746834771, 0.0, 1.6103500240372423]),
    np.array([0.6380177736282349, 0.3048497438430786, 0.30484986305236816, 0.6380177736282349]),
)
FLOOR = (
    np.array([0.8965773716836134, 0.0, 0.65]),
    np.array([0.6182166934013367, 0.3432307541370392, 0.3432314395904541, 0.6182177066802979]),
)


@cache
def first(kind, suite=SPATIAL):
    """A task of a category; of noise one with fog, which is random and in every pixel."""
    found = [task for task in suites.tasks(suite) if category(task) == kind]
    return next(task for task in found if kind != "noise" or 31 <= variation(task.name).noise <= 40)


def build(task):
    return make_env(task.suite, task.index, SIZE, resolve_assets("bundled"))


def actions(seed, steps=6):
    chosen = np.random.default_rng(seed).uniform(-1, 1, (steps, 7))
    return chosen.astype(np.float32)


@pytest.fixture(scope="module")
def envs():
    """One environment of each category."""
    built = {kind: build(first(kind)) for kind in RUNNABLE}
    yield built
    for env in built.values():
        env.close()


@pytest.fixture(scope="module")
def plain():
    env = LiberoEnv(base_task(first("camera")), SIZE, resolve_assets("bundled"))
    yield env
    env.close()


@pytest.mark.parametrize("kind", RUNNABLE)
def test_a_reset_is_exact_from_any_history(envs, kind):
    env = envs[kind]
    env.reset(RESET)
    first_image, first_state = env.observe(), env.state()
    env.step(actions(1))
    moved_image, moved_state = env.observe(), env.state()
    env.reset(ResetOptions(0, 8, 3))
    env.step(actions(2, 15))
    env.scene().model.cam_pos[:] += 0.3
    env.reset(RESET)
    assert (env.state() == first_state).all()
    for camera, image in env.observe().images.items():
        assert (image == first_image.images[camera]).all()
    env.step(actions(1))
    assert (env.state() == moved_state).all()
    assert (env.observe().state == moved_image.state).all()
    for camera, image in env.observe().images.items():
        assert (image == moved_image.images[camera]).all()


@pytest.mark.parametrize("kind", RUNNABLE)
def test_the_contract_is_kept(kind):
    check_env(SPATIAL, task=first(kind).index, assets=resolve_assets("bundled"))


@pytest.mark.parametrize("kind", RUNNABLE)
def test_lazy_images_are_the_eager_ones(envs, kind):
    env = envs[kind]
    env.reset(RESET)
    seen = []
    for action in actions(3):
        env.step(action[None])
        seen.append(env.observe())
    snapshot = env.snapshot()
    env.reset(RESET)
    env.step(actions(3))
    last = env.observe(("wrist",))
    assert (last.images["wrist"] == seen[-1].images["wrist"]).all()
    env.reset(RESET)
    env.restore_view(snapshot)
    for camera, image in env.observe().images.items():
        assert (image == seen[-1].images[camera]).all()
    assert env.observe().step == seen[-1].step == 6


@pytest.mark.parametrize(
    ("camera", "view", "pos", "quat"),
    [  # from LIBERO-plus's own functions, which round to four digits
        (TABLE, View(315, 15), (0.3015, -0.3015, 1.7532), (-0.8785, -0.2861, -0.1185, -0.3639)),
        (TABLE, View(60), (0.3293, 0.5704, 1.6104), (0.2335, 0.1116, 0.4164, 0.8715)),
        (TABLE, View(0, 0, 1.5), (0.9879, 0.0, 2.0156), (0.638, 0.3048, 0.3048, 0.638)),
        (TABLE, View(0, 0, 1, 350, 6), (0.6586, 0.0, 1.6104), (-0.7048, -0.2994, -0.2405, -0.5965)),
        (FLOOR, View(315, 15), (0.6399, -0.6399, 0.8872), (-0.8594, -0.3392, -0.1405, -0.356)),
        (FLOOR, View(0, 0, 1.5), (1.3449, 0.0, 0.575), (0.6182, 0.3432, 0.3432, 0.6182)),
        (FLOOR, View(0, 0, 1, 4, 352), (0.8966, 0.0, 0.65), (-0.5701, -0.3748, -0.3957, -0.6148)),
    ],
)
def test_views_are_those_of_libero_plus(camera, view, pos, quat):
    moved, turned = moved_camera(*camera, view)
    assert moved == pytest.approx(pos, abs=1e-4)
    assert turned * np.sign(turned @ quat) == pytest.approx(quat, abs=1e-4)


def test_the_camera_category_moves_the_agent_view_and_nothing_else(envs, plain):
    env = envs["camera"]
    env.reset(RESET)
    plain.reset(RESET)
    model, camera = env.scene().model, env.scene().cameras["agentview"]
    expected = moved_camera(
        plain.scene().model.cam_pos[camera], plain.scene().model.cam_quat[camera], variation(env.task.name).view
    )
    assert plain.scene().model.cam_pos[camera] == pytest.approx(TABLE[0])
    assert plain.scene().model.cam_quat[camera] == pytest.approx(TABLE[1], abs=1e-6)
    assert model.cam_pos[camera] == pytest.approx(expected[0])
    assert model.cam_quat[camera] == pytest.approx(expected[1])
    ours, theirs = env.observe(), plain.observe()
    assert (ours.images["agentview"] != theirs.images["agentview"]).mean() > 0.2
    assert (ours.images["wrist"] == theirs.images["wrist"]).all()
    assert (env.state() == plain.state()).all()


def test_the_robot_starts_in_its_pose_and_keeps_it(envs, plain):
    env = envs["robot"]
    target = robot_pose(variation(env.task.name).robot)
    for settle_steps in (0, 10):
        env.reset(ResetOptions(0, 7, settle_steps))
        plain.reset(ResetOptions(0, 7, settle_steps))
        assert env.state()[1:8] == pytest.approx(target, abs=1e-6)
        assert np.abs(plain.state()[1:8] - target).max() > 0.02
    env.reset(ResetOptions(0, 7, 0))
    plain.reset(ResetOptions(0, 7, 0))
    assert (env.state()[8:] == plain.state()[8:]).all(), "objects are where they were"


def test_the_language_category_is_the_base_task_but_for_the_text(envs, plain):
    env = envs["language"]
    env.reset(RESET)
    plain.reset(RESET)
    assert (env.state() == plain.state()).all()
    for camera, image in env.observe().images.items():
        assert (image == plain.observe().images[camera]).all()
    assert env.task.instruction != plain.task.instruction


def test_noise_is_on_both_cameras_and_new_at_every_step(envs, plain):
    env = envs["noise"]
    env.reset(RESET)
    plain.reset(RESET)
    assert (env.state() == plain.state()).all()
    assert (env.observe().state == plain.observe().state).all()
    for camera in ("agentview", "wrist"):
        clean, noisy = plain.observe().images[camera], env.observe().images[camera]
        assert np.abs(clean.astype(float) - noisy).mean() > 0.5
        assert (env.observe((camera,)).images[camera] == noisy).all()
    one, other = (env._noisy(clean, "wrist", step) for step in (0, 1))
    assert (one != other).any()
    assert (one != env._noisy(clean, "agentview", 0)).any()


def test_videos_show_the_noise_of_their_moment(envs):
    """The video of a replay: states are loaded, and frames rendered at any size."""
    env = envs["noise"]
    env.reset(RESET)
    rendered, states = [], []
    for action in actions(5):
        env.step(action[None])
        rendered.append(env.render("agentview", 48))
        states.append(env.state())
    env.reset(RESET)
    for image, state in zip(rendered, states, strict=True):
        env.set_state(state)
        assert (env.render("agentview", 48) == image).all()
    assert env.render("wrist", 32).shape == (32, 32, 3)


def test_a_layout_starts_from_its_own_state(envs, plain):
    env = envs["layout"]
    env.reset(ResetOptions(0, 7, 0))
    plain.reset(ResetOptions(0, 7, 0))
    assert len(env.state()) == len(plain.state())
    assert (env.state()[8:] != plain.state()[8:]).any()
    with pytest.raises(EnvError, match=r"has 0\.\.0$"):
        env.reset(ResetOptions(1, 7, 0))


def sample(kind, count):
    """Tasks of a category, evenly over the suites."""
    found = [task for suite in PLUS_SUITES for task in suites.tasks(suite) if category(task) == kind]
    return found[:: len(found) // count][:count]


def builds(task):
    env = build(task)
    env.reset(RESET)
    images = env.observe().images
    result = env.step(actions(1))
    env.close()
    assert all(image.std() > 1 for image in images.values()), task.name
    assert not any(result.reached), task.name
    assert np.isfinite(result.states).all(), task.name


@pytest.mark.parametrize("suite", PLUS_SUITES)
def test_a_layout_of_each_suite_builds(suite):
    builds([task for task in suites.tasks(suite) if category(task) == "layout"][-1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNNABLE)
def test_a_sample_of_each_category_builds(kind):
    for task in sample(kind, 40):
        builds(task)
