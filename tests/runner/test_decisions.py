"""When conditions of a run are decided, and that nothing but the finished prefix decides."""

import random

import pytest

from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.core.rounds import in_rounds
from simeval.runner.decisions import RunDecisions
from simeval.runner.queue import EpisodeQueue

PERTURB = ("noise:0.9", "noise:0.01", "light:0.5")


def plan(**settings):
    settings = {"suite": ("libero_goal",), "perturb": PERTURB, **settings}
    return make_plan(EvalConfig(workers=0, **settings)).episodes


def outcome(spec):
    """Strong noise fails everywhere, weak noise nowhere; light fails in a fifth."""
    if spec.condition == "noise:0.9":
        return "failure"
    if spec.condition == "light:0.5":
        return "failure" if random.Random(spec.pair_id).random() < 0.2 else "success"
    return "success"


def played(specs, workers=1, seed=0, **how):
    """A run that stops when it is decided: workers that end their episodes in a random order."""
    decisions, rng, ran = RunDecisions(specs, 0.05), random.Random(seed), []
    queue = EpisodeQueue(specs, decisions.is_open)
    last, running = [None] * workers, {}
    while True:
        for worker in range(workers):
            if worker not in running and (spec := queue.next(last[worker])):
                running[worker] = last[worker] = spec
        if not running:
            return decisions, ran
        worker = rng.choice(sorted(running))
        spec = running.pop(worker)
        ran.append(spec)
        decisions.record(spec, how.get("outcome", outcome)(spec))


def found(decisions, suite="libero_goal"):
    return decisions.test(suite).decisions


def test_a_run_stops_when_all_is_decided():
    decisions, ran = played(plan())
    verdicts = {name: decision.verdict for name, decision in found(decisions).items()}
    assert verdicts == {"noise:0.9": "drop", "noise:0.01": "within", "light:0.5": "drop"}
    counts = {name: sum(spec.condition == name for spec in ran) for name in ("none", *PERTURB)}
    assert counts["noise:0.9"] < counts["light:0.5"] <= counts["none"] < 250
    assert counts["noise:0.9"] < 60


@pytest.mark.parametrize("workers", [2, 5, 16, 40])
def test_neither_workers_nor_their_order_change_a_decision(workers):
    alone, _ = played(plan())
    for seed in range(3):
        decisions, ran = played(plan(), workers, seed)
        assert found(decisions) == found(alone)
        assert {s for s in ran if decisions.counts(s)} == {s for s in plan() if alone.counts(s)}


def test_what_counts_is_the_prefix_of_each_condition():
    decisions, ran = played(plan(), 8)
    counted = [spec for spec in ran if decisions.counts(spec)]
    longest = max(decision.position for decision in found(decisions).values())
    assert sum(spec.condition == "none" for spec in counted) == longest
    for name, decision in found(decisions).items():
        assert sum(spec.condition == name for spec in counted) == decision.pairs == decision.position
    order = list(dict.fromkeys((spec.task, spec.init_state) for spec in in_rounds(plan())))
    assert {(spec.task, spec.init_state) for spec in counted} == set(order[:longest])


def test_a_run_that_goes_on_decides_the_same():
    whole, ran = played(plan())
    again = RunDecisions(plan(), 0.05)
    for spec in random.Random(3).sample(ran, len(ran)):
        again.record(spec, outcome(spec))
    assert found(again) == found(whole)
    assert not any(again.is_open(spec) for spec in plan())


def test_a_part_of_the_prefix_decides_nothing_that_the_whole_would_not():
    decisions = RunDecisions(plan(), 0.05)
    later = [spec for spec in plan() if spec.init_state > 0]
    for spec in later:
        decisions.record(spec, outcome(spec))
    assert found(decisions) == {}
    assert all(map(decisions.is_open, plan()))
    for spec in plan():
        if spec.init_state == 0:
            decisions.record(spec, outcome(spec))
    assert found(decisions) == found(played(plan())[0])


def test_suites_decide_apart():
    specs = plan(suite=("libero_goal", "libero_spatial"))

    def harmless_in_one(spec):
        return "success" if spec.suite == "libero_spatial" else outcome(spec)

    decisions, _ = played(specs, outcome=harmless_in_one)
    assert {d.verdict for d in found(decisions, "libero_spatial").values()} == {"within"}
    assert found(decisions) == found(played(plan())[0])


def test_repeats_of_a_state_count_as_one_pair():
    """With 3 repeats of 2 states there are 2 pairs, which decide nothing."""
    decisions, ran = played(plan(tasks="0", init_states="0-1", repeats=3))
    assert len(ran) == 24
    assert found(decisions) == {}
    assert decisions.test("libero_goal").pairs("noise:0.9") == 2


def test_errors_and_twins_that_cannot_be_made_are_passed_over():
    def broken(spec):
        if spec.task == 3:
            return "infeasible" if spec.condition == "noise:0.9" else "error"
        return outcome(spec)

    decisions, _ = played(plan(), outcome=broken)
    for decision in found(decisions).values():
        assert decision.pairs < decision.position


def test_conditions_that_some_tasks_do_not_have():
    specs = [spec for spec in plan() if spec.condition != "light:0.5" or spec.task != 2]
    decisions, _ = played(specs)
    assert found(decisions)["light:0.5"].pairs < found(decisions)["light:0.5"].position
    assert found(decisions)["noise:0.9"].pairs == found(decisions)["noise:0.9"].position
