"""Timing, actions, physics and flags in the loop, on the toy suite: what happens, and what the row says of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import roll_out, toy_spec
from msgspec import structs

from envs.base import CAMERAS
from envs.suites import tasks
from envs.toy.env import ToyEnv
from perturbations import base
from perturbations.base import NUMBER, AxisInfo, Infeasible, Key, Stage, register
from simeval.core.types import EpisodeResult
from simeval.policies.base import PolicySpec
from simeval.policies.scripted import SeekerPolicy
from simeval.rollout.episode_log import goal_text


@pytest.fixture(scope="module")
def env():
    env = ToyEnv(0, 64)
    yield env
    env.close()


class Walking:
    """Walks a fixed way, whatever it sees, and remembers it."""

    def __init__(self, n_action_steps=5, cameras=CAMERAS):
        self.spec = PolicySpec("walking", n_action_steps=n_action_steps, cameras=cameras)
        self.seen = []

    def act(self, inputs):
        self.seen += [item.observation for item in inputs]
        chunk = np.zeros((self.spec.n_action_steps, 7), np.float32)
        chunk[:, 2] = 0.5
        chunk[:, 0] = np.sin(np.arange(self.spec.n_action_steps) + 10 * inputs[0].chunk_index)
        return [chunk for _ in inputs]


def walk(env, condition, size=5, cameras=CAMERAS, **changes):
    policy = Walking(size, cameras)
    spec = structs.replace(toy_spec(max_steps=30, resolution=64, **changes), condition=condition)
    result, trace = roll_out(spec, env, policy)
    return policy, result, trace


def test_a_number_that_never_moved_in_training_has_no_scale_to_measure_its_change_by(env):
    policy = Walking()
    policy.spec = replace(policy.spec, state_std=(0.1,) * 7 + (0.0,))
    spec = structs.replace(toy_spec(max_steps=10, resolution=64), condition="proprio.noise:0.5")
    with np.errstate(all="raise"):
        result, _ = roll_out(spec, env, policy)
    assert result.outcome != "error", result.error_text
    assert np.isfinite(result.magnitude.state)
    assert result.magnitude.state > 0


@pytest.mark.parametrize("delay", [1, 3, 5, 7, 12])
@pytest.mark.parametrize("size", [1, 5, 8])
def test_a_delayed_observation_is_the_one_of_that_many_steps_ago(env, delay, size):
    # The way depends on the chunk length, so what was to be seen is found by executing the same actions one by one.
    late, result, trace = walk(env, f"obs.delay:{delay}", size=size)
    env.reset(toy_spec(max_steps=30, resolution=64))
    shown = [env.observe()]
    for action in trace.actions:
        env.step(action[None])
        shown.append(env.observe())
    for number, observation in enumerate(late.seen):
        wanted = shown[max(0, number * size - delay)]
        np.testing.assert_array_equal(observation.state, wanted.state)
        for camera in CAMERAS:
            np.testing.assert_array_equal(observation.images[camera], wanted.images[camera])
    assert result.magnitude.age_steps == pytest.approx(np.mean([min(delay, n * size) for n in range(len(late.seen))]))
    assert result.counts.renders <= 2 * len(late.seen)
    assert result.flags == ()


def test_an_observation_that_never_arrives_leaves_the_first_one(env):
    policy, result, _ = walk(env, "obs.drop:1")
    assert all(np.array_equal(o.images["wrist"], policy.seen[0].images["wrist"]) for o in policy.seen)
    assert result.counts.renders == 2
    assert result.magnitude.age_steps == pytest.approx(np.mean(range(0, 30, 5)))


def test_nothing_is_lost_in_an_episode_whose_draws_lose_nothing_and_the_row_says_so(env):
    _, result, _ = walk(env, "obs.drop:0.000001+action.drop:0.000001+camdrop:0.000001")
    assert result.flags == ("no_op:timing", "no_op:action", "no_op:image@agentview", "no_op:image@wrist")
    assert (result.magnitude.age_steps, result.magnitude.action, result.magnitude.mean_abs) == (0, 0, 0)


@pytest.mark.parametrize("size", [1, 5, 8])
def test_delayed_actions_arrive_later_across_chunks(env, size):
    _, _, clean = walk(env, "none", size=size)
    _, result, late = walk(env, "action.delay:150ms", size=size)
    motion = clean.actions[:, :6]
    np.testing.assert_array_equal(late.actions[3:, :6], motion[:-3])
    assert not late.actions[:3, :6].any()
    np.testing.assert_array_equal(late.actions[:, 6], clean.actions[:, 6])
    assert result.magnitude.action == pytest.approx(np.abs(late.actions - clean.actions).mean(), rel=1e-5)


def test_action_noise_is_that_of_its_step_whatever_the_chunks_are(env):
    found = {}
    for size in (5, 10):
        _, _, clean = walk(env, "none", size=size)
        _, _, noisy = walk(env, "action.noise:0.05", size=size)
        found[size] = noisy.actions - clean.actions
        assert 0.03 < found[size][:, :6].std() < 0.07
        assert not found[size][:, 6].any()
    np.testing.assert_allclose(found[5][:5], found[10][:5], atol=1e-6)
    _, _, window = walk(env, "action.noise:0.05/from=10/until=12")
    _, _, clean = walk(env, "none")
    changed = np.flatnonzero((window.actions != clean.actions).any(axis=1))
    assert changed.tolist() == [10, 11]


def test_the_state_is_perturbed_in_units_of_its_spread(env):
    clean, _, _ = walk(env, "none")
    noisy, result, _ = walk(env, "proprio.noise:0.5")
    apart = np.stack([n.state - c.state for n, c in zip(noisy.seen, clean.seen, strict=True)])
    assert apart[:, 4].std() > 20 * apart[:, 6].std()  # 0.9 rad against 0.014 m
    assert 0.2 < result.magnitude.state < 0.7
    zero, _, _ = walk(env, "proprio.zero:1")
    assert not any(o.state.any() for o in zero.seen)
    held, result, _ = walk(env, "proprio.freeze:1/from=10")
    assert len({o.state.tobytes() for o in held.seen[2:]}) == 1 < len({o.state.tobytes() for o in held.seen[:3]})


def test_a_frozen_camera_shows_its_first_picture_and_a_lost_one_is_black(env):
    frozen, result, _ = walk(env, "freeze:1@wrist")
    assert len({o.images["wrist"].tobytes() for o in frozen.seen}) == 1
    assert len({o.images["agentview"].tobytes() for o in frozen.seen}) > 1
    assert result.counts.perturbed_frames == len(frozen.seen) - 1
    black, _, _ = walk(env, "camdrop:1@agentview")
    assert not any(o.images["agentview"].any() for o in black.seen)
    assert all(o.images["wrist"].any() for o in black.seen)


def test_a_camera_that_nobody_looks_through_is_told(env):
    _, seen, _ = walk(env, "noise:0.1@wrist", cameras=("agentview",))
    assert (seen.flags, seen.magnitude) == (("no_op:image",), None)
    _, blind, _ = walk(env, "light:0.5", cameras=())
    assert blind.flags == ("no_op:scene",)
    _, fine, _ = walk(env, "light:0.5+noise:0.1", cameras=("agentview",))
    assert fine.flags == ()
    assert fine.magnitude.scene_mean_abs > 10
    assert fine.visible[0][1] > 0.9


def test_a_target_that_disappears_is_told(env):
    _, result, _ = walk(env, "occlusion:0.9/target=red_block", cameras=("agentview",))
    assert result.visible[0][1] < 0.3 or result.flags == ("target_hidden",)
    _, clean, _ = walk(env, "none")
    assert (clean.visible, clean.flags) == ((), ())


def test_a_target_that_does_not_exist_is_infeasible(env):
    _, result, trace = walk(env, "occlusion:0.1/target=teapot_1")
    assert (result.outcome, result.flags) == ("infeasible", ("infeasible",))
    assert "target=teapot_1: no such object in this scene, which has red_block" in result.error_text
    assert trace is None
    assert EpisodeResult.from_row(json.loads(json.dumps(result.row()))) == result


@pytest.fixture
def own_axes(monkeypatch):
    for name in ("_axes", "_functions", "_parameters"):
        monkeypatch.setattr(base, name, dict(getattr(base, name)))


def physics_axis(name, **changes):
    return AxisInfo(
        name=name,
        stage=Stage.PHYSICS,
        family="E",
        unit=NUMBER,
        value_means="cm",
        identity=0.0,
        source="test",
        **changes,
    )


@pytest.mark.usefixtures("own_axes")
def test_physics_is_changed_before_the_first_frame_or_at_its_step_and_measured(env):
    @register(physics_axis("nudge"))
    def nudge(physics, value, rng):
        physics.data.qpos[physics.objects["red_block"]] += value / 100

    @register(physics_axis("kick", at_step=True, keys=(Key("from", "7"),)))
    def kick(physics, value, rng):
        nudge(physics, value, rng)

    @register(physics_axis("nothing"))
    def nothing(physics, value, rng):
        pass

    @register(physics_axis("cannot"))
    def cannot(physics, value, rng):
        raise Infeasible("there is\nno room")

    _, _, clean = walk(env, "none")
    _, result, moved = walk(env, "nudge:3")
    assert result.magnitude.moved_cm == pytest.approx(3)
    assert np.abs(moved.states[0] - clean.states[0]).max() == pytest.approx(0.03, abs=1e-3)
    _, result, kicked = walk(env, "kick:2")
    assert np.array_equal(kicked.states[:8], clean.states[:8])
    assert not np.array_equal(kicked.states[8], clean.states[8])
    assert result.magnitude.moved_cm == pytest.approx(2)
    _, result, _ = walk(env, "kick:2/from=0")
    assert result.magnitude.moved_cm == pytest.approx(2)
    _, result, same = walk(env, "nothing:1")
    assert result.flags == ("no_op:physics",)
    np.testing.assert_allclose(same.states, clean.states, atol=1e-9)
    _, result, _ = walk(env, "cannot:1")
    assert (result.outcome, result.error_text) == ("infeasible", "there is no room")
    _, _, again = walk(env, "none")
    assert np.array_equal(again.states, clean.states)


class Wandering:
    """Touches what it is told to touch, by way of another block."""

    spec = PolicySpec("wandering", n_action_steps=6, cameras=("agentview",))

    def __init__(self, *texts):
        self.texts = list(texts)

    def act(self, inputs):
        return SeekerPolicy().act([replace(item, instruction=self.texts[0]) for item in inputs])


def test_other_goals_are_tracked_without_ending_the_episode(env):
    other = "touch the green block"
    result, _ = roll_out(toy_spec(resolution=64), env, Wandering(other))
    assert (result.outcome, result.reached, result.first_hit, result.goal) == ("failure", "neither", None, None)
    hits = dict(result.hits)
    assert set(hits) == {"touch green_block"}
    assert 1 <= hits["touch green_block"] < result.steps == 60
    assert result.approached == "green_block"
    # Told to touch the green one, the same policy is stopped there.
    for seed in range(20):
        spec = structs.replace(toy_spec(resolution=64), condition=f"instruction:counterfactual/seed={seed}")
        told, _ = roll_out(spec, env, Wandering(other))
        if told.goal == "touch green_block":
            assert (told.reached, told.first_hit) == ("counterfactual", hits["touch green_block"])
            return
        assert told.reached == "neither"
        assert dict(told.hits)["touch green_block"] == hits["touch green_block"]
    pytest.fail("no draw asked for the green block")


def test_a_goal_is_written_on_one_line():
    assert goal_text((("on", "a_1", "b_1"), ("close", "c_1"))) == "on a_1 b_1 & close c_1"
    assert goal_text(tasks("toy")[0].goal) == "touch red_block"


def test_rows_of_older_versions_are_read():
    row = EpisodeResult(toy_spec(), "success", steps=3).row()
    for name in ("hits", "goal", "source", "first_hit", "approached", "visible", "flags"):
        del row[name]
    row["magnitude"] = {"mean_abs": 1.5, "psnr": 30.0}
    row["counts"] = {"control_steps": 3, "renders": 2, "policy_calls": 1}
    old = EpisodeResult.from_row(json.loads(json.dumps(row)))
    assert (old.hits, old.flags, old.magnitude.mean_abs, old.magnitude.action) == (None, (), 1.5, None)


@pytest.mark.parametrize(
    ("axis", "dark"),
    [
        (lambda pixels, value: pixels / 255 * (1 - value), True),
        (lambda pixels, value: (pixels / 255).astype(np.uint8), True),
        (lambda pixels, value: np.zeros_like(pixels), False),  # black on purpose
        (lambda pixels, value: pixels * (1 - value), False),
    ],
    ids=["0 to 1", "integers", "black", "darker"],
)
@pytest.mark.usefixtures("own_axes")
def test_an_axis_that_returns_0_to_1_is_flagged(env, axis, dark):
    info = AxisInfo(
        name="test.scaled", stage=Stage.OPTICS, unit=base.FRACTION, value_means="x", bounds=(0.0, 1.0), identity=0.0,
        presets=(0.5,), source="ours", cameras=CAMERAS,
    )  # fmt: skip
    register(info)(lambda pixels, value: axis(pixels, value))
    spec = toy_spec(condition="test.scaled:0.5@agentview", max_steps=10, resolution=64)
    result, _ = roll_out(spec, env, Walking())
    assert [flag for flag in result.flags if flag.startswith("dark")] == ["dark:agentview"] * dark


@pytest.mark.parametrize("condition", ["brightness:0.001", "brightness:0.01+jpeg:1"])
def test_our_axes_make_images_dark_on_purpose(env, condition):
    result, _ = roll_out(toy_spec(condition=condition, max_steps=10, resolution=64), env, Walking())
    assert [flag for flag in result.flags if flag.startswith("dark")] == []
