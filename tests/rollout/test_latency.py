"""Latency in the loop, on the toy suite: what an episode costs when the policy's answers take time."""

import numpy as np
import pytest
from helpers import roll_out, rows, toy_config, toy_spec, trace_bytes, without_timings
from msgspec import structs

from envs.base import CAMERAS
from envs.toy.env import ToyEnv
from perturbations.base import NUMBER, AxisInfo, Stage, register
from simeval import evaluate
from simeval.core.errors import ConfigError
from simeval.core.types import EpisodeResult, Execution
from simeval.policies.base import PolicySpec
from simeval.policies.scripted import RandomPolicy, SeekerPolicy
from simeval.rollout import episode_log
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import TraceRecorder


@pytest.fixture(scope="module")
def env():
    env = ToyEnv(0, 128)
    yield env
    env.close()


class Counting:
    """Moves slowly, and says in the last action number which of its chunks it is and where in it."""

    spec = PolicySpec("counting", n_action_steps=3, cameras=(), continues=True)

    def act(self, inputs):
        chunk = np.zeros((5, 7), np.float32)
        chunk[:, 3] = (inputs[0].chunk_index + 1) / 10
        chunk[:, 4] = np.arange(5) / 10
        chunk[:, 6] = 1
        return [chunk]


class Watching:
    """The seeker, asked for two observations, remembering them."""

    spec = PolicySpec("watching", n_action_steps=6, cameras=CAMERAS, n_obs_steps=2)

    def __init__(self):
        self.inputs = []

    def act(self, inputs):
        self.inputs += inputs
        return SeekerPolicy().act(inputs)


def plan(trace) -> str:
    """A trace's actions as in `test_schedule.py`."""
    words = [f"{10 * a[3]:.0f}{10 * a[4]:.0f}" if a[3] else "-" for a in trace.actions]
    return " ".join("?" * (step in trace.chunk_steps) + word for step, word in enumerate(words))


@pytest.mark.parametrize("options", ["", "/mode=async", "/mode=rtc", "/mode=async/threshold=0.5/merge=average"])
@pytest.mark.parametrize("policy", [SeekerPolicy(), RandomPolicy()], ids=["seeker", "random"])
def test_latency_0_is_byte_identical_to_none(env, policy, options):
    spec = toy_spec(init_state=1)
    clean, clean_trace = roll_out(spec, env, policy)
    same, same_trace = roll_out(structs.replace(spec, condition=f"latency:0{options}"), env, policy)
    assert trace_bytes(same_trace) == trace_bytes(clean_trace)
    assert structs.replace(same, spec=spec, timings=clean.timings) == clean
    assert without_timings(structs.replace(same, spec=spec).row()) == without_timings(clean.row())
    assert "execution" not in same.row()


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("none", "?10 11 12 ?20 21 22 ?30 31 32 ?40 41"),
        ("latency:2", "?- - 10 11 12 ?- - 20 21 22 ?-"),
        ("latency:100ms/mode=async", "?- - 10 11 12 ?13 14 22 ?23 24 32"),
        ("latency:4/mode=async", "?- - - - 10 11 12 ?13 14 - -"),
        ("latency:2/mode=rtc", "?- - 10 11 12 ?13 14 22 ?23 24 32"),  # as async: it differs in what is sampled
        ("latency:1/mode=async/threshold=0.6", "?- 10 11 ?12 21 ?22 31 ?32 41 ?42 51"),
    ],
)
def test_the_robot_executes_the_plan_on_paper(env, condition, wanted):
    result, trace = roll_out(toy_spec(condition=condition, max_steps=11), env, Counting())
    assert plan(trace) == wanted
    assert result.counts.policy_calls == wanted.count("?") == len(trace.chunks)
    held = trace.actions[trace.actions[:, 3] == 0]
    assert not held[:, :6].any()
    if condition != "none":
        assert result.execution.idle_steps == wanted.count("-")
        assert result.execution.latencies == (int(condition[8]) if condition[9:11] != "00" else 2,) * wanted.count("?")


def test_the_gripper_keeps_its_last_command_while_the_arm_holds(env):
    _, trace = roll_out(toy_spec(condition="latency:2", max_steps=11), env, Counting())
    assert list(trace.actions[:, 6]) == [-1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("init_state", "clean", "calls"), [(0, 18, 3), (1, 26, 5), (2, 23, 4)])
def test_success_ends_at_the_latency_at_which_the_holds_use_up_the_time(env, init_state, clean, calls):
    """Each question costs the latency, nothing else changes, and 60 steps are allowed."""
    spec = toy_spec(init_state=init_state)
    last = (60 - clean) // calls
    for latency, success in ((1, True), (last, True), (last + 1, False)):
        result, _ = roll_out(structs.replace(spec, condition=f"latency:{latency}"), env, SeekerPolicy())
        assert (result.outcome == "success") == success
        if success:
            assert (result.steps, result.counts.policy_calls) == (clean + latency * calls, calls)
            assert result.execution == Execution((latency,) * calls, 0, 0, latency * calls)


def test_executing_the_rest_of_a_chunk_saves_the_time_that_holding_costs(env):
    # Chunks of ten, six executed: four are left for the time until the answer.
    spec = toy_spec(init_state=1)
    results = [
        roll_out(structs.replace(spec, condition=f"latency:{d}/mode=async"), env, SeekerPolicy())[0] for d in (4, 5)
    ]
    # The block is touched while the fifth answer is awaited; each of the three before it comes one step too late.
    assert [result.execution.idle_steps for result in results] == [4, 5 + 3]
    assert [result.counts.policy_calls for result in results] == [5, 5]
    assert results[0].execution == Execution((4,) * 5, 0, 14, 4)
    held, _ = roll_out(structs.replace(spec, condition="latency:4"), env, SeekerPolicy())
    assert (results[0].steps, held.steps) == (30, 46)


