"""`simeval list ... --json`: every list as one JSON object, complete, and the same as the text."""

import dataclasses
import json

import pytest
from helpers import call, refusal

from envs.protocols import PROTOCOLS
from envs.suites import find_suite, register_suite, suite_names, tasks
from perturbations.base import axes
from perturbations.spec import parse
from simeval.cli.app import LISTS
from simeval.cli.catalog import render
from simeval.policies.names import SCRIPTED

PLUGIN = """
from perturbations.base import AxisInfo, NUMBER, Stage, register

@register(AxisInfo(name="mine.dim", stage=Stage.SENSOR, family="V", unit=NUMBER, value_means="how dim", identity=0.0,
                   source="this test", draws=False))
def dim(pixels, value, rng):
    return pixels - value
"""


def listed(*words):
    called = call("list", *words, "--json")
    assert (called.code, called.err) == (0, "")
    record = json.loads(called.out)
    assert record.pop("schema_version") == 1
    assert list(record) == [words[0]]
    return record[words[0]]


@pytest.mark.parametrize("what", LISTS)
def test_a_list_as_json_has_the_names_of_the_list_as_text(what):
    words = (what, "--suite", "toy") if what == "tasks" else (what,)
    text = call("list", *words).out
    entries = listed(*words)
    assert entries
    for entry in entries:
        assert entry["instruction" if what in ("tasks", "texts") else "name"] in text


def test_suites_and_protocols_are_complete():
    assert [(entry["name"], entry["tasks"]) for entry in listed("suites")] == [
        (name, len(tasks(name))) for name in suite_names()
    ]
    protocols = listed("protocols")
    assert [entry["name"] for entry in protocols] == list(PROTOCOLS)
    assert [entry["name"] for entry in protocols if entry["default"]] == ["openvla"]
    spatial = next(row for row in protocols[0]["limits"] if row["suite"] == "libero_spatial")
    assert spatial == {"suite": "libero_spatial", "max_steps": 220, "settle_steps": 10, "resolution": 256}


def test_tasks_are_those_of_the_suite_that_was_asked_for():
    entries = listed("tasks", "--suite", "toy")
    assert [(entry["suite"], entry["task"], entry["other_goals"]) for entry in entries] == [
        ("toy", i, 3) for i in range(4)
    ]


@pytest.mark.usefixtures("suite_registry")
@pytest.mark.parametrize("what", ["suites", "tasks"])
def test_names_of_any_length_stand_in_one_column(what):
    name = "a_suite_with_quite_a_long_name"
    renamed = tuple(dataclasses.replace(task, suite=name) for task in tasks("toy"))
    register_suite(dataclasses.replace(find_suite("toy"), name=name, tasks=lambda: renamed))
    lines = list(render(what))
    # The number of tasks, or the task's number, ends in the same column.
    ends = {len(line) - len(line.split(None, 1)[1].lstrip("0123456789")) for line in lines}
    assert len(lines) > 5
    assert len(ends) == 1


def test_policies_are_told_apart_by_kind():
    kinds = {entry["name"]: entry["kind"] for entry in listed("policies")}
    assert kinds["bundled"] == "bundled"
    assert {kinds[name] for name in SCRIPTED} == {"scripted"}
    assert kinds["FOLDER"] == "checkpoint"


def test_axes_come_in_order_with_examples_that_parse():
    entries = listed("perturbations")
    assert [entry["name"] for entry in entries] == [info.name for info in axes()]
    for entry in entries:
        (term,) = parse(entry["example"]).terms
        assert term.axis == entry["name"]


def test_an_axis_has_its_unit_range_presets_and_settings():
    (noise,) = listed("perturbations", "noise")
    assert (noise["unit"], noise["suffixes"]) == ("fraction", ["", "%"])
    assert (noise["minimum"], noise["maximum"], noise["identity"]) == (0.0, 1.0, 0.0)
    assert noise["presets"] == [0.08, 0.12, 0.18, 0.26, 0.38]
    assert {"name": "mode", "accepted": "flicker|static", "default": "flicker"} in noise["settings"]
    assert noise["words"] == []


def test_a_word_axis_has_its_words_and_their_arguments():
    (instruction,) = listed("perturbations", "instruction")
    words = {word["name"]: word for word in instruction["words"]}
    assert (instruction["minimum"], instruction["unit"]) == (None, "word")
    assert (words["empty"]["meaning"], words["empty"]["argument"]) == ("changed", None)
    assert (words["typo"]["argument"]["minimum"], words["typo"]["argument"]["default"]) == (0.01, None)
    assert "de" in words["lang"]["argument"]["words"]


@pytest.mark.usefixtures("registry")
def test_an_axis_without_a_limit_says_null(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    (entry,) = listed("perturbations", "mine.dim", "--plugin", plugin)
    assert (entry["minimum"], entry["maximum"], entry["draws"]) == (None, None, False)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["suitse"], "no list 'suitse'; did you mean 'suites'?"),
        (["suites", "toy"], "list suites: takes no name ('toy')"),
        (["perturbations", "nois"], "unknown perturbation 'nois'; did you mean 'noise'?"),
        (["tasks", "--suite", "toi"], "--suite: no suite 'toi'; did you mean 'toy'?"),
    ],
)
def test_a_mistake_is_one_line_and_no_json(words, line):
    assert line in refusal("list", *words, "--json")
