"""What the scripted expert does besides picking things up, from hand-made states, then whole episodes."""

from types import SimpleNamespace

import numpy as np
import pytest

from envs.base import Observation, Pose, Privileged
from envs.libero.env import LiberoEnv
from envs.libero.files import resolve_assets
from envs.suites import limits, tasks
from simeval.policies.base import PolicyInput
from simeval.policies.expert.policy import LiberoExpert


def shifted(point, x, y, z):
    return point + np.array([x, y, z])


TABLE = 0.9
UPRIGHT, AROUND = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0])
DOWN, LEVEL = np.array([0.0, np.sqrt(0.5), np.sqrt(0.5), 0.0]), np.array([0.5, 0.5, 0.5, -0.5])
"""The hand as at the start, and pointing along -y with its fingers upright."""
OPEN, HALF, GRIP, SHUT = 0.078, 0.04, 0.017, 0.002
SCENE = {
    "wooden_cabinet_1": Pose(np.array([0.03, -0.24, TABLE + 0.005]), AROUND),
    "flat_stove_1": Pose(np.array([-0.41, 0.21, TABLE + 0.005]), UPRIGHT),
    "plate_1": Pose(np.array([0.05, -0.02, TABLE + 0.002]), UPRIGHT),
    "akita_black_bowl_1": Pose(np.array([-0.09, 0.0, TABLE - 0.002]), UPRIGHT),
}
MIDDLE, TOP = (("open", "wooden_cabinet_1_middle_region"),), (("open", "wooden_cabinet_1_top_region"),)
INTO_TOP = (("in", "akita_black_bowl_1", "wooden_cabinet_1_top_region"),)
STOVE_ON = (("turnon", "flat_stove_1"),)
TO_STOVE = (("on", "plate_1", "main_table_stove_front_region"),)
HANDLE = shifted(SCENE["wooden_cabinet_1"].pos, 0.003, 0.102, 0.110)
"""Of the middle drawer, shut."""
KNOB = shifted(SCENE["flat_stove_1"].pos, -0.004, 0.001, 0.026)
PRESSING = np.array([0.0, 0.0, 0.016])
"""From a plate to the closed hand that presses on its middle."""


def act(goal, hand, pointing=DOWN, opening=OPEN, joints=(), **moved):
    slides = {f"wooden_cabinet_1_{level}_level": 0.0 for level in ("top", "middle", "bottom")}
    where = {name: Pose(np.asarray(pos, float), SCENE[name].quat) for name, pos in moved.items()}
    state = Privileged(
        objects=SCENE | where,
        hand=Pose(np.asarray(hand, float), pointing),
        gripper=np.array([opening / 2, -opening / 2]),
        joints=slides | {"flat_stove_1_button": 0.0} | dict(joints),
        goal=goal,
        step=0,
    )
    nothing = Observation({}, np.zeros(8, np.float32), 0)
    (chunk,) = LiberoExpert().act([PolicyInput(nothing, "", "pair", chunk_index=0, noise_seed=0, privileged=state)])
    assert chunk.shape == (1, 7)
    assert np.abs(chunk).max() <= 1
    return chunk[0]


def test_on_its_way_to_a_handle_the_hand_turns_level():
    x, *_, roll, pitch, yaw, gripper = act(MIDDLE, [-0.2, 0.0, 1.2])
    assert x == 1
    assert roll == -1
    assert abs(pitch) < 0.01
    assert abs(yaw) < 0.01
    assert gripper == -1


def test_before_a_handle_it_waits_until_it_is_level():
    turning = act(MIDDLE, shifted(HANDLE, 0, 0.08, 0))
    assert np.abs(turning[:3]).max() < 0.05
    ready = act(MIDDLE, shifted(HANDLE, 0, 0.08, 0), LEVEL)
    assert ready[1] == -1
    assert np.abs(ready[3:6]).max() < 0.01
    assert ready[6] == -1


def test_a_little_too_high_it_comes_out_again():
    action = act(MIDDLE, shifted(HANDLE, 0, 0.02, 0.02), LEVEL)
    assert action[1] > 0.5
    assert action[2] < 0


@pytest.mark.parametrize("opening", [OPEN, HALF])
def test_around_a_handle_it_closes_and_stays(opening):
    action = act(MIDDLE, HANDLE, LEVEL, opening)
    assert np.abs(action[:6]).max() < 0.1
    assert action[6] == 1


