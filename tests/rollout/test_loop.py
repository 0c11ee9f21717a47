"""The loop, on the toy suite: pairs, instructions, renders, and what happens when something in it breaks."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers import CONDITIONS, roll_out, toy_spec, trace_bytes
from msgspec import structs

from envs.base import CAMERAS, EnvError
from envs.suites import tasks
from envs.toy.env import ToyEnv
from envs.toy.tasks import TOY_ABSENT
from simeval.policies.base import PolicySpec
from simeval.policies.scripted import RandomPolicy, SeekerPolicy, ZeroPolicy
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import TraceRecorder, predicted
from simeval.runner.worker import EpisodeWorker, WorkerSetup

MAX_STEPS = toy_spec().max_steps


@pytest.fixture(scope="module")
def env():
    env = ToyEnv(0, 128)
    yield env
    env.close()


class Watching:
    """The seeker, with both cameras, remembering what it was asked."""

    spec = PolicySpec("watching", n_action_steps=6, cameras=CAMERAS)

    def __init__(self):
        self.inputs = []

    def act(self, inputs):
        self.inputs += inputs
        return SeekerPolicy().act(inputs)


class Stubborn:
    """Goes for the red block whatever it is told."""

    spec = PolicySpec("stubborn", n_action_steps=6, cameras=("agentview",))

    def act(self, inputs):
        return SeekerPolicy().act([replace(item, instruction="touch the red block") for item in inputs])


class Answering:
    """Says one thing."""

    spec = PolicySpec("answering", n_action_steps=4, cameras=())

    def __init__(self, answer):
        self.answer = answer

    def act(self, inputs):
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer for _ in inputs]


class Reusing:
    """Answers with the same array every time, like a policy that writes into a buffer of its own."""

    spec = PolicySpec("reusing", n_action_steps=5, cameras=())

    def __init__(self, dtype):
        self.buffer = np.zeros((5, 7), dtype)

    def act(self, inputs):
        self.buffer[:, :3] = RandomPolicy().act(inputs)[0][:5, :3] / 3
        return [self.buffer]


class Breaking(ToyEnv):
    """Breaks in one of its methods, from its second call on if it is told to."""

    def __init__(self, where: str, error: Exception, calls: int = 0):
        super().__init__(0, 128)
        self.where, self.error, self.calls = where, error, calls

    def _maybe(self, here: str) -> None:
        if here == self.where:
            self.calls -= 1
            if self.calls < 0:
                raise self.error

    def reset(self, spec, before_settling=None):
        self._maybe("reset")
        super().reset(spec, before_settling)

    def scene(self):
        self._maybe("scene")
        return super().scene()

    def observe(self, cameras=CAMERAS):
        self._maybe("observe")
        return super().observe(cameras)

    def step(self, actions):
        self._maybe("step")
        return super().step(actions)


# Pairs


@pytest.mark.parametrize("identity", ["noise:0", "light:1", "noise:0@wrist+light:1", "instruction:original"])
@pytest.mark.parametrize("policy", [SeekerPolicy(), RandomPolicy()], ids=["seeker", "random"])
def test_a_perturbation_of_identity_strength_is_byte_identical_to_none(env, identity, policy):
    for init_state in (0, 1):
        spec = toy_spec(init_state=init_state)
        clean, clean_trace = roll_out(spec, env, policy)
        same, same_trace = roll_out(structs.replace(spec, condition=identity), env, policy)
        assert trace_bytes(same_trace) == trace_bytes(clean_trace)
        assert same.state_digest == clean.state_digest
        assert same.magnitude is None
        assert structs.replace(same, spec=spec, timings=clean.timings) == clean


def test_an_episode_is_the_same_after_any_other(env):
    spec = toy_spec(init_state=1)
    first = roll_out(spec, env, SeekerPolicy())
    for condition in CONDITIONS:
        roll_out(toy_spec(condition=condition), env, SeekerPolicy())
    again = roll_out(spec, env, SeekerPolicy())
    assert trace_bytes(again[1]) == trace_bytes(first[1])
    assert structs.replace(again[0], timings=first[0].timings) == first[0]


def test_twins_get_the_same_sampling_noise_and_repeats_get_other(env):
    seeds = {}
    for name, change in {"clean": {}, "noisy": {"condition": "noise:0.5"}, "repeat": {"repeat": 1}}.items():
        policy = Watching()
        roll_out(toy_spec(init_state=2, max_steps=18, **change), env, policy)
        seeds[name] = [item.noise_seed for item in policy.inputs]
        assert [item.chunk_index for item in policy.inputs] == list(range(len(policy.inputs)))
    shared = min(map(len, seeds.values()))
    assert shared >= 2
    assert seeds["clean"][:shared] == seeds["noisy"][:shared]
    assert not set(seeds["clean"]) & set(seeds["repeat"])


def test_a_perturbation_reaches_the_camera_it_is_aimed_at_and_no_other(env):
    seen = {}
    for condition in ("none", "noise:0.3@wrist"):
        policy = Watching()
        result, _ = roll_out(toy_spec(condition=condition), env, policy)
        seen[condition] = policy.inputs[0].observation.images
        assert (result.magnitude is None) == (condition == "none")
    clean, noisy = seen.values()
    np.testing.assert_array_equal(clean["agentview"], noisy["agentview"])
    assert (clean["wrist"] != noisy["wrist"]).mean() > 0.9


def test_the_realised_magnitude_is_that_of_the_pictures_the_policy_saw(env):
    small, _ = roll_out(toy_spec(condition="noise:0.05"), env, SeekerPolicy())
    large, _ = roll_out(toy_spec(condition="noise:0.3"), env, SeekerPolicy())
    unseen, _ = roll_out(toy_spec(condition="noise:0.3@wrist"), env, SeekerPolicy())
    # Mean absolute value of a normal draw is 0.8 sigma; clipping takes a part of it.
    assert 0.5 * 0.05 * 255 < small.magnitude.mean_abs < 0.8 * 0.05 * 255
    assert large.magnitude.mean_abs > 3 * small.magnitude.mean_abs
    assert large.magnitude.psnr < small.magnitude.psnr
    assert unseen.magnitude is None


# Instructions and outcomes


def test_the_counterfactual_goal_counts_where_the_instruction_names_it(env):
    for init_state in (0, 1, 2):
        spec = toy_spec(init_state=init_state, condition="instruction:counterfactual")
        followed, trace = roll_out(spec, env, SeekerPolicy())
        assert (followed.outcome, followed.reached) == ("success", "counterfactual")
        assert followed.instruction == trace.instruction
        assert followed.instruction in {task.instruction for task in tasks("toy")[1:]}
        assert followed.first_success == followed.steps <= MAX_STEPS
        ignored, _ = roll_out(spec, env, Stubborn())
        assert (ignored.outcome, ignored.reached) == ("failure", "original")
        assert ignored.first_success is None
        assert ignored.steps < MAX_STEPS


def test_an_episode_after_a_counterfactual_one_watches_its_own_goal_alone(env):
    roll_out(toy_spec(condition="instruction:counterfactual"), env, SeekerPolicy())
    result, _ = roll_out(toy_spec(), env, SeekerPolicy())
    assert (result.outcome, result.reached) == ("success", "original")
    assert len(env.goals) == 1


@pytest.mark.parametrize(
    ("condition", "texts"),
    [("instruction:empty", {""}), ("instruction:mismatch", {f"touch the {color} block" for color in TOY_ABSENT})],
)
def test_without_a_usable_instruction_the_original_goal_still_counts(env, condition, texts):
    spec = toy_spec(condition=condition)
    policy = Watching()
    lost, _ = roll_out(spec, env, policy)
    assert (lost.outcome, lost.reached, lost.steps) == ("failure", "neither", MAX_STEPS)
    assert {item.instruction for item in policy.inputs} == {lost.instruction}
    assert lost.instruction in texts
    anyway, _ = roll_out(spec, env, Stubborn())
    assert (anyway.outcome, anyway.reached) == ("success", "original")


def test_time_runs_out_after_exactly_the_protocols_steps(env):
    result, trace = roll_out(toy_spec(max_steps=25), env, ZeroPolicy())
    assert (result.outcome, result.reached, result.steps, result.first_success) == ("failure", "neither", 25, None)
    assert len(trace.actions) == 25
    assert len(trace.states) == 26
    assert trace.chunk_steps.tolist() == [0, 10, 20]


# What is paid for


@pytest.mark.parametrize(
    ("policy", "cameras"), [(SeekerPolicy(), 1), (Watching(), 2), (ZeroPolicy(), 0), (RandomPolicy(), 0)]
)
@pytest.mark.parametrize("condition", ["none", "noise:0.3+light:0.5", "instruction:empty"])
def test_each_camera_is_drawn_once_per_chunk_and_not_after_the_last(env, policy, cameras, condition):
    for max_steps in (60, 25, 1):
        before = env.renders
        result, trace = roll_out(toy_spec(condition=condition, max_steps=max_steps), env, policy)
        assert result.counts.policy_calls == len(trace.chunks) == -(-result.steps // policy.spec.n_action_steps)
        # A change of the scene is held against one clean picture per camera.
        checks = cameras if "light" in condition else 0
        assert result.counts.renders == env.renders - before == cameras * result.counts.policy_calls + checks
        assert result.counts.frames == cameras * result.counts.policy_calls
        assert result.counts.control_steps == result.steps == len(trace.actions)


def test_a_trace_executes_again_to_the_same_states(env):
    spec = toy_spec(init_state=3, condition="noise:0.1")
    for policy in (SeekerPolicy(), Reusing(np.float32), Reusing(np.float64)):
        _, trace = roll_out(spec, env, policy)
        assert {trace.actions.dtype, trace.chunks.dtype} == {np.dtype(np.float32)}
        env.reset(spec)
        np.testing.assert_array_equal(env.state(), trace.states[0])
        np.testing.assert_array_equal(env.step(trace.actions).states, trace.states[1:])
        for step, chunk in zip(trace.chunk_steps, trace.chunks, strict=True):
            executed = trace.actions[step : step + policy.spec.n_action_steps]
            np.testing.assert_array_equal(chunk[: len(executed)], executed)


# What breaks


@pytest.mark.parametrize(
    ("where", "calls", "phase", "steps"),
    [
        ("reset", 0, "reset", 0),
        ("scene", 0, "perturb", 0),
        ("observe", 0, "observe", 0),
        ("observe", 2, "observe", 12),
        ("step", 0, "step", 0),
        ("step", 1, "step", 6),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError("broke\n  badly"), EnvError("broke badly")], ids=["any", "EnvError"])
def test_an_environment_that_breaks_gives_an_error_row_with_its_phase(where, calls, phase, steps, error):
    result, _ = roll_out(toy_spec(init_state=2), Breaking(where, error, calls), SeekerPolicy())
    assert (result.outcome, result.error_phase, result.steps) == ("error", phase, steps)
    assert result.error_text == f"{type(error).__name__}: broke badly"
    assert result.first_success is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ValueError("no\nidea"), r"ValueError: no idea"),
        (np.full((4, 7), np.nan, np.float32), "not finite"),
        (np.full((4, 7), np.inf, np.float32), "not finite"),
        (np.full((4, 7), 1e300), "not finite"),
        (np.zeros((3, 7), np.float32), r"shape \(3, 7\), not \(>=4, 7\)"),
        (np.zeros((4, 8), np.float32), r"shape \(4, 8\)"),
        (np.zeros(7, np.float32), r"shape \(7,\)"),
        (np.zeros((1, 4, 7), np.float32), r"shape \(1, 4, 7\)"),
        (np.zeros((0, 7), np.float32), r"shape \(0, 7\)"),
        (np.full((4, 7), "left"), "Error"),
        (None, "Error|shape"),
        ("left", "Error|shape"),
    ],
)
def test_a_policy_that_answers_nonsense_gives_an_error_row(env, answer, said):
    result, trace = roll_out(toy_spec(), env, Answering(answer))
    assert (result.outcome, result.error_phase, result.steps) == ("error", "policy", 0)
    assert re.search(said, result.error_text)
    assert "\n" not in result.error_text
    assert trace is None


def test_a_policy_that_answers_nothing_gives_an_error_row(env):
    class Mute(Answering):
        def act(self, inputs):
            return []

    result, _ = roll_out(toy_spec(), env, Mute(None))
    assert (result.outcome, result.error_phase) == ("error", "policy")


def test_the_text_of_an_error_is_bounded(env):
    result, _ = roll_out(toy_spec(), env, Answering(ValueError("x" * 10_000)))
    assert len(result.error_text) <= 500


def test_an_interruption_is_not_an_error_of_the_episode(env):
    class Interrupting(Answering):
        def act(self, inputs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_episode(toy_spec(), env, Interrupting(None), TraceRecorder())


# The worker


class Moody:
    """A seeker that breaks in one initial state."""

    spec = SeekerPolicy.spec

    def act(self, inputs):
        if "init01" in inputs[0].pair_id:
            raise RuntimeError("not this one")
        return SeekerPolicy().act(inputs)


def test_an_error_leaves_the_episodes_around_it_as_they_are():
    specs = [toy_spec(task=task, init_state=i, condition=c) for task in (0, 1) for i in range(3) for c in CONDITIONS]
    calm = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all"))
    moody = EpisodeWorker(WorkerSetup(Moody(), None, "all"))
    for spec in specs:
        expected, found = calm.run(spec), moody.run(spec)
        if spec.init_state == 1:
            assert (found.result.outcome, found.result.error_phase) == ("error", "policy")
        else:
            assert structs.replace(found.result, timings=expected.result.timings) == expected.result
            assert trace_bytes(found.trace) == trace_bytes(expected.trace)


@pytest.mark.parametrize(
    ("traces", "kept"), [("all", {"success", "failure"}), ("failures", {"failure"}), ("none", set())]
)
def test_traces_are_kept_as_asked_for(traces, kept):
    worker = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, traces))
    finished = [worker.run(toy_spec(condition=condition)) for condition in ("none", "instruction:empty")]
    assert {item.result.outcome for item in finished} == {"success", "failure"}
    assert {item.result.outcome for item in finished if item.trace} == kept


def test_a_trace_holds_chunks_of_different_lengths(env):
    class Varying(Answering):
        def act(self, inputs):
            return [np.full((4 + item.chunk_index % 3, 7), 0.1, np.float32) for item in inputs]

    result, trace = roll_out(toy_spec(max_steps=20), env, Varying(None))
    assert result.outcome == "failure"
    assert [len(predicted(chunk)) for chunk in trace.chunks] == [4, 5, 6, 4, 5]
    assert (predicted(trace.chunks[0]) == np.float32(0.1)).all()


def test_a_scene_that_cannot_be_built_gives_an_error_row(monkeypatch):
    class Unbuildable(ToyEnv):
        def __init__(self, task, resolution):
            if task == 2:
                raise ValueError("no such\nmesh")
            super().__init__(task, resolution)

    monkeypatch.setattr("envs.toy.env.ToyEnv", Unbuildable)
    worker = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all"))
    results = [worker.run(toy_spec(task=task)).result for task in (1, 2, 3)]
    assert [result.outcome for result in results] == ["success", "error", "success"]
    assert results[1].error_phase == "build"
    assert results[1].error_text == "ValueError: no such mesh"
    too_large = worker.run(toy_spec(resolution=5000)).result
    assert (too_large.outcome, too_large.error_phase) == ("error", "build")


def test_an_environment_whose_states_do_not_fit_together_gives_an_error_row(monkeypatch):
    class Growing(ToyEnv):
        def step(self, actions):
            result = super().step(actions)
            return replace(result, states=np.zeros((result.steps, self.renders + 1)))

    monkeypatch.setattr("envs.toy.env.ToyEnv", Growing)
    result = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all")).run(toy_spec()).result
    assert (result.outcome, result.error_phase) == ("error", "step")


def test_an_environment_that_does_not_move_on_gives_an_error_row():
    class Stuck(ToyEnv):
        def step(self, actions):
            return super().step(actions[:0])

    result, _ = roll_out(toy_spec(), Stuck(0, 128), SeekerPolicy())
    assert (result.outcome, result.error_phase) == ("error", "step")
    assert "0 of 6 steps" in result.error_text
