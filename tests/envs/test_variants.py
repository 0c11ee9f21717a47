"""Variants of a suite: its tasks with other texts, and the tasks that they were made from. Played with a toy suite."""

import json
from dataclasses import replace

import pytest
import yaml
from helpers import call, lines, refusal

from envs import suites
from envs.goals import EnvError
from envs.suites import find_suite, is_suite, register_suite, tasks
from envs.toy.tasks import toy_tasks
from simeval.analysis.language import language_table
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.core.instructions import language_context
from simeval.store.run import Run

RUN = ("--tasks", "0,2", "--init-states", "0-1", "--workers", "0")


def changed_tasks():
    """The toy suite's tasks, each with the text and the goal of the next one."""
    found = toy_tasks()
    return tuple(
        replace(task, suite="moved", instruction=other.instruction, goal=other.goal)
        for task, other in zip(found, (*found[1:], found[0]), strict=True)
    )


@pytest.fixture
def moved():
    names = suites.registered_suites()
    toy = find_suite("toy")
    yield register_suite(
        replace(
            toy,
            name="moved",
            tasks=changed_tasks,
            instruction_sources={"file-name": lambda task: toy_tasks()[task.index].instruction},
            base="toy",
            base_task=lambda task: toy_tasks()[task.index],
        )
    )
    suites.unregister_suites_but(names)


def test_the_base_arm_is_none_and_the_change_its_pair(moved, tmp_path):
    done = call("run", "--suite", "moved", "--base-arm", *RUN, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert "moved@base: the unchanged tasks of toy, in the initial states of moved" in done.out
    rows = lines(tmp_path / "run")
    clean = [row for row in rows if row["spec"]["condition"] == "none"]
    changed = [row for row in rows if row["spec"]["condition"] == "instruction:changed"]
    assert [row["pair_id"] for row in clean] == [row["pair_id"] for row in changed]
    assert len(clean) == 4
    for row in clean:
        assert row["instruction"] == toy_tasks()[row["spec"]["task"]].instruction
        assert (row["outcome"], row["reached"]) == ("success", "original")
    for row in changed:
        task = row["spec"]["task"]
        assert row["instruction"] == changed_tasks()[task].instruction
        assert row["goal"] == " & ".join(" ".join(atom) for atom in changed_tasks()[task].goal)
        assert row["source"] == f"changed/moved/{task}"
        assert (row["outcome"], row["reached"]) == ("success", "counterfactual"), "the seeker does what it is told"
    (told,) = language_table(Run.load(tmp_path / "run").episodes)
    assert (told.condition, told.followed.rate, told.pairs) == ("instruction:changed", 1.0, 4)
    grown = call("run", "--resume", tmp_path / "run", "--grow", "--init-states", "0-2", "--perturb", "noise:0")
    assert grown.code == 0, grown.err
    assert Run.load(tmp_path / "run").manifest["conditions"] == ["none", "instruction:changed", "noise:0"]
    assert len(lines(tmp_path / "run")) == 2 * 3 * 3


def test_texts_of_another_source_are_played_with_the_suites_own_goals(moved, tmp_path):
    words = ("run", "--suite", "moved", "--instruction-source", "file-name", *RUN, "--out", tmp_path / "run")
    done = call(*words)
    assert "moved@file-name: instructions from file-name, not the suite's own in tasks 0, 2" in done.out
    for row in lines(tmp_path / "run"):
        task = row["spec"]["task"]
        assert row["instruction"] == toy_tasks()[task].instruction
        assert row["goal"] is None
        assert row["outcome"] == "failure", "the seeker does what it is told, and something else is scored"
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["identity"]["settings"]["instruction_source"] == "file-name"
    assert manifest["config"]["suite"] == ["moved@file-name"]
    before = (tmp_path / "run" / "episodes.jsonl").read_bytes()
    assert call(*words).code == call("run", "--resume", tmp_path / "run").code == 0
    assert (tmp_path / "run" / "episodes.jsonl").read_bytes() == before


def test_another_source_is_another_run(moved, tmp_path):
    call("run", "--suite", "moved", *RUN, "--out", tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert not {"instruction_source", "base_arm"} & manifest["identity"]["settings"].keys(), "as in older manifests"
    words = ("--suite", "moved", *RUN, "--out", tmp_path / "run")
    for option in (("--instruction-source", "file-name"), ("--base-arm",)):
        other = call("run", *words, *option)  # prints its notes first
        assert (other.code, 'suite: ["moved"] -> ["moved@' in other.err) == (2, True)
        line = refusal("run", "--resume", tmp_path / "run", *option)
        assert line == f"--resume: {option[0]} is settled by the run; start a new one to change it"
    assert call("run", *words, "--instruction-source", "rule").code == 0


def test_a_recipe_and_a_name_say_the_same_as_flags(moved, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"suite": "moved", "instruction_source": "file-name", "init_states": "0"}))
    plans = [
        json.loads(call("plan", *words, "--json").out)["digest"]
        for words in (
            ("--config", recipe),
            ("--suite", "moved", "--instruction-source", "file-name", "--init-states", "0"),
            ("--suite", "moved@file-name", "--init-states", "0"),
        )
    ]
    assert len(set(plans)) == 1
    recipe.write_text(yaml.safe_dump({"suite": "moved", "base_arm": True}))
    plan = call("plan", "--config", recipe).out
    assert "moved@base" in plan
    assert "none, instruction:changed" in plan


