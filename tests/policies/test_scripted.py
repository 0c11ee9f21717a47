"""The scripted policies: the floor, and the toy suite's eyes."""

import numpy as np
import pytest

from envs.base import Observation
from envs.interface import CONTROL_HZ
from envs.suite import INIT_STATES
from envs.suites import limits, tasks
from envs.toy import env as toy
from envs.toy.tasks import TOY_COLORS
from simeval.core.types import EpisodeSpec
from simeval.policies import scripted
from simeval.policies.base import PolicyInput
from simeval.policies.registry import PolicyChoice, load_policy

MAX_STEPS = limits("openvla", "toy").max_steps
SEEKER = scripted.SeekerPolicy()


@pytest.fixture(scope="module")
def envs():
    envs = [toy.ToyEnv(task, 128) for task in range(4)]
    yield envs
    for env in envs:
        env.close()


def spec(task: int, init_state: int) -> EpisodeSpec:
    return EpisodeSpec("toy", task, init_state, "none", 0, 0, 0, MAX_STEPS, 0, 128)


def request(observation: Observation, instruction: str, *, noise_seed: int = 0, chunk: int = 0) -> PolicyInput:
    return PolicyInput(observation, instruction, "toy/0/init00/r0", chunk, noise_seed)


def blank(level: int = 128) -> Observation:
    picture = np.full((128, 128, 3), level, np.uint8)
    return Observation({"agentview": picture}, np.zeros(8, np.float32), 0)


def seek(env: toy.ToyEnv, init_state: int, instruction: str, see=lambda picture: picture) -> tuple[bool, ...]:
    """One episode, with pictures that `see` may change; which of the watched goals was reached."""
    goals = env.goals
    env.reset(spec(0, init_state))
    env.goals = goals
    steps = 0
    while steps < MAX_STEPS:
        clean = env.observe(SEEKER.spec.cameras)
        observation = Observation({"agentview": see(clean.images["agentview"])}, clean.state, clean.step)
        (chunk,) = SEEKER.act([request(observation, instruction)])
        result = env.step(chunk[: min(SEEKER.spec.n_action_steps, MAX_STEPS - steps)])
        steps += result.steps
        if any(result.reached):
            break
    return result.reached


def success(envs: list[toy.ToyEnv], init_states: range, see=lambda picture: picture) -> float:
    outcomes = []
    for env, task in zip(envs, tasks("toy"), strict=True):
        env.goals = (task.goal,)
        outcomes += [seek(env, init_state, task.instruction, see)[0] for init_state in init_states]
    return float(np.mean(outcomes))


def noisy(sigma: float):
    draw = np.random.default_rng(0)
    return lambda picture: np.clip(picture + draw.normal(0, 255 * sigma, picture.shape), 0, 255).astype(np.uint8)


def darkened(factor: float):
    return lambda picture: (picture * factor).astype(np.uint8)


@pytest.mark.parametrize("name", ["zero", "random", "seeker"])
def test_contract(name):
    policy = load_policy(PolicyChoice(name))
    inputs = [request(blank(), "touch the red block", noise_seed=seed, chunk=seed) for seed in range(3)]
    batch = policy.act(inputs)
    assert policy.spec.name == name
    assert not policy.spec.privileged
    assert all(chunk.shape == (scripted.CHUNK, 7) and chunk.dtype == np.float32 for chunk in batch)
    assert policy.spec.n_action_steps <= scripted.CHUNK
    assert all(np.abs(chunk).max() <= 1 for chunk in batch)
    alone = [policy.act([one])[0] for one in reversed(inputs)][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(batch, alone, strict=True))
    assert policy.act([]) == []


def test_policies_without_eyes_ask_for_no_pictures():
    blind = Observation({}, np.zeros(8, np.float32), 0)
    for policy in (scripted.ZeroPolicy(), scripted.RandomPolicy()):
        assert policy.spec.cameras == ()
        policy.act([request(blind, "")])
    assert SEEKER.spec.cameras == ("agentview",)


