"""The tables against the package and against lerobot's file."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import refusal

from envs import suites
from envs.goals import EnvError
from envs.metaworld import package
from envs.metaworld.catalog import MT10, MT50, metaworld_tasks, mismatched_instructions
from envs.metaworld.suite import SUITES
from envs.suites import find_suite, other_goals, suite_names, tasks
from simeval.config.evaluation import EvalConfig


def test_tasks_are_the_packages_in_its_order():
    from metaworld.env_dict import MT10_V3, MT50_V3

    assert [task.name for task in tasks("metaworld_mt10")] == list(MT10_V3) == list(MT10)
    assert [task.name for task in tasks("metaworld_mt50")] == list(MT50_V3)


def test_instructions_are_lerobots():
    folder = Path(find_spec("lerobot").submodule_search_locations[0], "envs")
    texts = json.loads((folder / "metaworld_config.json").read_text())["TASK_DESCRIPTIONS"]
    assert {entry.name: entry.instruction for entry in MT50} == texts


@pytest.mark.parametrize("entry", MT50, ids=lambda entry: entry.name)
def test_objects_are_bodies_of_the_scene(entry):
    import mujoco
    from metaworld.env_dict import ENV_CLS_MAP

    model = mujoco.MjSpec.from_file(ENV_CLS_MAP[entry.name].model_name.fget(None))
    assert set(entry.objects) <= {body.name for body in model.bodies}


def test_an_expert_for_each_task():
    from metaworld.policies import ENV_POLICY_MAP

    assert {entry.name for entry in MT50} == set(ENV_POLICY_MAP)


def test_no_task_is_judged_in_another_ones_scene():
    assert all(other_goals("metaworld_mt50", task.index) == () for task in tasks("metaworld_mt50"))


def test_mismatched_instructions_name_what_is_absent():
    by_name = {task.name: set(mismatched_instructions(task)) for task in metaworld_tasks("metaworld_mt50")}
    drawer, push, coffee = by_name["drawer-open-v3"], by_name["push-v3"], by_name["coffee-pull-v3"]
    assert "Push and open a window" in drawer & push & coffee
    assert "Push and close a drawer" in push - drawer
    assert "Push the puck to a goal" in drawer - push
    assert "Press a button" not in coffee  # the machine has one
    assert "Push the puck to a goal" not in by_name["reach-v3"]  # its scene has a puck
    assert all("Reach a goal position" not in texts for texts in by_name.values())
    assert all(len(texts) >= 30 for texts in by_name.values())


def test_listed_where_the_package_is(monkeypatch):
    names = {suite.name for suite in SUITES}
    assert names <= set(suite_names())
    monkeypatch.setattr(package.importlib.metadata, "version", lambda name: "3.0.0")
    assert not names & set(suite_names())


def test_without_the_package_one_line_says_how_to_install_it(monkeypatch):
    line = "the package metaworld 3.1.1 is not installed; run: pip install --no-deps metaworld==3.1.1"
    monkeypatch.setattr(package, "installed", lambda: None)
    assert refusal("plan", "--suite", "metaworld_mt10", "--policy", "zero") == f"--suite: {line}"
    with pytest.raises(EnvError, match=line):
        find_suite("metaworld_mt10").make_env(tasks("metaworld_mt10")[0], 64, None)


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(package, "installed", lambda: "2.0.0")
    line = refusal("plan", "--suite", "metaworld_mt50", "--policy", "zero")
    assert "metaworld 2.0.0 is installed, and other versions have other scenes; run: pip install" in line


def test_a_run_without_the_package_is_still_read(monkeypatch):
    monkeypatch.setattr(package, "installed", lambda: None)
    assert tasks("metaworld_mt10")[0].instruction == "Reach a goal position"


def test_a_policy_has_to_be_named():
    assert "--policy" in refusal("plan", "--suite", "metaworld_mt10")


def test_suites_are_checked_like_any_other():
    for suite in SUITES:
        suites._check(suite)
    assert EvalConfig(suite=("metaworld_mt10",), policy="expert").policy_name == "expert"