def test_other_conditions_act_on_the_base_arm_and_on_the_change(moved):
    both = ("noise:0.1", "instruction:changed+noise:0.1")
    plan = make_plan(EvalConfig(suite="moved", base_arm=True, perturb=both))
    assert plan.conditions == ("none", "instruction:changed", *both)


def test_the_other_goals_are_worded_by_those_who_mean_them(moved):
    """Texts from file names do not ask for the goals of their tasks."""
    for variant, right in (("moved", changed_tasks), ("moved@file-name", changed_tasks), ("moved@base", toy_tasks)):
        meant = {task.goal: task.instruction for task in right()}
        for task in tasks(variant):
            others = suites.other_goals(variant, task.index)
            assert others
            assert all(meant[other.goal] == other.instruction for other in others)
            assert task.instruction not in [other.instruction for other in others]


def test_what_is_no_variant_has_no_change(moved):
    assert language_context(tasks("moved")[0]).changed is None
    assert language_context(tasks("moved@file-name")[0]).changed.goal is None
    assert language_context(tasks("moved@base")[0]).changed.goal == changed_tasks()[0].goal


def test_variants_are_looked_up_and_forgotten_like_suites(moved):
    assert is_suite("moved@base")
    assert is_suite("moved@file-name")
    assert not is_suite("moved@rule")
    assert not is_suite("toy@base")
    assert suites.suite_names().count("moved") == 1
    assert not [name for name in suites.suite_names() if "@" in name]
    assert (find_suite("moved@base").limits, find_suite("moved@base").name) == (moved.limits, "moved@base")
    suites.unregister_suites_but(suites.registered_suites() - {"moved"})
    assert not is_suite("moved@base")
    with pytest.raises(KeyError):
        find_suite("moved@base")


REFUSED = {
    "--suite toy --instruction-source file-name": (
        "--instruction-source file-name: toy has no instructions but its own"
    ),
    "--suite toy --base-arm": "--base-arm: toy has no base arm: its tasks are not made from those of another suite",
    "--suite moved --suite toy --base-arm": "--base-arm: toy has no base arm",
    "--suite moved@base --instruction-source file-name": (
        "--instruction-source file-name: moved@base is another variant already"
    ),
    "--suite moved --base-arm --instruction-source file-name": (
        "--instruction-source file-name: --base-arm plays the base tasks' texts; choose one"
    ),
    "--suite moved --instruction-source filename": "--instruction-source: no 'filename'; did you mean 'file-name'?",
    "--suite moved@bass": "--suite: no suite 'moved@bass'; did you mean 'moved'?",
    "--suite mover --base-arm": "--suite: no suite 'mover'; did you mean 'moved'?",
    "--suite moved --perturb instruction:changed": (
        "--perturb instruction:changed: moved tasks 0, 1, 2, 3 are left out; no changed instruction"
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_exist_is_one_line(words, moved, tmp_path):
    assert refusal("run", *words.split(), "--out", tmp_path / "run").startswith(REFUSED[words])
    assert not (tmp_path / "run").exists()


def test_preview_and_lists_know_them(moved, tmp_path):
    out = tmp_path / "seen.png"
    assert call("preview", "--suite", "moved", "--instruction-source", "file-name", "--out", out).code == 0
    assert out.is_file()
    assert refusal("preview", "--suite", "toy", "--instruction-source", "file-name", "--out", out).startswith("--instr")
    listed = call("list", "tasks", "--suite", "moved@base").out
    assert [task.instruction in line for task, line in zip(toy_tasks(), listed.splitlines(), strict=True)] == [True] * 4
    texts = json.loads(call("list", "texts", "--suite", "moved", "--json").out)["texts"]
    assert [(text["task"], text["source"], text["differs"]) for text in texts] == [
        (task, source, source != "rule") for task in range(4) for source in ("rule", "file-name")
    ]
    assert "4 of 4 texts are not the suite's own" in call("list", "texts", "--suite", "moved").out
    assert refusal("list", "texts", "--suite", "toy") == "list texts: toy has no instructions but its own"


def test_a_base_task_that_is_missing_says_why(moved):
    def gone(task):
        raise EnvError(f"{task.suite} has no base arm: it is gone")

    register_suite(
        replace(
            moved, name="lost", tasks=lambda: tuple(replace(t, suite="lost") for t in changed_tasks()), base_task=gone
        )
    )
    assert refusal("plan", "--suite", "lost", "--base-arm") == "--base-arm: lost has no base arm: it is gone"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"base": "nothing"}, "base is 'nothing', which is no suite with as many tasks"),
        ({"base": "toy@base"}, "base is 'toy@base'"),
        ({"instruction_sources": {"base": str}}, "instruction_sources has 'base'"),
        ({"instruction_sources": {"rule": str}}, "instruction_sources has 'rule'"),
        ({"instruction_sources": {"File Name": str}}, "instruction_sources has 'File Name'"),
    ],
)
def test_a_suite_with_unusable_variants_is_not_registered(fields, said, moved):
    mine = tuple(replace(task, suite="mine") for task in changed_tasks())
    with pytest.raises(ValueError, match=said):
        register_suite(replace(moved, name="mine", tasks=lambda: mine, **fields))
    assert not is_suite("mine")
