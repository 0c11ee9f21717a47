"""Which episodes a search places: by results alone, each place once in every arm, resumable, not more than needed."""

import random
from collections import Counter

import pytest

from simeval.config.evaluation import EvalConfig
from simeval.config.placement import Placement, place_of
from simeval.config.plan import make_plan
from simeval.config.threshold import CLEAN_FIRST, LEAST, ThresholdConfig, from_record, threshold_config
from simeval.core.errors import ConfigError
from simeval.core.types import CLEAN

SETTINGS = {"suite": ["libero_goal"], "init_states": "0-19", "workers": 0}


def search(*perturb, **own):
    settings = SETTINGS | own.pop("settings", {})
    return threshold_config(perturb or ("noise",), settings, **own)


def strength(spec):
    return 0.0 if spec.condition == CLEAN else float(spec.condition.partition(":")[2])


def outcome(spec, middle=0.4):
    """Success falls around `middle` of noise; nine of ten clean episodes succeed."""
    draw = random.Random(f"{spec.pair_id}").random()
    return "success" if draw < 0.9 / (1 + (strength(spec) / middle) ** 10) else "failure"


def played(config, outcome=outcome, workers=1, seed=0, placement=None, stop=10_000):
    """Episodes in the order in which they ended, with workers that end theirs in a random order."""
    placement = placement or Placement(config, make_plan(config.run))
    rng, ran, running = random.Random(seed), [], []
    while len(ran) < stop:
        while len(running) < workers and (spec := placement.next()):
            running.append(spec)
        if not running:
            assert not placement.has_next
            return placement, ran
        spec = running.pop(rng.randrange(len(running)))
        placement.record(spec, outcome(spec))
        ran.append(spec)
    return placement, ran


def test_a_search_finds_the_threshold_and_stops():
    config = search(max_episodes=400)
    placement, ran = played(config)
    found = placement.estimate(config.ranges[0])
    assert found.interval.low < 0.4 < found.interval.high
    assert found.width <= config.width
    assert CLEAN_FIRST + LEAST <= len(ran) < 200
    assert len(set(ran)) == len(ran)


def test_clean_episodes_come_first_and_every_place_is_used_once_in_an_arm():
    config = search("noise", "occlusion", max_episodes=150, width=0.01)
    _, ran = played(config)
    assert [spec.condition for spec in ran[:CLEAN_FIRST]] == [CLEAN] * CLEAN_FIRST
    assert len({spec.task for spec in ran[:10]}) == 10
    arms = {"none": [], "noise": [], "occlusion": []}
    for spec in ran:
        arms[spec.condition.partition(":")[0]].append(place_of(spec))
    assert all(len(set(places)) == len(places) for places in arms.values())
    assert len(ran) == 150
    assert abs(len(arms["noise"]) - len(arms["occlusion"])) <= 1


