"""LIBERO-PRO's tasks and texts, read from the published files."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from envs import suites
from envs.caches import cache_folder
from envs.libero.catalog import libero_tasks
from envs.libero.distractors import distractor_kinds
from envs.libero.files import import_libero, init_states
from envs.libero_pro import catalog, defects, files
from envs.suites import mismatched_instructions, other_goals, tasks
from simeval.core.instructions import language_context

WORDS = Path(__file__).with_name("instructions.txt")


def test_texts_by_the_rule_are_the_stored_ones(pro):
    found = catalog.texts()
    assert len(found) == 160
    lines = [f"{t.suite} {t.index}: {t.rule}" for t in found if catalog.kind_of_change(t.suite) in ("lan", "task")]
    assert lines == WORDS.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 80


def test_the_rule_differs_from_the_file_name_in_every_lan_and_task_suite_and_in_no_other(pro):
    different = [t.suite for t in catalog.texts() if t.rule != t.file_name]
    assert different == [suite for suite in catalog.PRO_SUITES if suite.endswith(("_lan", "_task")) for _ in range(10)]


def test_file_names_give_the_base_suites_texts(pro):
    for suite in catalog.PRO_SUITES:
        named = catalog.pro_tasks(suite, "file-name")
        base = libero_tasks(catalog.base_suite(suite))
        assert [task.instruction for task in named] == [task.instruction for task in base]


def test_texts_and_goals_are_as_liberos_own_parser_reads_them(pro):
    import_libero()
    from libero.libero.envs.bddl_utils import robosuite_parse_problem

    for suite in catalog.PRO_SUITES:
        for task in catalog.pro_tasks(suite):
            theirs = robosuite_parse_problem(str(task.bddl))
            if suite.endswith(("_lan", "_task")):
                words = theirs["language_instruction"]
                assert task.instruction == (words if isinstance(words, str) else " ".join(words))
            assert sorted(task.goal) == sorted(tuple(atom) for atom in theirs["goal_state"])


def test_every_task_has_fifty_states_of_the_base_scenes_width(pro):
    for suite in catalog.PRO_SUITES:
        for task, base in zip(catalog.pro_tasks(suite), libero_tasks(catalog.base_suite(suite)), strict=True):
            states, theirs = init_states(task.init_states), init_states(base.init_states)
            assert states.shape == theirs.shape == (suites.find_suite(suite).init_states, theirs.shape[1])
            assert np.isfinite(states).all()
            assert len(np.unique(states, axis=0)) == len(states)
            assert not (states[:, None] == theirs[None]).all(-1).any(), f"{suite} {task.index} has a state of LIBERO's"


def test_goals_change_in_object_and_task_suites_only(pro):
    for suite in catalog.PRO_SUITES:
        same = [
            task.goal == base.goal
            for task, base in zip(catalog.pro_tasks(suite), libero_tasks(catalog.base_suite(suite)), strict=True)
        ]
        assert all(
            word in task.scenery.names for task in catalog.pro_tasks(suite) for atom in task.goal for word in atom[1:]
        )
        assert not any(same) if suite.endswith(("_object", "_task")) else all(same)


def test_the_control_arm_is_the_base_task_on_pros_states(pro):
    for suite in catalog.PRO_SUITES:
        for task, base in zip(catalog.pro_tasks(suite), libero_tasks(catalog.base_suite(suite)), strict=True):
            arm = catalog.base_task(task)
            if suite.endswith(("_swap", "_object")):
                assert arm is None
                continue
            assert (arm.suite, arm.index, arm.init_states) == (suite, task.index, task.init_states)
            assert (arm.instruction, arm.goal, arm.bddl) == (base.instruction, base.goal, base.bddl)
            # The scene is the same: the task files differ in nothing that places or makes anything.
            assert without_words_and_goal(task.bddl) == without_words_and_goal(arm.bddl)


def without_words_and_goal(bddl) -> list:
    from envs.libero.bddl import _parse

    (definition,) = _parse(bddl.read_text(encoding="utf-8"))
    return [part for part in definition if part[0] not in (":language", ":goal", ":obj_of_interest")]


def test_suites_are_registered_with_the_numbers_of_their_base(pro):
    assert set(catalog.PRO_SUITES) <= set(suites.suite_names())
    for suite in catalog.PRO_SUITES:
        assert suites.tasks(suite) == catalog.pro_tasks(suite)
        for protocol in ("openvla", "lerobot"):
            assert suites.limits(protocol, suite) == suites.limits(protocol, catalog.base_suite(suite))


def test_the_order_is_pros_own(pro):
    wheel = published_wheel()
    with zipfile.ZipFile(wheel) as archive:
        module = ast.parse(archive.read("libero/libero/benchmark/libero_suite_task_map.py"))
    (theirs,) = [ast.literal_eval(node.value) for node in module.body if isinstance(node, ast.Assign)]
    for suite in catalog.PRO_SUITES:
        assert theirs[suite] == [task.name for task in catalog.pro_tasks(suite)]


def published_wheel() -> Path:
    given = Path(os.environ.get(files.FILES.variable) or cache_folder(files.FILES.cache)).expanduser()
    wheel = given if given.is_file() else given / files.FILES.wheel
    if not wheel.is_file():
        pytest.fail("LIBERO-PRO's wheel is not here: make pro")
    return wheel


def test_defects_name_tasks_that_exist(pro):
    for defect in defects.DEFECTS:
        assert defect.tasks
        for suite, index in defect.tasks:
            assert 0 <= index < len(catalog.pro_tasks(suite))
            assert any(defect.what in note for note in defects.notes(suite, [index]))
            assert not any(defect.what in note for note in defects.notes(suite, []))


def test_twins_share_text_and_goal(pro):
    one, other = (catalog.pro_tasks(suite)[index] for suite, index in defect_of("twins").tasks)
    assert (one.instruction, one.goal) == (other.instruction, other.goal)


def test_the_left_pot_is_the_right_one(pro):
    """LIBERO's own name of the same goal says right."""
    (task,) = [catalog.pro_tasks(suite)[index] for suite, index in defect_of("pot").tasks]
    (named,) = [task for task in libero_tasks("libero_90") if task.instruction == "put the right moka pot on the stove"]
    assert task.instruction == "put the left moka pot on the stove"
    assert sorted(task.goal) == sorted(named.goal)


