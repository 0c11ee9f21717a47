"""Suites whose robots have other actions, states and cameras than LIBERO's."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from helpers import call, refusal

from envs.goals import EnvError
from envs.interface import LIBERO_INTERFACE, Interface
from envs.sim.mujoco_env import MujocoEnv
from envs.suite import INIT_STATES
from envs.suites import find_suite, register_suite
from envs.toy.env import ToyEnv
from envs.toy.scene import SCENE
from envs.toy.tasks import toy_tasks
from simeval import EvalConfig, evaluate
from simeval.core.errors import ConfigError
from simeval.policies.base import PolicySpec
from simeval.testing import check_env, check_policy

INTERFACE = Interface(cameras=("agentview",), action_size=4, state_size=3)


class Gantry(ToyEnv):
    """The toy suite's scene without its wrist camera; an action has four numbers, the state three."""

    def __init__(self, task, resolution):
        scene = re.sub(r'<camera name="wrist".*?/>', "", SCENE)
        MujocoEnv.__init__(self, TASKS[task], scene, resolution, INIT_STATES, INTERFACE)

    def proprioception(self):
        return super().proprioception()[:3]


TASKS = tuple(replace(task, suite="gantry") for task in toy_tasks())


@pytest.fixture(autouse=True)
def gantry(suite_registry):
    register_suite(
        replace(
            find_suite("toy"),
            name="gantry",
            tasks=lambda: TASKS,
            make_env=lambda task, resolution, assets: Gantry(task.index, resolution),
            interface=INTERFACE,
            default_policy="",
        )
    )


class Diver:
    """Moves by the mean brightness of its image."""

    spec = PolicySpec("diver", 5, ("agentview",), action_size=4, state_size=3, fingerprint=(("v", 1),))

    def act(self, inputs):
        chunks = []
        for request in inputs:
            assert request.observation.state.shape == (3,)
            assert list(request.observation.images) == ["agentview"]
            direction = request.observation.images["agentview"].mean() / 255
            chunks.append(np.tile(np.array([direction, 0.2, -0.1, -1], np.float32), (5, 1)))
        return chunks


FEW = {"suite": ("gantry",), "tasks": "0", "init_states": "0-1"}


def test_the_environment_and_the_policy_keep_the_rules():
    check_env("gantry")
    check_policy(Diver())


def test_a_run_with_a_policy_that_fits(tmp_path):
    config = EvalConfig(**FEW, perturb=("noise:0.2", "light:0.3", "camera.orbit:9"), out=str(tmp_path / "run"))
    run = evaluate(config, policy=Diver())
    assert set(run.episodes.outcome) <= {"success", "failure"}
    assert run.episodes.groupby("condition", observed=True).size().to_dict() == {
        "none": 2, "noise:0.2": 2, "light:0.3": 2, "camera.orbit:9": 2
    }  # fmt: skip
    video = call("video", tmp_path / "run", "--compare", "--limit", 1)
    assert video.code == 0, video.err
    assert "gantry has only agentview" in refusal("video", tmp_path / "run", "--camera", "wrist")


@pytest.mark.parametrize("policy", ["zero", "random"])
def test_scripted_policies_take_the_suites_sizes(tmp_path, policy):
    run = evaluate(EvalConfig(**FEW, policy=policy, workers=0, out=str(tmp_path / "run")))
    assert set(run.episodes.outcome) <= {"success", "failure"}
    assert run.trace(run.results[0]).actions.shape[1] == 4


def test_perturbations_that_do_not_apply_are_refused_with_the_reason():
    for text, reason in (
        ("noise:0.2@wrist", "gantry has no camera 'wrist'"),
        ("action.noise:0.1", "written for states of 8 and actions of 7 numbers, gantry has 3 and 4"),
        ("proprio.noise:0.1", "written for states of 8 and actions of 7 numbers, gantry has 3 and 4"),
    ):
        assert reason in refusal("plan", "--suite", "gantry", "--policy", "zero", "--perturb", text)


