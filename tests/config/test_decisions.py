"""When conditions of a run are decided, and that nothing but the finished prefix decides."""

import random

import pytest

from simeval.config.decisions import RunDecisions
from simeval.config.evaluation import EvalConfig
from simeval.config.layout import layout_of, planned
from simeval.config.plan import make_plan
from simeval.core.rounds import in_rounds
from simeval.runner.queue import EpisodeQueue

PERTURB = ("noise:0.9", "noise:0.01", "light:0.5")


def manifest(*steps, **settings):
    """Of a run whose plan grew from the first of `steps` on."""
    configs = [
        EvalConfig(**{"suite": ("libero_goal",), "perturb": PERTURB, "workers": 0, **settings, **step})
        for step in steps or ({},)
    ]
    plans = [make_plan(config) for config in configs]
    *earlier, layout = [{"layout": layout_of(plan)} for plan in plans]
    return {"conditions": plans[-1].conditions, "config": configs[-1].to_dict(), "grown": earlier, **layout}


def plan(**settings):
    return make_plan(EvalConfig(**{"suite": ("libero_goal",), "perturb": PERTURB, "workers": 0, **settings})).episodes


def decisions_of(run, **how):
    return RunDecisions(planned(run), 0.05, **how)


def outcome(spec):
    """Strong noise fails everywhere, weak noise nowhere; light fails in a fifth."""
    if spec.condition == "noise:0.9":
        return "failure"
    if spec.condition == "light:0.5":
        return "failure" if random.Random(spec.pair_id).random() < 0.2 else "success"
    return "success"


def played(workers=1, seed=0, outcome=outcome, max_pairs=None, **settings):
    """A run that stops when it is decided: workers that end their episodes in a random order."""
    specs, decisions = plan(**settings), decisions_of(manifest(**settings), max_pairs=max_pairs)
    rng, ran = random.Random(seed), []
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
        decisions.record(spec, outcome(spec))


def found(decisions, suite="libero_goal"):
    return decisions.test(suite).decisions


def test_a_run_stops_when_all_is_decided():
    decisions, ran = played()
    verdicts = {name: decision.verdict for name, decision in found(decisions).items()}
    assert verdicts == {"noise:0.9": "drop", "noise:0.01": "within", "light:0.5": "drop"}
    counts = {name: sum(spec.condition == name for spec in ran) for name in ("none", *PERTURB)}
    assert counts["noise:0.9"] < counts["light:0.5"] <= counts["none"] < 250
    assert counts["noise:0.9"] < 60


@pytest.mark.parametrize("workers", [2, 5, 16, 40])
def test_neither_workers_nor_their_order_change_a_decision(workers):
    alone, _ = played()
    for seed in range(3):
        decisions, ran = played(workers, seed)
        assert found(decisions) == found(alone)
        assert {s for s in ran if decisions.counts(s)} == {s for s in plan() if alone.counts(s)}


def test_what_counts_is_the_prefix_of_each_condition():
    decisions, ran = played(8)
    counted = [spec for spec in ran if decisions.counts(spec)]
    longest = max(decision.position for decision in found(decisions).values())
    assert sum(spec.condition == "none" for spec in counted) == longest
    for name, decision in found(decisions).items():
        assert sum(spec.condition == name for spec in counted) == decision.pairs == decision.position
    order = list(dict.fromkeys((spec.task, spec.init_state) for spec in in_rounds(plan())))
    assert {(spec.task, spec.init_state) for spec in counted} == set(order[:longest])


def test_a_run_that_goes_on_decides_the_same():
    whole, ran = played()
    again = decisions_of(manifest())
    for spec in random.Random(3).sample(ran, len(ran)):
        again.record(spec, outcome(spec))
    assert found(again) == found(whole)
    assert not any(again.is_open(spec) for spec in plan())


def test_a_part_of_the_prefix_decides_nothing_that_the_whole_would_not():
    decisions = decisions_of(manifest())
    later = [spec for spec in plan() if spec.init_state > 0]
    for spec in later:
        decisions.record(spec, outcome(spec))
    assert found(decisions) == {}
    assert all(map(decisions.is_open, plan()))
    for spec in plan():
        if spec.init_state == 0:
            decisions.record(spec, outcome(spec))
    assert found(decisions) == found(played()[0])


