"""An episode executed again: exactly what the policy got at its looks, without remembering what it did not see."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import roll_out, toy_spec

from envs.base import CAMERAS
from envs.build import make_env
from envs.libero.files import resolve_assets
from perturbations.spec import parse
from simeval.policies.base import PolicySpec
from simeval.policies.scripted import SeekerPolicy
from simeval.rollout.rerun import Rerun, needs_state_scale

CONDITIONS = (
    "none",
    "noise:0.3/mode=flicker",
    "freeze:0.5",
    "obs.delay:3",
    "light:0.2+occlusion:0.3@agentview",
    "proprio.noise:0.5",
    "proprio.freeze:0.6",
    "action.delay:2",
    "layout.shift:3",
)


class Watching:
    """The seeker, and everything that it was given."""

    spec = replace(SeekerPolicy.spec, name="watching", cameras=CAMERAS)

    def __init__(self):
        self.seen = []

    def act(self, inputs):
        self.seen += [item.observation for item in inputs]
        return SeekerPolicy().act(inputs)


class Wandering:
    """Moves at random in chunks of three, and keeps everything that it was given."""

    spec = PolicySpec("wandering", 3, CAMERAS)

    def __init__(self):
        self.seen, self.rng = [], np.random.default_rng(0)

    def act(self, inputs):
        self.seen += [item.observation for item in inputs]
        return [self.rng.uniform(-1, 1, (3, 7)).astype(np.float32) for _ in inputs]


@pytest.fixture(scope="module")
def env():
    built = make_env("toy", 0, 64, None)
    yield built
    built.close()


def episode(env, condition):
    policy = Watching()
    spec = toy_spec(condition=str(parse(condition)), resolution=64)
    result, trace = roll_out(spec, env, policy)
    assert result.outcome in ("success", "failure"), result
    return spec, trace, policy.seen


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_observations_are_those_that_the_policy_got(env, condition):
    spec, trace, seen = episode(env, condition)
    rerun = Rerun(env, spec, trace, CAMERAS)
    again = list(rerun.observations())
    assert len(again) == len(trace.actions)
    assert [observation.step for observation in again] == list(range(len(again)))
    assert not rerun.differs
    assert len(seen) == len(trace.chunk_steps) >= 3
    for step, expected in zip(trace.chunk_steps, seen, strict=True):
        assert again[step].state.tobytes() == expected.state.tobytes()
        for camera in CAMERAS:
            np.testing.assert_array_equal(again[step].images[camera], expected.images[camera])


def test_clean_ones_show_the_same_motion_unperturbed(env):
    spec, trace, _ = episode(env, "light:0.2+noise:0.3+action.delay:2")
    clean = list(Rerun(env, spec, trace, CAMERAS, clean=True).observations())
    seen = list(Rerun(env, spec, trace, CAMERAS).observations())
    env.reset(spec)
    np.testing.assert_array_equal(clean[0].images["wrist"], env.observe(CAMERAS).images["wrist"])
    assert abs(clean[5].images["wrist"].astype(int) - seen[5].images["wrist"]).mean() > 5
    assert clean[5].state.tobytes() == seen[5].state.tobytes()


def test_a_motion_that_differs_here_is_replaced_by_the_stored_one(env):
    spec, trace, _ = episode(env, "none")
    moved = trace.states.copy()
    moved[4:, 1] += 0.01  # as another MuJoCo would have it; the first position is the tip's x
    rerun = Rerun(env, spec, replace(trace, states=moved), CAMERAS)
    again = list(rerun.observations())
    assert rerun.differs
    original = list(Rerun(env, spec, trace, CAMERAS).observations())
    assert np.array_equal(again[3].state, original[3].state)
    assert not np.array_equal(again[4].state, original[4].state)


def test_only_changes_in_training_units_need_the_scale():
    assert needs_state_scale(parse("proprio.noise:0.5"))
    assert not needs_state_scale(parse("proprio.freeze:0.5+noise:0.1"))


def test_in_libero_too_where_sensors_lag_behind_the_state():
    env = make_env("libero_spatial", 0, 64, resolve_assets("bundled"))
    try:
        policy = Wandering()
        spec = toy_spec(suite="libero_spatial", condition="light:0.5", resolution=64, max_steps=12, settle_steps=5)
        result, trace = roll_out(spec, env, policy)
        assert result.outcome == "failure", result
        rerun = Rerun(env, spec, trace, CAMERAS)
        again = list(rerun.observations())
        assert not rerun.differs
        for step, expected in zip(trace.chunk_steps, policy.seen, strict=True):
            assert again[step].state.tobytes() == expected.state.tobytes()
            for camera in CAMERAS:
                np.testing.assert_array_equal(again[step].images[camera], expected.images[camera])
    finally:
        env.close()