def test_zero_is_idle_with_an_open_gripper():
    (chunk,) = scripted.ZeroPolicy().act([request(blank(), "")])
    assert not chunk[:, :-1].any()
    assert (chunk[:, -1] == -1).all()


def test_random_depends_on_the_noise_seed_alone():
    def draw(seed: int, instruction: str, level: int) -> np.ndarray:
        return scripted.RandomPolicy().act([request(blank(level), instruction, noise_seed=seed)])[0]

    assert np.array_equal(draw(5, "a", 0), draw(5, "b", 9))
    assert not np.array_equal(draw(5, "a", 0), draw(6, "a", 0))
    assert draw(2**63 - 1, "", 0).std() == pytest.approx(1 / np.sqrt(3), rel=0.2)


def test_calibration(envs):
    """What the policy knows by heart is what the scene has; every block is found to within half a block."""
    model = envs[0].scene().model
    camera = envs[0].scene().cameras["agentview"]
    axes = np.empty(9)
    toy.mujoco.mju_quat2Mat(axes, model.cam_quat[camera])
    assert np.allclose(model.cam_pos[camera], scripted._CAMERA)
    assert np.allclose(axes.reshape(3, 3)[:, 0], scripted._RIGHT)
    assert np.allclose(axes.reshape(3, 3)[:, 1], scripted._UP)
    assert np.deg2rad(model.cam_fovy[camera]) == pytest.approx(scripted._FOVY)
    assert toy.BLOCK_SIDE / 2 == scripted._BLOCK_CENTER
    assert toy.TIP_SPEED / CONTROL_HZ == scripted._STEP

    errors = []
    for init_state in range(0, INIT_STATES, 5):
        envs[0].reset(spec(0, init_state))
        picture = envs[0].render("agentview", 128)
        for color, pose in zip(TOY_COLORS, toy.block_poses(0, init_state), strict=True):
            # The map holds for other shapes too: cut off at both sides, the camera's axis stays in the middle.
            for view in (picture, picture[:, 10:-10], envs[0].render("agentview", 200)):
                pixel = scripted.find_color(view, color)
                assert pixel is not None
                errors.append(np.linalg.norm(scripted.locate(pixel, *view.shape[:2]) - pose[:2]))
    assert max(errors) < toy.BLOCK_SIDE / 2
    assert np.median(errors) < 0.005


def test_seeker_solves_the_suite(envs):
    assert success(envs, range(0, INIT_STATES, 5)) >= 0.9


def test_seeker_degrades(envs):
    few = range(2, INIT_STATES, 10)
    assert success(envs, few, noisy(0.1)) >= 0.9
    assert success(envs, few, darkened(0.5)) >= 0.9
    assert 0.3 <= success(envs, few, noisy(0.3)) <= 0.95
    assert success(envs, few, darkened(0.2)) <= 0.5


def test_seeker_goes_where_it_is_told(envs):
    followed = []
    for init_state in range(0, INIT_STATES, 10):
        for task, other in ((0, "blue"), (1, "red"), (2, "yellow"), (3, "green")):
            envs[task].goals = (tasks("toy")[task].goal, (("touch", f"{other}_block"),))
            followed.append(seek(envs[task], init_state, f"touch the {other} block") == (False, True))
    assert np.mean(followed) >= 0.9


@pytest.mark.parametrize("instruction", ["", "touch the purple block", "touch the bored blocks", "wait"])
def test_seeker_waits_where_no_known_color_is_named(envs, instruction):
    envs[0].reset(spec(0, 0))
    (chunk,) = SEEKER.act([request(envs[0].observe(SEEKER.spec.cameras), instruction)])
    assert not chunk[:, :-1].any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_seeker_waits_where_it_sees_nothing(level):
    (chunk,) = SEEKER.act([request(blank(level), "Touch the RED block.")])
    assert not chunk[:, :-1].any()


def test_first_color_counts_in_any_case(envs):
    envs[0].reset(spec(0, 0))
    observation = envs[0].observe(SEEKER.spec.cameras)
    both, one = SEEKER.act(
        [request(observation, "The BLUE, not the red."), request(observation, "touch the blue block")]
    )
    assert np.array_equal(both, one)
    assert both[:, :2].any()