def test_the_plate_is_no_longer_where_the_text_says(pro):
    for suite, index in defect_of("moved away").tasks:
        task, base = catalog.pro_tasks(suite)[index], libero_tasks(catalog.base_suite(suite))[index]
        assert " the plate " in task.instruction.partition(" and place it")[0] + " "
        assert task.scenery.placements["plate_1"] != base.scenery.placements["plate_1"]
        assert task.scenery.placements["akita_black_bowl_1"] == base.scenery.placements["akita_black_bowl_1"]


def test_replaced_objects_are_of_another_kind(pro):
    kinds = [
        (gone, kind)
        for suite, index in defect_of("of another kind").tasks
        for gone, kind in replaced(catalog.pro_tasks(suite)[index], libero_tasks(catalog.base_suite(suite))[index])
    ]
    assert set(kinds) >= {
        ("black_book", "black_bowl"), ("porcelain_mug", "white_yellow_mug"), ("white_yellow_mug", "red_coffee_mug")
    }  # fmt: skip


def replaced(task, base):
    """Pairs of kinds in goals: (LIBERO's, PRO's)."""
    words = [[word for atom in goal for word in atom[1:]] for goal in (base.goal, task.goal)]
    return [tuple(re.sub(r"_\d+$", "", word) for word in pair) for pair in zip(*words, strict=True)]


def test_an_object_suite_without_a_new_object(pro):
    ((suite, index),) = defect_of("only the basket").tasks
    assert catalog.pro_tasks(suite)[index].goal[0][1] == libero_tasks("libero_object")[index].goal[0][1]


def test_apostrophes(pro):
    found = {(text.suite, text.index) for text in catalog.texts() if not text.rule.isascii()}
    assert found == set(defect_of("apostrophe").tasks)


def defect_of(part):
    (defect,) = [defect for defect in defects.DEFECTS if part in defect.what]
    return defect


def test_the_catalogue_is_light():
    code = (
        "import sys, envs.suites\n"
        "sys.exit(', '.join({'numpy', 'mujoco', 'libero', 'torch', 'zipfile.ZipFile'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("suite", catalog.PRO_SUITES)
def test_every_task_has_instructions_that_may_replace_its_own(suite, pro):
    for task in tasks(suite):
        context = language_context(task)
        mismatched = mismatched_instructions(suite, task.index)
        assert mismatched
        assert task.instruction not in {*mismatched, *(other.instruction for other in other_goals(suite, task.index))}
        assert context.original == task.instruction


def test_no_distractor_is_like_a_recoloured_object(pro):
    milk = next(task for task in tasks("libero_object_object") if "yellow_milk_1" in task.scenery.names)
    assert "milk" not in distractor_kinds(milk)


def test_a_recoloured_object_is_not_absent(pro):
    soup = next(task for task in tasks("libero_object_object") if "alphabet soup" in task.instruction)
    assert "bigger_alphabet_soup_1" in soup.scenery.names
    assert not [text for text in mismatched_instructions("libero_object_object", soup.index) if "alphabet soup" in text]
