"""The measurement of a policy's latency: what is timed, and how many control steps it is."""

import json

import numpy as np
import pytest
from helpers import call, refusal, rows, toy_config

from envs.interface import LIBERO_INTERFACE, Interface
from perturbations.spec import parse
from simeval import evaluate
from simeval.core import latency_profile
from simeval.core.errors import ConfigError
from simeval.core.seeding import PairStreams
from simeval.policies import profile
from simeval.policies.base import PolicySpec
from simeval.policies.expert.policy import LiberoExpert
from simeval.policies.profile import Profile, measure
from simeval.testing import check_perturbation


class Slow:
    """Takes 10 ms for its first answer, 20 for the second, and so on, on a clock of its own."""

    spec = PolicySpec("slow", n_action_steps=4, cameras=("wrist",), n_obs_steps=2, image_size=(24, 32))

    def __init__(self, monkeypatch):
        self.now, self.inputs = 0.0, []
        monkeypatch.setattr(profile.time, "perf_counter", lambda: self.now)

    def act(self, inputs):
        self.inputs += inputs
        self.now += 0.01 * len(self.inputs)
        return [np.zeros((4, 7), np.float32) for _ in inputs]


def test_each_answer_is_timed_alone_after_the_warm_up(monkeypatch):
    policy = Slow(monkeypatch)
    found = measure(policy, LIBERO_INTERFACE, calls=4, warmup=2)
    assert found.seconds == pytest.approx((0.03, 0.04, 0.05, 0.06))
    assert [request.chunk_index for request in policy.inputs] == list(range(6))
    assert [request.observation.step for request in policy.inputs] == [0, 4, 8, 12, 16, 20]
    assert policy.inputs[0].observation.images["wrist"].shape == (24, 32, 3)
    assert [len(request.past) for request in policy.inputs] == [1] * 6


@pytest.mark.parametrize(
    ("seconds", "hz", "steps"),
    [
        (0.0, 20, 0),
        (0.0001, 20, 1),
        (0.05, 20, 1),
        (0.051, 20, 2),
        (0.1, 20, 2),
        (0.15, 20, 3),
        (0.1, 80, 8),
        (0.3, 10, 3),
    ],
)
def test_a_time_is_rounded_up_to_control_steps(seconds, hz, steps):
    assert Profile((seconds,), hz).steps(seconds) == steps


def test_a_percentile_is_a_time_that_was_measured():
    found = Profile((0.1, 0.4, 0.2, 0.3), 20)
    assert [found.percentile(percent) for percent in (0, 50, 90, 100)] == [0.1, 0.3, 0.4, 0.4]


def test_a_policy_that_reads_the_simulator_has_no_time_of_its_own():
    with pytest.raises(ConfigError, match="--policy expert: it reads the simulator"):
        measure(LiberoExpert(), Interface(), calls=2, warmup=0)


def test_the_command_prints_the_numbers_for_latency_and_keeps_the_times(tmp_path):
    out = tmp_path / "times.json"
    done = call("profile", "--policy", "seeker", "--suite", "toy", "--calls", "7", "--out", str(out))
    assert done.code == 0, done
    assert "seeker: 7 questions, one at a time, after 5 others" in done.out
    assert "latency in control steps of 50 ms, rounded up" in done.out
    stored = json.loads(out.read_text())
    assert len(stored["seconds"]) == 7
    assert stored["policy"]["name"] == "seeker"
    assert stored["latency"]["p99"] == Profile(tuple(stored["seconds"]), 20).steps(max(stored["seconds"]))


@pytest.mark.usefixtures("registry")
def test_a_profile_is_an_axis_for_every_process_that_runs_episodes(tmp_path):
    """Times of 90 and 210 ms are 2 and 5 steps; at a tenth of them, 1 and 1."""
    times = tmp_path / "times.json"
    times.write_text(json.dumps({"seconds": [0.09, 0.21], "host": {"cpu": "any"}}))
    config = {"plugin": (str(times),), "perturb": ("latency.profile:1,0.1",), "init_states": "0-1", "tasks": "0"}
    serial, several = (
        rows(evaluate(toy_config(tmp_path / str(workers), workers=workers, **config)).folder) for workers in (0, 2)
    )
    assert serial == several
    waits = [row["execution"]["latencies"] for id_, row in serial.items() if "latency.profile=1/" in id_]
    assert {wait for each in waits for wait in each} == {2, 5}
    assert waits[0] != waits[1]
    quick = [row["execution"]["latencies"] for id_, row in serial.items() if "latency.profile=0.1/" in id_]
    assert {wait for each in quick for wait in each} == {1}
    check_perturbation("latency.profile")
    manifest = json.loads((tmp_path / "0" / "manifest.json").read_text())
    assert list(manifest["identity"]["plugins"]) == ["times.json"]


def test_a_time_is_counted_in_the_control_steps_of_the_suite(registry):
    latency_profile.register_axis('{"seconds": [0.1]}')
    applied = parse("latency.profile:1").start(PairStreams(0, (1, 2, 3, 4)).generator)
    assert applied.latency(0) == 2
    applied.control_hz = 80
    assert applied.latency(0) == 8


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("text", ["", "{}", '{"seconds": []}', '{"seconds": [-1]}', '{"seconds": ["1"]}', "import os"])
def test_a_file_that_is_no_profile_is_refused_in_one_line(text, tmp_path):
    times = tmp_path / "times.json"
    times.write_text(text)
    said = refusal("plan", "--suite", "toy", "--plugin", str(times), "--perturb", "latency.profile:1")
    assert "it is not a file of simeval profile" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "{tmp}/no/times.json"), "no such folder"),
        (("--suite", "toi"), "no suite 'toi'; did you mean 'toy'?"),
        (("--calls", "1"), "--calls 1: must be in [2, 10000]"),
        (("--policy", "seekr"), "did you mean"),
    ],
)
def test_bad_input_is_one_line(options, said, tmp_path):
    assert said in refusal("profile", *(word.format(tmp=tmp_path) for word in options))