def test_a_policy_of_other_sizes_is_refused_before_the_first_episode(tmp_path):
    class Seven(Diver):
        spec = replace(Diver.spec, action_size=7)

    class Eight(Diver):
        spec = replace(Diver.spec, state_size=8)

    class TwoEyes(Diver):
        spec = replace(Diver.spec, cameras=("agentview", "wrist"))

    for policy, line in (
        (Seven(), "does not fit gantry: its actions have 7 numbers, the suite's 4"),
        (Eight(), "does not fit gantry: its states have 8 numbers, the suite's 3"),
        (TwoEyes(), "does not fit gantry: it wants the camera wrist, the suite has agentview"),
    ):
        with pytest.raises(ConfigError, match=line):
            evaluate(EvalConfig(**FEW, out=str(tmp_path / "run")), policy=policy)
    with pytest.raises(ConfigError, match="does not fit toy: its actions have 4 numbers, the suite's 7"):
        evaluate(EvalConfig(suite=("toy",), tasks="0", init_states="0", out=str(tmp_path / "toy")), policy=Diver())
    assert not (tmp_path / "run" / "episodes.jsonl").exists()


def test_another_control_rate_is_that_of_the_scene():
    with pytest.raises(EnvError, match=r"a time step of 0\.005 s; it must divide 0\.0125 s"):
        MujocoEnv.__init__(object.__new__(ToyEnv), TASKS[0], SCENE, 64, 1, replace(LIBERO_INTERFACE, control_hz=80))


def test_suites_of_different_robots_do_not_share_a_run():
    line = refusal("plan", "--suite", "gantry", "--suite", "toy", "--policy", "zero")
    assert "gantry and toy cannot share a run: gantry has actions of 4 numbers, states of 3, cameras agentview" in line


def test_drift_is_not_defined_for_it(tmp_path):
    evaluate(EvalConfig(**FEW, out=str(tmp_path / "run")), policy=Diver())
    assert call("show", tmp_path / "run").code == 0
    policy = tmp_path / "diver.py"
    policy.write_text(
        "from simeval.policies.base import PolicySpec\n"
        "import numpy as np\n"
        "class make:\n"
        "    spec = PolicySpec('diver', 5, ('agentview',), action_size=4, state_size=3)\n"
        "    def act(self, inputs):\n"
        "        return [np.zeros((5, 4), np.float32) for _ in inputs]\n"
    )
    line = refusal("audit", tmp_path / "run", "--policy", policy, "--perturb", "noise:0.1")
    assert "drift is defined for LIBERO's 7 and 8" in line


def test_a_preview_shows_its_one_camera(tmp_path):
    from PIL import Image

    out = tmp_path / "gantry.png"
    assert call("preview", "--suite", "gantry", "--out", out, "--size", 128).code == 0
    assert Image.open(out).width == 128
    assert call("preview", "--suite", "gantry", "--out", out, "--perturb", "noise:0.2").code == 0


def test_the_gymnasium_environment_has_its_spaces():
    import gymnasium

    env = gymnasium.make("envs.gymnasium_env:simeval/Task-v0", suite="gantry", task=1)
    assert env.action_space.shape == (4,)
    assert {name: space.shape for name, space in env.observation_space.items()} == {
        "agentview": (128, 128, 3), "state": (3,)
    }  # fmt: skip
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    env.step(env.action_space.sample())
    env.close()


@pytest.mark.parametrize(
    ("interface", "line"),
    [
        (Interface(cameras=()), "interface.cameras is ()"),
        (Interface(cameras=("wrist", "agentview")), "in this order"),
        (Interface(cameras=("front",)), "interface.cameras is ('front',)"),
        (Interface(action_size=0), "interface.action_size is 0"),
        (Interface(state_size=2.0), "interface.state_size is 2.0"),
        (Interface(control_hz=0), "interface.control_hz is 0"),
    ],
)
def test_interfaces_that_no_suite_has(interface, line):
    tasks = tuple(replace(task, suite="other") for task in TASKS)
    with pytest.raises(ValueError, match=re.escape(line)):
        register_suite(replace(find_suite("toy"), name="other", tasks=lambda: tasks, interface=interface))


def test_the_manifest_says_nothing_new_for_libero(tmp_path):
    run = evaluate(
        EvalConfig(suite=("toy",), policy="zero", tasks="0", init_states="0", workers=0, out=str(tmp_path / "r"))
    )
    assert "action_size" not in json.dumps(run.manifest)
