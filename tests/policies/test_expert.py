"""The scripted expert: each phase from a hand-made state, then whole episodes in the official scenes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from envs.base import Observation, Pose, Privileged
from envs.libero.catalog import LIBERO_SUITES
from envs.suites import limits, other_goals, tasks
from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.base import PolicyInput
from simeval.policies.expert.policy import LiberoExpert, supports

TABLE = 0.9
ON_PLATE = (("on", "akita_black_bowl_1", "plate_1"),)
DOWN = np.array([0.0, np.sqrt(0.5), np.sqrt(0.5), 0.0])
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
BOWL, PLATE = np.array([-0.1, 0.0, TABLE - 0.002]), np.array([0.05, 0.2, TABLE + 0.002])
RIM = np.array([0.0, -0.042, 0.034])
"""From a bowl to the hand that holds it."""
OPEN, HALF, SHUT = 0.078, 0.04, 0.0085
"""Distance between the fingers: open, on their way, and around a bowl's wall."""


def shifted(point, x, y, z):
    return point + np.array([x, y, z])


def privileged(hand, opening=OPEN, bowl=BOWL, goal=ON_PLATE, **others):
    objects = {"akita_black_bowl_1": bowl, "plate_1": PLATE} | others
    return Privileged(
        objects={name: Pose(np.asarray(pos, float), UPRIGHT) for name, pos in objects.items()},
        hand=Pose(np.asarray(hand, float), DOWN),
        gripper=np.array([opening / 2, -opening / 2]),
        joints={},
        goal=goal,
        step=0,
    )


def asked(state):
    nothing = Observation({}, np.zeros(8, np.float32), 0)
    return PolicyInput(nothing, "", "pair", chunk_index=0, noise_seed=0, privileged=state)


def act(state):
    (chunk,) = LiberoExpert().act([asked(state)])
    assert chunk.shape == (1, 7)
    assert chunk.dtype == np.float32
    assert np.abs(chunk).max() <= 1
    return chunk[0]


def test_far_away_it_moves_over_the_bowl_with_open_fingers():
    x, y, z, *_, gripper = act(privileged([-0.3, -0.2, 0.98]))
    assert x == y == 1
    assert abs(z) < 0.5
    assert gripper == -1


def test_beside_the_bowl_it_rises_before_it_moves_over_it():
    x, y, z, *_ = act(privileged(shifted(BOWL + RIM, -0.12, 0, 0)))
    assert x == y == 0
    assert z == 1


def test_above_the_rim_it_goes_straight_down():
    x, y, z, *_, gripper = act(privileged(shifted(BOWL + RIM, 0, 0, 0.05)))
    assert np.hypot(x, y) < 0.01
    assert z == -1
    assert gripper == -1


def test_it_does_not_go_down_before_it_is_turned():
    turned = np.array([0.0, np.cos(0.35), np.sin(0.35), 0.0])
    state = privileged(shifted(BOWL + RIM, 0, 0, 0.05))
    action = act(replace(state, hand=Pose(state.hand.pos, turned)))
    assert action[2] > -0.5
    assert abs(action[5]) > 0.5


@pytest.mark.parametrize("opening", [OPEN, HALF])
def test_around_the_rim_it_closes_and_stays(opening):
    action = act(privileged(BOWL + RIM, opening))
    assert np.abs(action[:6]).max() < 0.01
    assert action[6] == 1


def test_holding_the_bowl_it_first_lifts_it():
    x, y, z, *_, gripper = act(privileged(BOWL + RIM, SHUT, cookies_1=shifted(BOWL, 0.1, 0.1, 0.01)))
    assert np.hypot(x, y) < 0.01
    assert z > 0.5
    assert gripper == 1


def test_a_bowl_under_an_overhang_is_pulled_out_before_it_is_lifted():
    cabinet = shifted(BOWL, 0.0, -0.16, -0.15)
    x, y, z, *_, gripper = act(privileged(BOWL + RIM, SHUT, wooden_cabinet_1=cabinet))
    assert abs(x) < 0.01
    assert y > 0
    assert z == 0
    assert gripper == 1


def test_lifted_it_is_carried_towards_the_plate():
    lifted = shifted(BOWL, 0, 0, 0.1)
    x, y, _, *_, gripper = act(privileged(lifted + RIM, SHUT, bowl=lifted))
    assert x == y == 1
    assert gripper == 1


def test_a_tall_obstacle_on_the_way_is_gone_over():
    lifted = shifted(BOWL, 0, 0, 0.1)
    free = act(privileged(lifted + RIM, SHUT, bowl=lifted))
    blocked = act(privileged(lifted + RIM, SHUT, bowl=lifted, wine_bottle_1=(BOWL + PLATE) / 2))
    assert blocked[2] > max(free[2], 0.5)


def test_above_the_plate_it_is_lowered():
    above = shifted(PLATE, 0, 0, 0.06)
    x, y, z, *_, gripper = act(privileged(above + RIM, SHUT, bowl=above))
    assert np.hypot(x, y) < 0.01
    assert z == -1
    assert gripper == 1