def test_suites_decide_apart():
    def harmless_in_one(spec):
        return "success" if spec.suite == "libero_spatial" else outcome(spec)

    decisions, _ = played(outcome=harmless_in_one, suite=("libero_goal", "libero_spatial"))
    assert {d.verdict for d in found(decisions, "libero_spatial").values()} == {"within"}
    assert found(decisions) == found(played()[0])


def test_repeats_of_a_state_count_as_one_pair():
    """With 3 repeats of 2 states there are 2 pairs, which decide nothing."""
    decisions, ran = played(tasks="0", init_states="0-1", repeats=3)
    assert len(ran) == 24
    assert found(decisions) == {}
    assert decisions.test("libero_goal").differences("noise:0.9") == (1.0, 1.0)


def test_errors_and_twins_that_cannot_be_made_are_passed_over():
    def broken(spec):
        if spec.task == 3:
            return "infeasible" if spec.condition == "noise:0.9" else "error"
        return outcome(spec)

    decisions, _ = played(outcome=broken)
    for decision in found(decisions).values():
        assert decision.pairs < decision.position


@pytest.mark.parametrize("broken", ["none", "noise:0.9"])
def test_nothing_is_decided_while_more_than_two_percent_of_pairs_broke(broken):
    """Tables compare nothing then. One error in 50 pairs is allowed."""
    decisions, specs = decisions_of(manifest()), in_rounds(plan())
    first = specs[0]
    decided_after = None
    for spec in specs:
        fails = (spec.task, spec.init_state) == (first.task, first.init_state) and spec.condition == broken
        decisions.record(spec, "error" if fails else outcome(spec))
        if decided_after is None and "noise:0.9" in found(decisions):
            decided_after = found(decisions)["noise:0.9"]
    assert (decided_after.verdict, decided_after.position, decided_after.pairs) == ("drop", 50, 49)


def test_conditions_that_some_tasks_do_not_have():
    """Few tasks of libero_10 have counterfactual instructions; the plan says which, and the manifest keeps it."""
    perturb = ("noise:0.9", "instruction:counterfactual")
    run, missing = manifest(perturb=perturb, suite=("libero_10",)), [2, 3, 4, 5, 6, 8, 9]
    assert run["layout"]["libero_10"]["left_out"] == {perturb[1]: missing}
    decisions, ran = played(
        perturb=perturb, suite=("libero_10",), outcome=lambda spec: "failure" if spec.condition != "none" else "success"
    )
    decision = found(decisions, "libero_10")["instruction:counterfactual"]
    assert decision.pairs < decision.position
    assert {spec.task for spec in ran if spec.condition == perturb[1]}.isdisjoint(missing)


def test_the_layout_has_exactly_the_plan():
    settings = {"suite": ("libero_10", "toy"), "perturb": ("instruction:counterfactual",), "repeats": 2}
    settings |= {"tasks": "0-3", "init_states": "2,5"}
    listed = [episode for _, episodes in planned(manifest(**settings)) for episode in episodes]
    keys = {(s.suite, s.task, s.init_state, s.condition, s.repeat) for s in plan(**settings)}
    assert len(listed) == len(keys)
    assert set(listed) == keys
    cells = [cell for cell, _ in planned(manifest(**settings))]
    assert cells == list(dict.fromkeys((s.suite, s.task, s.init_state) for s in in_rounds(plan(**settings))))


def test_what_a_run_grows_by_comes_after_what_it_had():
    before = [cell for cell, _ in planned(manifest(tasks="3-5", init_states="10-12"))]
    grown = manifest({"tasks": "3-5", "init_states": "10-12"}, {"init_states": "8-12"})
    after = [cell for cell, _ in planned(grown)]
    assert after[: len(before)] == before
    assert len(after) == len(set(after)) == 50


def test_no_more_than_the_most_pairs():
    decisions, ran = played(max_pairs=7)
    assert sum(spec.condition == "none" for spec in ran) == 7
    assert not any(map(decisions.is_open, [spec for spec in plan() if spec not in set(ran)]))


def test_a_run_that_does_not_stop_takes_everything_in():
    decisions = decisions_of(manifest(), stops=False)
    for spec in plan():
        assert decisions.is_open(spec)
        decisions.record(spec, outcome(spec))
    assert all(map(decisions.counts, plan()))
    assert found(decisions) == found(played()[0])
    assert len(decisions.test("libero_goal").differences("noise:0.9")) == 500
