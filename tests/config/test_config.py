"""Options: one place, typed, and the same whether they come from YAML or from flags."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.options import default_of, flag, load_yaml, parse_indices
from simeval.core.errors import ConfigError

FULL = EvalConfig(
    suite=("mine", "yours"),
    instruction_source="file-name",
    tasks="0,2",
    init_states="0-3",
    perturb=("noise:0.1,0.3", "light:0.3"),
    policy="zero",
    n_action_steps=3,
    protocol="lerobot",
    seed=11,
    repeats=2,
    until="decided",
    margin=3,
    max_pairs=40,
    assets="somewhere",
    device="cpu",
    inference="worker",
    batch_size=4,
    dtype="bfloat16",
    numerics="native",
    workers=3,
    ray_address="auto",
    out="there",
    plugin=("my_axes.py",),
    traces="failures",
    video="failures",
    episode_timeout=600,
    convention="openpi_libero",
)


def problem(**values) -> str:
    with pytest.raises(ConfigError) as caught:
        from_mapping(values)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("item", fields(EvalConfig), ids=lambda item: item.name)
def test_every_option_explains_itself(item):
    text = item.metadata["help"]
    assert re.fullmatch(r"\w.{10,}[.\])]", text), text
    assert isinstance(item.metadata["changes_results"], bool)
    assert default_of(item) == getattr(EvalConfig(), item.name)


def test_what_only_says_how_to_run_is_no_part_of_what_a_resumed_run_must_agree_on():
    how = {"inference", "workers", "ray_address", "plugin", "out", "traces", "video", "episode_timeout"}
    # Absent while they are unset, as in older manifests.
    how |= {"convention", "until", "margin", "max_pairs", "instruction_source", "base_arm"}
    assert {item.name for item in fields(EvalConfig)} - set(EvalConfig().result_fields()) == how


BASE_ARM = EvalConfig(suite=("mine",), plugin=("my_axes.py",), base_arm=True)
"""Excludes the other sources of instructions."""


@pytest.mark.parametrize("config", [EvalConfig(), FULL, BASE_ARM], ids=["defaults", "everything set", "base arm"])
def test_settings_survive_a_round_trip_through_yaml(config):
    unset = [item.name for item in fields(EvalConfig) if getattr(FULL, item.name) == getattr(EvalConfig(), item.name)]
    assert unset == ["base_arm"]
    assert from_mapping(config.to_dict()) == config
    assert from_mapping(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def test_values_from_python_are_converted_or_refused_as_those_of_a_recipe():
    config = EvalConfig(suite="toy", init_states=[0, 1], tasks=3, perturb=["noise:0.1"])
    assert (config.suite, config.init_states, config.tasks, config.perturb) == (("toy",), "0,1", "3", ("noise:0.1",))
    config = EvalConfig(suite="toy", init_states=range(3), tasks=(0, 2), repeats=np.int64(2), out=Path("runs"))
    assert (config.init_states, config.tasks, config.repeats, config.out) == ("0,1,2", "0,2", 2, "runs")
    for values, line in (
        ({"seed": "x"}, "--seed: 'x' is not a whole number"),
        ({"suite": {"toy": 1}}, "--suite: "),
        ({"policy": object()}, "--policy: takes a text, not a object; give an object to simeval.evaluate"),
        ({"init_states": np.arange(3)}, "--init-states: takes a text, not a ndarray"),
    ):
        with pytest.raises(ConfigError, match=line):
            EvalConfig(**values)


def test_what_is_not_named_comes_from_the_base():
    changed = from_mapping({"seed": 12, "traces": "all"}, FULL)
    assert (changed.seed, changed.traces) == (12, "all")
    assert from_mapping({"seed": 11, "traces": "failures"}, changed) == FULL


def test_keys_may_be_written_like_flags():
    assert from_mapping({"init-states": "0", "n-action-steps": 2}).init_states == "0"
    assert flag("n_action_steps") == "--n-action-steps"


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ({"suite": "toy"}, "suite", ("toy",)),
        ({"suite": ["toy", "libero_10"]}, "suite", ("toy", "libero_10")),
        ({"perturb": "noise:0.1"}, "perturb", ("noise:0.1",)),
        ({"tasks": 3}, "tasks", "3"),
        ({"tasks": [0, 3, 5]}, "tasks", "0,3,5"),
        ({"tasks": None}, "tasks", None),
        ({"seed": 5.0}, "seed", 5),
        ({"workers": None}, "workers", None),
        ({"workers": 0}, "workers", 0),
        ({"policy": "zero"}, "policy", "zero"),
        ({"traces": "none"}, "traces", "none"),
        ({"video": False}, "video", "none"),
        ({"traces": False}, "traces", "none"),
        ({"perturb": None}, "perturb", ()),
    ],
)
def test_yaml_values_become_the_types_of_the_options(values, name, expected):
    found = getattr(from_mapping(values), name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"suite": "libero_spatail"}, "--suite: no suite 'libero_spatail'; did you mean 'libero_spatial'?"),
        ({"suite": []}, "--suite: name at least one"),
        ({"suite": ["toy", "toy"]}, "--suite: given twice"),
        ({"suite": {"toy": 1}}, "--suite: no suite"),
        ({"sed": 1}, "no option 'sed'; did you mean 'seed'?"),
        ({"zzz": 1}, "no option 'zzz'; known: suite, tasks"),
        ({"seed": "1"}, "--seed: '1' is not a whole number"),
        ({"seed": 1.5}, "--seed: '1.5' is not a whole number"),
        ({"seed": True}, "--seed: 'True' is not a whole number"),
        ({"seed": None}, "--seed: 'None' is not a whole number"),
        ({"seed": [1]}, "--seed: '[1]' is not a whole number"),
        ({"seed": float("inf")}, "--seed: 'inf' is not a whole number"),
        ({"seed": float("nan")}, "--seed: 'nan' is not a whole number"),
        ({"seed": -1}, "--seed -1: must be in [0, 2**63)"),
        ({"seed": 10**400}, "must be in [0, 2**63)"),
        ({"seed": 2**63}, "must be in [0, 2**63)"),
        ({"workers": -1}, "--workers -1: must be in [0, 1024]"),
        ({"workers": 2.5}, "--workers: '2.5' is not a whole number"),
        ({"repeats": 0}, "--repeats 0: must be in [1, 10000]"),
        ({"n_action_steps": 0}, "--n-action-steps 0: must be in [1, 1000]"),
        ({"batch_size": 0}, "--batch-size 0: must be in [1, 4096]"),
        ({"protocol": "openvlaa"}, "--protocol: no 'openvlaa'; did you mean 'openvla'?"),
        ({"protocol": None}, "--protocol: no 'None'"),
        ({"device": "gpu"}, "--device: no 'gpu'; did you mean 'cpu'?"),
        ({"dtype": "float16"}, "--dtype: no 'float16'; did you mean 'bfloat16'?"),
        ({"device": ["cpu"]}, "--device: no '['cpu']'"),
        ({"traces": "some"}, "--traces: no 'some'"),
        ({"video": "flips", "traces": "failures"}, "--video flips: needs --traces all, not failures"),
        ({"video": "all", "traces": "none"}, "--video all: needs --traces all, not none"),
        ({"video": "failures", "traces": "none"}, "--video failures: needs --traces all or failures"),
        ({"video": True}, "--video: no 'True', as YAML reads on, yes or true; write one of none, all, failures"),
        ({"inference": False}, "--inference: no 'False', as YAML reads off, no or false; write one of auto, worker"),
        ({"policy": True}, "--policy: no 'True', as YAML reads on, yes or true; put the word in quotes"),
        ({"perturb": [None]}, "--perturb: an entry of the list has no value"),
        ({"perturb": [{"noise": 0.1}]}, "--perturb: write noise:0.1, without a blank after the colon"),
        ({"perturb": {"noise": 0.1}}, "--perturb: write noise:0.1, without a blank after the colon"),
    ],
)
def test_wrong_values_are_refused_in_one_line(values, said):
    assert said in problem(**values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
        ("0", (0,)),
        ("9,0", (0, 9)),
        ("0,3,5-7", (0, 3, 5, 6, 7)),
        (" 1 , 2-3 ", (1, 2, 3)),
        ("3,3,2-4", (2, 3, 4)),
    ],
)
def test_numbers_and_ranges_are_read(text, expected):
    assert parse_indices(text, 10, "tasks") == expected


@pytest.mark.parametrize(
    "text", ["", ",", "a", "a-b", "1-", "-1", "1-2-3", "1;2", "1.5", "0x1", "10", "8-10", "5-3", "1 2", "9" * 5000]
)
def test_what_is_no_list_of_numbers_in_range_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse_indices(text, 10, "init_states")
    assert str(caught.value).startswith("--init-states")
    assert "\n" not in str(caught.value)


@given(st.sets(st.integers(0, 49), min_size=1))
def test_every_set_of_numbers_can_be_written(numbers):
    text = ",".join(f"{n}" if n % 2 else f"{n}-{n}" for n in numbers)
    assert parse_indices(text, 50, "tasks") == tuple(sorted(numbers))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold 'option: value' lines"),
        ("- toy\n", "must hold 'option: value' lines"),
        ("suite: [toy\n", "is not YAML (line 2)"),
        ("a: b: c\n", "is not YAML (line 1)"),
        ("seed: !!python/object/apply:os.getcwd []\n", "is not YAML"),
        (b"\xff\xfe\x00", "cannot read"),
        (b"\x00", "is not YAML"),
        ("seed: 1\nsuite: toy\nseed: 2\n", "(line 3): 'seed' occurs twice"),
        ("policies: {a: {policy: zero}, a: {policy: seeker}}\n", "(line 1): 'a' occurs twice"),
        ("policies: {1: {policy: zero}, 01: {policy: seeker}}\n", "'01' is no plain number"),
    ],
)
def test_files_that_are_no_recipe_are_refused(tmp_path, content, said):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"^--config: ") as caught:
        load_yaml(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_may_replace_what_it_takes_over_from_an_anchor(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("a: &a {policy: zero, seed: 1}\nb: {<<: *a, seed: 2}\n")
    assert load_yaml(str(path)) == {"a": {"policy": "zero", "seed": 1}, "b": {"policy": "zero", "seed": 2}}


def test_the_default_policy_follows_the_suite():
    assert EvalConfig(suite=("toy",)).policy_name == "seeker"
    assert EvalConfig(suite=("toy",), policy="zero").policy_name == "zero"
    assert EvalConfig(workers=0).worker_count == 0
    assert EvalConfig().worker_count >= 1
