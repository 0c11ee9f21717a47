import pytest

from envs import suites
from envs.libero.catalog import LIBERO_SUITES
from envs.libero.files import import_libero, init_states
from envs.protocols import PROTOCOLS
from envs.suite import INIT_STATES

MAIN = LIBERO_SUITES[:4]


def targets(suite):
    return {
        t.index: [int(o.source.split("/")[1]) for o in suites.other_goals(suite, t.index)] for t in suites.tasks(suite)
    }


# Ordered pairs (task, other trained instruction that its scene allows), counted from the task files.
@pytest.mark.parametrize(("suite", "pairs"), zip(MAIN, (10, 50, 90, 5), strict=True))
def test_number_of_counterfactual_pairs(suite, pairs):
    assert sum(len(found) for found in targets(suite).values()) == pairs


def test_spatial_counterfactuals_name_the_place_of_the_other_bowl():
    wanted = {0: [1], 1: [6], 2: [8], 3: [9], 4: [9], 5: [3], 6: [7], 7: [9], 8: [1], 9: [7]}
    assert targets("libero_spatial") == wanted
    assert all(
        other.goal == (("on", "akita_black_bowl_2", "plate_1"),)
        for task in suites.tasks("libero_spatial")
        for other in suites.other_goals("libero_spatial", task.index)
    )


def test_object_and_long_counterfactuals():
    assert targets("libero_object")[5] == [3, 6, 7, 8, 9]
    assert {task: found for task, found in targets("libero_10").items() if found} == {0: [1, 7], 1: [0, 7], 7: [0]}


def test_foreign_instructions_refer_to_nothing_in_the_scene():
    for suite in MAIN:
        for task in suites.tasks(suite):
            foreign = suites.mismatched_instructions(suite, task.index)
            assert foreign
            assert task.instruction not in foreign
            assert not set(foreign) & {other.instruction for other in suites.other_goals(suite, task.index)}
    # "put the bowl on the plate" (libero_goal) makes sense wherever there is a bowl and a plate.
    assert "put the bowl on the plate" not in suites.mismatched_instructions("libero_spatial", 0)


def test_tasks_instructions_and_order_are_liberos_own():
    import_libero()
    from libero.libero.benchmark import task_maps

    for suite in LIBERO_SUITES:
        theirs = list(task_maps[suite].values())
        assert [(t.name, t.instruction) for t in suites.tasks(suite)] == [(t.name, t.language) for t in theirs]


def test_goals_are_liberos_own():
    import_libero()
    from libero.libero.envs.bddl_utils import robosuite_parse_problem

    for suite in MAIN:
        for task in suites.tasks(suite):
            theirs = robosuite_parse_problem(str(task.bddl))["goal_state"]
            assert sorted(task.goal) == sorted(tuple(atom) for atom in theirs)


def test_initial_states_are_liberos_own():
    torch = pytest.importorskip("torch")
    for suite in MAIN:
        path = suites.tasks(suite)[3].init_states
        theirs = torch.load(path, weights_only=False)
        assert init_states(path).shape[0] == INIT_STATES
        assert (init_states(path) == theirs).all()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocols_cover_every_suite_and_seed_by_initial_state_only(name):
    protocol = PROTOCOLS[name]
    for suite in suites.suite_names():
        assert suites.limits(name, suite).max_steps >= 60
    assert [protocol.env_seed(i) for i in (0, 1)] == {"openvla": [0, 0], "lerobot": [1000, 1001]}[name]


def test_unknown_suite_is_a_key_error():
    with pytest.raises(KeyError):
        suites.tasks("libero_spatia")
