"""The plan: every perturbed episode has its twin, and equal requests are equal work."""

import os
from collections import Counter
from dataclasses import replace

import pytest
from helpers import CONDITIONS
from msgspec import structs

from envs.protocols import PROTOCOLS
from envs.suites import limits as limits_of
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import estimated_seconds, make_plan
from simeval.core.errors import ConfigError

SMALL = EvalConfig(suite=("toy",), tasks="1,3", init_states="0,2", perturb=CONDITIONS, repeats=2, seed=9)


def test_a_plan_is_the_product_of_what_was_asked_for_none_first():
    plan = make_plan(SMALL)
    assert plan.conditions == ("none", *CONDITIONS)
    assert len(plan.episodes) == len({spec.id for spec in plan.episodes}) == 2 * 2 * 2 * 5
    assert [spec.id for spec in plan.episodes[:6]] == [
        "toy/1/init00/none/r0",
        "toy/1/init00/noise=0.3/r0",
        "toy/1/init00/light=0.1/r0",
        "toy/1/init00/occlusion=0.2@agentview/r0",
        "toy/1/init00/instruction=counterfactual/r0",
        "toy/1/init00/none/r1",
    ]
    assert {spec.root_seed for spec in plan.episodes} == {9}


def test_every_perturbed_episode_has_an_unperturbed_twin_under_the_same_protocol():
    plan = make_plan(SMALL)
    twins = {spec.pair_id: spec for spec in plan.episodes if spec.condition == "none"}
    assert Counter(spec.pair_id for spec in plan.episodes) == dict.fromkeys(twins, 5)
    for spec in plan.episodes:
        assert structs.replace(spec, condition="none") == twins[spec.pair_id]


@pytest.mark.parametrize(
    ("perturb", "conditions"),
    [
        ((), ("none",)),
        (("none",), ("none",)),
        (("noise:0.1", "none", "noise:.10", "noise:10%"), ("none", "noise:0.1")),
        (("noise:0.1,0.3",), ("none", "noise:0.1", "noise:0.3")),
        (("light:0.3+noise:0.1", "noise:0.1+light:0.3"), ("none", "light:0.3+noise:0.1")),
        (("noise:0",), ("none", "noise:0")),
    ],
)
def test_none_always_runs_and_equal_conditions_run_once(perturb, conditions):
    assert make_plan(replace(SMALL, perturb=perturb)).conditions == conditions


def test_the_digest_is_of_the_work_not_of_its_wording():
    same = replace(SMALL, tasks="3,1", perturb=("noise:30%", *CONDITIONS[1:]), workers=7, out="there", traces="none")
    assert make_plan(same).digest == make_plan(SMALL).digest
    for change in ({"seed": 10}, {"tasks": "1"}, {"repeats": 1}, {"perturb": CONDITIONS[1:]}, {"init_states": "0,3"}):
        assert make_plan(replace(SMALL, **change)).digest != make_plan(SMALL).digest


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocols_set_the_numbers_of_every_episode(name):
    protocol = PROTOCOLS[name]
    plan = make_plan(EvalConfig(suite=("libero_spatial", "toy"), tasks="0", init_states="0-4", protocol=name))
    assert {spec.suite for spec in plan.episodes} == {"libero_spatial", "toy"}
    for spec in plan.episodes:
        limits = limits_of(protocol.name, spec.suite)
        assert (spec.max_steps, spec.settle_steps, spec.resolution) == (
            limits.max_steps,
            limits.settle_steps,
            limits.resolution,
        )
        assert spec.env_seed == protocol.first_env_seed + protocol.env_seed_step * spec.init_state


def test_all_tasks_and_initial_states_are_the_default():
    assert len(make_plan(EvalConfig()).episodes) == 10 * 50
    assert len(make_plan(EvalConfig(suite=("toy",))).episodes) == 4 * 50


def test_tasks_without_another_goal_are_left_out_of_a_counterfactual_and_said():
    """libero_10 has scenes in which no other task of the suite makes sense."""
    perturb = ("instruction:counterfactual",)
    plan = make_plan(EvalConfig(suite=("libero_10",), init_states="0", policy="expert", perturb=perturb))
    counts = Counter(spec.condition for spec in plan.episodes)
    assert counts["none"] == 10
    assert 0 < counts["instruction:counterfactual"] < 10
    (note,) = plan.notes
    assert note.startswith("instruction:counterfactual: libero_10 tasks ")