def test_latency_goes_with_late_observations_windows_and_perturbed_actions(env):
    policy = Watching()
    condition = "obs.delay:3+action.delay:1+latency:2/mode=async"
    result, trace = roll_out(toy_spec(condition=condition, init_state=1), env, policy)
    assert (result.outcome, result.flags) == ("success", ())
    for request, step in zip(policy.inputs, trace.chunk_steps, strict=True):
        assert request.observation.step == step
        assert [past.step for past in request.past] == [max(0, step - 1)]
        assert request.latency == 2
        assert request.rest is None
    again, again_trace = roll_out(toy_spec(condition=condition, init_state=1), env, Watching())
    assert trace_bytes(again_trace) == trace_bytes(trace)
    assert structs.replace(again, timings=result.timings) == result


def test_an_observation_is_rendered_when_the_policy_is_asked_and_only_then(env):
    result, trace = roll_out(toy_spec(condition="latency:3/mode=async"), env, SeekerPolicy())
    assert result.counts.renders == result.counts.policy_calls == len(trace.chunk_steps)


@pytest.mark.usefixtures("registry")
def test_an_axis_of_ones_own_gives_each_question_its_latency(env):
    @register(
        AxisInfo(
            name="my.latency", stage=Stage.LATENCY, unit=NUMBER, value_means="latency now and then", identity=0,
            bounds=(0, 9), presets=(1, 2, 3, 4, 5), source="test",
        )
    )  # fmt: skip
    def _(call, value, rng):
        return round(value) * int(rng.integers(2))

    result, _ = roll_out(toy_spec(condition="my.latency:3", init_state=1), env, SeekerPolicy())
    assert set(result.execution.latencies) == {0, 3}
    assert result.steps == 26 + sum(result.execution.latencies)


class Thinking:
    """The seeker, whose n-th answer takes so many seconds on the loop's clock; it remembers what it was told."""

    spec = PolicySpec("thinking", n_action_steps=6, cameras=("agentview",), continues=True)

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.now, self.inputs = list(seconds), 0.0, []
        monkeypatch.setattr(episode_log.time, "perf_counter", lambda: self.now)

    def act(self, inputs):
        self.inputs += inputs
        self.now += self.seconds[len(self.inputs) - 1]
        return SeekerPolicy().act(inputs)


def test_a_measured_latency_is_the_time_of_each_answer_rounded_up(env, monkeypatch):
    policy = Thinking(monkeypatch, (0.051, 0.05 - 1e-6, 0.0, 0.12, 0.0))
    result, _ = roll_out(toy_spec(condition="latency:measured", init_state=1), env, policy)
    assert result.execution == Execution((2, 1, 0, 3, 0), 0, 0, 6)
    assert result.steps == 26 + 6
    given = structs.replace(result.spec, condition="none")
    assert roll_out(given, env, SeekerPolicy())[0].steps == 26


def test_a_policy_that_continues_is_told_the_rest_and_the_latency_that_it_can_expect(env, monkeypatch):
    policy = Thinking(monkeypatch, (0.1, 0.15, 0.1, 0.1, 0.1, 0.1))
    result, trace = roll_out(toy_spec(condition="latency:measured/mode=rtc"), env, policy)
    assert result.execution.latencies[:3] == (2, 3, 2)
    assert [request.latency for request in policy.inputs[:3]] == [0, 2, 3]
    first, second = policy.inputs[:2]
    assert first.rest is None
    np.testing.assert_array_equal(second.rest, trace.chunks[0][6:])
    fixed = Thinking(monkeypatch, (0.0,) * 9)
    roll_out(toy_spec(condition="latency:2/mode=rtc"), env, fixed)
    assert {request.latency for request in fixed.inputs} == {2}


def test_real_time_chunking_needs_a_policy_that_has_it(env):
    with pytest.raises(ConfigError, match="--perturb latency:2/mode=rtc: policy 'seeker' has no real-time chunking"):
        run_episode(toy_spec(condition="latency:2/mode=rtc"), env, SeekerPolicy(), TraceRecorder())


def test_a_run_that_needs_it_is_refused_before_its_first_episode(tmp_path):
    with pytest.raises(ConfigError, match="--perturb latency:2/mode=rtc: policy 'seeker' has no real-time chunking"):
        evaluate(toy_config(tmp_path, perturb=("noise:0.1", "latency:2/mode=rtc")))
    assert not (tmp_path / "episodes.jsonl").exists()


def test_a_row_reads_back_and_does_not_depend_on_the_workers(tmp_path):
    texts = ("latency:2,8", "latency:2/mode=async")
    serial, several = (
        rows(evaluate(toy_config(tmp_path / str(n), perturb=texts, init_states="0", workers=n)).folder) for n in (0, 2)
    )
    assert serial == several
    row = serial["toy/0/init00/latency=2~mode=async/r0"]
    assert row["execution"] == {"latencies": [2, 2, 2], "replans": 2, "stale_steps": 4, "idle_steps": 2}
    assert EpisodeResult.from_row({**row, "timings": {}}).execution == Execution((2, 2, 2), 2, 4, 2)