def test_holding_a_handle_it_pulls():
    x, y, z, *_, gripper = act(MIDDLE, HANDLE, LEVEL, GRIP)
    assert y == 1
    assert max(abs(x), abs(z)) < 0.1
    assert gripper == 1


def test_which_drawer_is_said_by_the_goal():
    assert act(MIDDLE, shifted(HANDLE, 0, 0.2, 0.037), LEVEL)[2] < -0.5
    assert act(TOP, shifted(HANDLE, 0, 0.2, 0.037), LEVEL)[2] > 0.5


def test_an_open_drawer_is_let_go_before_the_hand_leaves_and_turns_down():
    joints, handle = {"wooden_cabinet_1_middle_level": -0.155}, shifted(HANDLE, 0, 0.155, 0)
    held = act(MIDDLE, handle, LEVEL, GRIP, joints)
    assert np.abs(held[:6]).max() == 0
    assert held[6] == -1
    loose = act(MIDDLE, handle, LEVEL, OPEN, joints)
    assert loose[1] == 1
    assert np.abs(loose[3:6]).max() == 0
    away = act(MIDDLE, shifted(handle, 0, 0.1, 0), LEVEL, OPEN, joints)
    assert away[2] == 1
    assert away[3] == 1


def test_a_shut_drawer_is_opened_before_something_is_put_in():
    x, *_ = act(INTO_TOP, [-0.05, 0.0, 1.2])
    assert x > 0.5
    x, *_ = act(INTO_TOP, [-0.05, 0.0, 1.2], joints={"wooden_cabinet_1_top_level": -0.12})
    assert x < 0


def test_a_bowl_goes_where_the_drawer_is():
    bowl = np.array([0.03, 0.0, 1.2])
    held = shifted(bowl, 0.0, -0.042, 0.034)
    x, y, *_ = act(
        INTO_TOP, held, opening=0.0085, joints={"wooden_cabinet_1_top_level": -0.12}, akita_black_bowl_1=bowl
    )
    assert abs(x) < 0.2
    assert y == -1


def test_around_a_knob_it_closes_and_then_turns_it_on():
    closing = act(STOVE_ON, KNOB, opening=HALF)
    assert np.abs(closing[:6]).max() < 0.05
    assert closing[6] == 1
    for gap, angle in ((0.025, 0.0), (0.030, 0.1)):  # while it turns the knob, the fingers are at an angle to it
        turning = act(STOVE_ON, KNOB, opening=gap, joints={"flat_stove_1_button": angle})
        assert np.abs(turning[:3]).max() < 0.05
        assert turning[5] == 1
        assert turning[6] == 1
    done = act(STOVE_ON, KNOB, opening=0.025, joints={"flat_stove_1_button": 0.65})
    assert done[6] == -1


def test_a_plate_is_approached_with_closed_fingers():
    above = shifted(SCENE["plate_1"].pos, 0, 0, 0.2)
    closing = act(TO_STOVE, above, opening=OPEN)
    assert closing[2] == 0
    assert closing[6] == 1
    assert act(TO_STOVE, above, opening=SHUT)[2] < -0.5


def test_a_plate_is_dragged_sideways_and_then_to_its_spot():
    plate = SCENE["plate_1"].pos
    x, y, z, *_, gripper = act(TO_STOVE, plate + PRESSING, opening=SHUT)
    assert y == 1
    assert abs(x) < 0.3
    assert z < 0
    assert gripper == 1
    beside = shifted(plate, 0, 0.24, 0)
    x, y, *_ = act(TO_STOVE, beside + PRESSING, opening=SHUT, plate_1=beside)
    assert x == -1
    assert abs(y) < 0.3
    there = np.array([-0.04, 0.22, plate[2]])
    assert act(TO_STOVE, there + PRESSING, opening=SHUT, plate_1=there)[6] == -1


@pytest.mark.parametrize("index", [0, 3, 5, 7, 9])
def test_it_reaches_the_goal(index):
    task = tasks("libero_goal")[index]
    env = LiberoEnv(task, 64, resolve_assets("bundled"))
    env.reset(SimpleNamespace(init_state=0, env_seed=0, settle_steps=10))
    nothing = Observation({}, np.zeros(8, np.float32), 0)
    for _ in range(limits("openvla", "libero_goal").max_steps):
        asked = PolicyInput(nothing, "", "pair", chunk_index=0, noise_seed=0, privileged=env.privileged(task.goal))
        (chunk,) = LiberoExpert().act([asked])
        if env.step(chunk).reached[0]:
            break
    else:
        pytest.fail(f"not reached: {task.instruction}")
    env.close()