def test_a_suite_without_an_instruction_does_not_stop_the_others():
    perturb = ("instruction:placeswap",)
    config = EvalConfig(suite=("libero_object", "libero_goal"), init_states="0", policy="expert", perturb=perturb)
    plan = make_plan(config)
    assert {s.suite for s in plan.episodes if s.condition != "none"} == {"libero_goal"}
    assert [note.split(" tasks ")[0] for note in plan.notes] == [
        f"instruction:placeswap: {suite}" for suite in ("libero_object", "libero_goal")
    ]


def test_a_condition_that_no_task_can_carry_is_refused():
    perturb = ("instruction:counterfactual",)
    plan = make_plan(EvalConfig(suite=("libero_10",), init_states="0", policy="expert", perturb=perturb))
    able = {spec.task for spec in plan.episodes if spec.condition != "none"}
    unable = str(next(iter(set(range(10)) - able)))
    with pytest.raises(ConfigError, match=r"no counterfactual instruction exists for the task .*; no task is left"):
        make_plan(EvalConfig(suite=("libero_10",), tasks=unable, perturb=("instruction:counterfactual",)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": "4"}, r"--tasks 4: must be within 0\.\.3"),
        ({"init_states": "50"}, r"--init-states 50: must be within 0\.\.49"),
        ({"perturb": ("nois:0.1",)}, "--perturb: unknown perturbation 'nois'; did you mean 'noise'?"),
        ({"perturb": ("noise:-1",)}, "--perturb: noise:-1: value must be"),
    ],
)
def test_what_does_not_exist_is_refused(change, said):
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        make_plan(replace(SMALL, **change))


def test_a_time_between_two_control_steps_is_rounded_up_and_the_plan_says_so():
    plan = make_plan(
        replace(SMALL, suite=("toy",), perturb=("latency:100ms, 75ms,1/mode=async+obs.delay:50ms", "noise:0.1@wrist"))
    )
    assert plan.conditions[1] == "obs.delay:1+latency:2/mode=async"
    assert plan.notes == ("latency:75ms is latency:2: rounded up to whole control steps",)
    assert make_plan(replace(SMALL, suite=("toy",), perturb=("latency:100ms", "instruction:empty"))).notes == ()


def test_a_plan_with_a_measured_latency_says_that_its_rows_are_not_those_of_another_run():
    (note,) = make_plan(EvalConfig(suite=("toy",), policy="seeker", perturb=("latency:measured,2/mode=async",))).notes
    assert note.startswith("latency:measured/mode=async: its rows depend on this machine")


def test_a_condition_too_long_for_a_file_name_is_refused():
    long = "+".join(
        f"{axis}:0.123456789012@{camera}/from=1000/until=2000"
        for axis in ("noise", "occlusion", "brightness")
        for camera in ("agentview", "wrist")
    )
    with pytest.raises(ConfigError, match="longer than 150 characters"):
        make_plan(EvalConfig(suite=("toy",), perturb=(long,)))


def test_the_estimate_grows_with_the_work_and_shrinks_with_workers():
    plan, more = make_plan(SMALL), make_plan(replace(SMALL, init_states="0-9"))
    serial = estimated_seconds(plan, replace(SMALL, workers=0))
    assert 0 < serial < estimated_seconds(more, replace(SMALL, workers=0))
    cluster = replace(SMALL, workers=4, ray_address="auto")
    assert estimated_seconds(plan, cluster) == pytest.approx(serial / 4)
    # Workers beyond the cores of this machine do not help.
    assert estimated_seconds(plan, replace(SMALL, workers=1000)) == pytest.approx(serial / (os.cpu_count() or 1))


def test_the_estimate_knows_what_has_to_be_drawn():
    base = EvalConfig(suite=("libero_spatial",), tasks="0", init_states="0", workers=0)

    def seconds(**how):
        return estimated_seconds(make_plan(base), replace(base, **how))

    assert seconds(policy="expert") < seconds(policy="a/b", assets="bundled") < seconds(policy="a/b")
    assert seconds(policy="a/b", n_action_steps=1) > 5 * seconds(policy="a/b", n_action_steps=50)


def test_the_bundled_policy_says_what_it_does_not_know():
    (note,) = make_plan(EvalConfig(suite=("libero_spatial", "libero_goal"), init_states="0", tasks="0")).notes
    assert note == "policy bundled: trained on libero_spatial alone; nothing can be expected of it on libero_goal"
    variants = make_plan(EvalConfig(suite=("libero_spatial_lan", "libero_spatial_plus"), init_states="0", tasks="0"))
    assert not any("nothing can be expected" in note for note in variants.notes)
    assert make_plan(EvalConfig(suite=("libero_spatial",), init_states="0", tasks="0")).notes == ()
