"""What goes wrong during an episode is flagged in its row: in the toy suite, through the loop."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import roll_out, toy_spec

from envs.toy.env import ToyEnv
from perturbations.base import COUNT, AxisInfo, Key, Stage, register
from simeval.policies.checkpoint.statistics import Scale
from simeval.policies.scripted import SeekerPolicy, ZeroPolicy
from simeval.rollout.anomalies import MAX_SPEED, OFF_TABLE, StateRange, anomalies, in_other_units

BLOCK = "yellow_block"
"""No task 0 touches it."""


@pytest.fixture
def env():
    env = ToyEnv(0, 128)
    yield env
    env.close()


def meddle(name, change):
    """An axis that writes a block's position or velocity at control step 3."""
    info = AxisInfo(
        name=name,
        stage=Stage.PHYSICS,
        family="E",
        unit=COUNT,
        value_means="something",
        bounds=(0.0, 1000.0),
        identity=0.0,
        source="this test",
        keys=(Key("from", "3"),),
        at_step=True,
    )

    @register(info)
    def axis(physics, value, rng):
        at = physics.objects[BLOCK]
        change(physics.data, at, int(physics.model.body_dofadr[physics.body_ids[BLOCK]]), value)


def push_off(data, at, first, value):
    data.qpos[at] = 0.5 * value


def fling(data, at, first, value):
    data.qvel[first] = value


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("change", "value", "flags"),
    [
        (push_off, 1, ("object_off_table",)),
        (fling, 1, ()),
        (fling, 100, ("unstable",)),  # too far up, still, to have fallen off
    ],
)
def test_an_episode_says_what_went_wrong_in_it(change, value, flags, env):
    meddle("test.meddle", change)
    clean, _ = roll_out(toy_spec(), env, SeekerPolicy())
    result, _ = roll_out(toy_spec(condition=f"test.meddle:{value}", max_steps=25), env, SeekerPolicy())
    assert (clean.outcome, clean.flags) == ("success", ())
    assert result.outcome in ("success", "failure")
    assert result.flags == flags


def states(env, rows=3):
    env.reset(toy_spec())
    return np.tile(env.state(), (rows, 1)), env.scene()


def found(rows, scene):
    extremes = StateRange()
    for row in rows:
        extremes.add(row[None])
    return anomalies(extremes, scene)


@pytest.mark.parametrize(
    ("part", "offset", "value", "flags"),
    [
        ("qpos", 2, -0.9 * OFF_TABLE, ()),
        ("qpos", 2, -1.1 * OFF_TABLE, ("object_off_table",)),
        ("qvel", 0, 0.9 * MAX_SPEED, ()),
        ("qvel", 0, -1.1 * MAX_SPEED, ("unstable",)),
        ("qvel", 1, 1.1 * MAX_SPEED, ("unstable",)),
        ("qvel", 2, 1.1 * MAX_SPEED, ("unstable",)),
        ("qvel", 2, -3 * MAX_SPEED, ()),  # it only fell
        ("qvel", 3, np.nan, ("unstable",)),
        ("qvel", 2, np.inf, ("unstable",)),
    ],
)
def test_limits(part, offset, value, flags, env):
    rows, scene = states(env)
    model, body = scene.model, scene.bodies[BLOCK]
    joint = int(model.body_jntadr[body])
    first = int(model.jnt_qposadr[joint]) if part == "qpos" else model.nq + int(model.jnt_dofadr[joint])
    assert found(rows, scene) == ()
    rows[1, 1 + first + offset] = value
    assert found(rows, scene) == flags


def test_no_states_no_mishaps(env):
    assert anomalies(StateRange(), env.scene()) == ()


class BundledPolicy(ZeroPolicy):
    """Moves nothing but the gripper, and says in which limits its training was."""

    def __init__(self, state, action):
        self.spec = replace(ZeroPolicy().spec, state_limits=state, action_limits=action)


ANY = (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("state", "action", "flags"),
    [
        (None, None, ()),
        ((ANY,) * 8, (ANY,) * 7, ()),
        (((-9.0, 9.0),) * 8, ((-9.0, 9.0),) * 7, ()),
        (((-9.0, 9.0),) * 7 + ((5.0, 9.0),), None, ("far_state",)),
        (((-9.0, -8.0), *(ANY,) * 5), None, ("far_state",)),  # of the first six alone
        (None, ((-9.0, 9.0),) * 6 + ((2.0, 3.0),), ("far_action",)),
        (((8.0, 9.0),) * 8, ((8.0, 9.0),) * 7, ("far_state", "far_action")),
    ],
)
def test_numbers_far_outside_the_training_data_are_flagged(env, state, action, flags):
    result, _ = roll_out(toy_spec(max_steps=6), env, BundledPolicy(state, action))
    assert result.flags == flags


PLACE, TOUCH = (("on", "bowl_1", "plate_1"),), (("touch", "block_1"),)


@pytest.mark.parametrize(
    ("lowest", "highest", "gripper", "goal", "flags"),
    [
        (-1, 1, (-1, 1), PLACE, ()),
        (-3, 3, (-1, 1), PLACE, ()),  # a small overshoot
        (-3.1, 1, (-1, 1), PLACE, ("cut_action",)),
        (0, 28, (-1, 1), TOUCH, ("cut_action",)),  # degrees
        (-1, 1, (0, 1), PLACE, ("gripper_never_opened",)),
        (-1, 1, (0, 255), PLACE, ("cut_action", "gripper_never_opened")),
        (-1, 1, (0, 1), TOUCH, ()),
        (-1, 1, (0, 0), PLACE, ()),  # it does not use the gripper
        (-1, 1, (-0.1, 1), PLACE, ()),
    ],
)
def test_actions_of_another_convention_are_flagged(lowest, highest, gripper, goal, flags):
    seen = StateRange()
    seen.add(np.float32([[lowest] * 6 + [gripper[0]], [highest] * 6 + [gripper[1]]]))
    policy = ZeroPolicy().spec
    assert in_other_units(policy, seen, goal) == flags
    trained = replace(policy, action_limits=((-300.0, 300.0),) * 7)
    assert in_other_units(trained, seen, goal) == tuple(flag for flag in flags if flag != "cut_action")
    assert in_other_units(policy, StateRange(), goal) == ()


class Degrees(ZeroPolicy):
    """Its rotations are in degrees."""

    def act(self, inputs):
        return [np.float32([[0, 0, 0, 20, 0, 0, 0]] * 10) for _ in inputs]


def test_an_episode_with_actions_of_another_unit_says_so(env):
    result, _ = roll_out(toy_spec(max_steps=6), env, Degrees())
    assert result.flags == ("cut_action",)


@pytest.mark.parametrize(
    ("mode", "low", "high", "limits"),
    [
        ("MEAN_STD", 1.0, 0.5, (-4.0, 6.0)),
        ("MEAN_STD", 1.0, 0.0, ANY),
        ("MIN_MAX", -1.0, 3.0, (-19.0, 21.0)),
        ("QUANTILES", 2.0, 2.0, ANY),
    ],
)
def test_the_limits_come_from_what_a_value_is_scaled_with(mode, low, high, limits):
    scale = Scale("observation.state", "observation.state", mode, np.array([low]), np.array([high]), 1e-8)
    assert scale.limits() == (limits,)