def test_tasks_rotate():
    """After any whole rounds every task has had its share of an axis."""
    _, ran = played(search(max_episodes=150, width=0.01))
    axis = [spec.task for spec in ran if spec.condition != CLEAN]
    for end in range(10, len(axis) + 1, 10):
        assert set(Counter(axis[:end]).values()) == {end // 10}
    assert axis[:10] != axis[10:20]  # another order in every round


def test_another_seed_takes_another_order():
    first, second = (played(search(max_episodes=60, settings={"seed": seed}))[1] for seed in (0, 1))
    assert [spec.task for spec in first] != [spec.task for spec in second]


@pytest.mark.parametrize("stop", [3, 10, 11, 37, 60])
def test_a_search_that_goes_on_is_the_undisturbed_one(stop):
    config = search("noise", "occlusion", max_episodes=90)
    _, whole = played(config)
    _, part = played(config, stop=stop)
    assert part == whole[:stop]
    again = Placement(config, make_plan(config.run))
    for spec in random.Random(1).sample(part, len(part)):
        again.record(spec, outcome(spec))
    _, rest = played(config, placement=again)
    assert part + rest == whole


@pytest.mark.parametrize("workers", [2, 5, 16])
def test_many_workers_find_the_same_threshold(workers):
    config = search(max_episodes=400)
    for seed in range(2):
        placement, ran = played(config, workers=workers, seed=seed)
        found = placement.estimate(config.ranges[0])
        assert found.interval.low < 0.4 < found.interval.high
        assert len(set(ran)) == len(ran)


def test_workers_get_different_strengths_for_one_axis():
    placement, _ = played(search(width=0.01), stop=30)
    chosen = {spec.condition for spec in (placement.next() for _ in range(8))}
    assert len(chosen) >= 4
    assert placement.running == 8


def test_a_budget_counts_running_episodes():
    config = search(max_episodes=20)
    placement = Placement(config, make_plan(config.run))
    handed_out = [placement.next() for _ in range(25)]
    assert None not in handed_out[:20]
    assert handed_out[20:] == [None] * 5
    assert not placement.has_next


def test_without_clean_success_there_is_nothing_to_halve():
    placement, ran = played(search(), outcome=lambda spec: "failure")
    assert len(ran) == CLEAN_FIRST
    assert placement.is_hopeless


def test_errors_and_infeasible_episodes_say_nothing():
    config = search(max_episodes=60)
    broken, _ = played(config, lambda spec: outcome(spec) if spec.condition == CLEAN else "error")
    assert broken.estimate(config.ranges[0]).beyond > 0.05
    assert broken.placed(config.ranges[0]) == 50


def test_broken_episodes_run_first_when_a_search_goes_on():
    config = search(max_episodes=40)
    plan = make_plan(config.run)
    _, ran = played(config)
    lost = ran[20]
    placement = Placement(config, plan, [lost])
    for spec in ran[:20] + ran[21:30]:
        placement.record(spec, outcome(spec))
    assert placement.next() == lost
    assert placement.next() != lost


def test_an_episode_whose_worker_died_runs_again():
    config = search()
    placement, _ = played(config, stop=15)
    spec = placement.next()
    placement.requeue(spec)
    assert placement.running == 0
    assert placement.next() == spec


def test_an_axis_that_is_done_leaves_the_episodes_to_the_other():
    def only_noise(spec):
        return outcome(spec) if spec.condition.startswith("noise") else "success"

    config = search("noise", "occlusion", max_episodes=300, width=0.05)
    placement, _ = played(config, only_noise)
    noise, occlusion = (placement.estimate(one) for one in config.ranges)
    assert occlusion.beyond > 0.95
    assert noise.width <= 0.05
    assert LEAST <= placement.placed(config.ranges[1]) < placement.placed(config.ranges[0])


def test_a_record_gives_the_search_back():
    config = search("noise", "light:1..0.2", level=0.7, width=0.2, max_episodes=55)
    assert from_record(config.run, config.record()) == config


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"level": 0.0}, "--level 0: "),
        ({"level": 1.0}, "--level 1: "),
        ({"level": float("nan")}, "--level nan: "),
        ({"width": 0.001}, "--width 0.001: "),
        ({"width": 2.0}, "--width 2: "),
        ({"max_episodes": 10}, "--max-episodes 10: must be in"),
        ({"settings": {"suite": ["libero_goal", "libero_10"]}}, "one suite"),
        ({"settings": {"video": "all"}}, "--video all: not for threshold"),
        ({"settings": {"until": "decided"}}, "--until: not for threshold, which stops by --width"),
        ({"settings": {"max-pairs": 30}}, "--max-pairs: not for threshold"),
    ],
)
def test_a_search_that_cannot_be_is_refused(own, message):
    with pytest.raises(ConfigError) as refused:
        search(**own)
    assert message in str(refused.value)


def test_a_search_does_not_stop_like_a_run():
    run = EvalConfig(suite=("libero_goal",), perturb=("noise:0.1",), until="decided", margin=3)
    with pytest.raises(ConfigError, match="--until: not for threshold"):
        ThresholdConfig(run, search().ranges)