def test_on_the_plate_it_is_let_go_and_left_alone():
    placed = shifted(PLATE, 0, 0, 0.006)
    closed = act(privileged(placed + RIM, SHUT, bowl=placed))
    assert np.abs(closed[:6]).max() == 0
    assert closed[6] == -1
    opened = act(privileged(placed + RIM, OPEN, bowl=placed))
    assert opened[2] > 0.5
    assert opened[6] == -1


def test_a_dropped_bowl_is_picked_up_again():
    hand = shifted(BOWL, 0, 0, 0.2)
    assert act(privileged(hand, SHUT))[6] == -1


def test_the_goal_decides_which_bowl():
    bowls = {"akita_black_bowl_2": shifted(BOWL, 0.0, 0.3, 0.0)}
    hand = shifted(BOWL, 0, 0.15, 0.2)
    first = act(privileged(hand, **bowls))
    second = act(privileged(hand, goal=(("on", "akita_black_bowl_2", "plate_1"),), **bowls))
    assert first[1] < 0 < second[1]


def test_the_second_atom_follows_when_the_first_is_done():
    placed = shifted(PLATE, 0, 0, 0.006)
    state = privileged(
        shifted(placed + RIM, 0, 0, 0.15),
        goal=(*ON_PLATE, ("on", "cream_cheese_1", "akita_black_bowl_1")),
        bowl=placed,
        cream_cheese_1=[-0.2, -0.1, TABLE + 0.009],
    )
    x, y, *_ = act(state)
    assert x < -0.5
    assert y < -0.5


def test_the_answer_does_not_depend_on_the_batch_or_on_earlier_calls():
    states = [privileged([-0.3, -0.2, 1.0]), privileged(BOWL + RIM, SHUT), privileged(BOWL + RIM)]
    expert = LiberoExpert()
    together = expert.act([asked(state) for state in states])
    backwards = expert.act([asked(state) for state in states[::-1]])[::-1]
    for first, second in zip(together, backwards, strict=True):
        np.testing.assert_array_equal(first, second)


def test_supported_goals_of_the_suites():
    known = {suite: [task.index for task in tasks(suite) if supports(task.goal)] for suite in LIBERO_SUITES[:4]}
    assert known == {
        "libero_spatial": list(range(10)),
        "libero_object": list(range(10)),
        "libero_goal": list(range(10)),
        "libero_10": [0, 1, 7],
    }
    assert all(supports(other.goal) for index in range(10) for other in other_goals("libero_spatial", index))


def test_what_it_cannot_do_is_refused_in_one_line():
    goal = (("close", "microwave_1"),)
    expert = LiberoExpert()
    with pytest.raises(ConfigError, match="close microwave_1"):
        expert.check(goal)
    with pytest.raises(EpisodeError, match="close microwave_1"):
        act(privileged(BOWL, goal=goal))
    with pytest.raises(EpisodeError, match="not in the scene: akita_black_bowl_2"):
        act(privileged(BOWL, goal=(("on", "akita_black_bowl_2", "plate_1"),)))
    with pytest.raises(EpisodeError, match="simulator's state"):
        expert.act([asked(None)])


def steps_to(env, goal, max_steps):
    """Control steps until the goal holds, or `None`."""
    env.reset(SimpleNamespace(init_state=0, env_seed=0, settle_steps=10))
    env.goals = (goal,)
    for step in range(1, max_steps + 1):
        (chunk,) = LiberoExpert().act([asked(env.privileged(goal))])
        if env.step(chunk).reached[0]:
            return step
    return None


@pytest.mark.official
@pytest.mark.parametrize(("index", "counterfactual"), [(0, True), (4, False), (9, False)])
def test_it_reaches_the_goal_that_it_is_told(index, counterfactual, official_assets):
    from envs.libero.env import LiberoEnv

    task = tasks("libero_spatial")[index]
    goals = [task.goal] + [other.goal for other in other_goals("libero_spatial", index)[:1] if counterfactual]
    env = LiberoEnv(task, 128, official_assets)
    for goal in goals:
        assert steps_to(env, goal, limits("openvla", "libero_spatial").max_steps)
    env.close()


@pytest.mark.official
@pytest.mark.parametrize(
    ("index", "name"),
    [(44, "KITCHEN_SCENE9_turn_on_the_stove"), (30, "KITCHEN_SCENE5_put_the_black_bowl_on_the_plate")],
)
def test_it_knows_other_stoves_and_cabinets_than_those_of_libero_goal(index, name, official_assets):
    """In scene 5 the drawer of a white cabinet hangs open over the bowl."""
    from envs.libero.env import LiberoEnv

    task = tasks("libero_90")[index]
    assert task.name == name
    env = LiberoEnv(task, 128, official_assets)
    assert steps_to(env, task.goal, 100)
    env.close()
