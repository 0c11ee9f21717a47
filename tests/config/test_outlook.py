"""`simeval plan` as a planner: which pairs count, what they find, how many a drop takes."""

import json

import pytest
from helpers import call, refusal

from simeval.stats.anytime import expected_pairs
from simeval.stats.power import chance_to_find, pairs_needed

SPATIAL = ("--suite", "libero_spatial", "--perturb", "noise:0.05")


def planned(*words: object) -> str:
    called = call("plan", *words)
    assert (called.code, called.err) == (0, "")
    return called.out


def test_repeats_are_no_pairs():
    """500 episodes a condition, but 50 initial states: these are tested."""
    text = planned(*SPATIAL, "--init-states", "0-4", "--repeats", "10")
    assert "50 initial states per condition, 10 repeats each, which count as one pair" in text
    assert "With 50 initial states a true drop of 25.6 points would be found in 8 of 10 such runs" in text
    assert "500" not in text


def test_each_suite_is_tested_apart():
    text = planned(*SPATIAL, "--suite", "libero_goal")
    assert "libero_spatial: With 500 pairs a true drop of 5.9 points" in text
    assert "libero_goal: With 500 pairs a true drop of 5.9 points" in text
    assert "1000 pairs" not in text


def test_the_condition_with_the_fewest_tasks_counts():
    words = ("--suite", "libero_10", "--perturb", "noise:0.05", "--perturb", "instruction:counterfactual")
    text = planned(*words, "--init-states", "0-9")
    assert "30 pairs per condition at least (instruction:counterfactual: 3 tasks)" in text
    assert "With 30 pairs a true drop of" in text
    needed = pairs_needed(0.3, alpha=0.05 / 2)
    states = -(-needed // 3)
    assert f"{needed} pairs per condition: {states} initial states of 3 tasks" in planned(*words, "--drop", "30")


def test_no_sentence_claims_that_smaller_drops_are_invisible():
    text = planned(*SPATIAL, "--init-states", "0-4")
    assert "could not see" not in text
    assert (
        "With 50 pairs a true drop of 25.6 points would be found in 8 of 10 such runs, half of it in 3 of 10." in text
    )
    assert "A drop is called from 12.0 observed points on (6 harmed, 0 helped); with 4 helped" in text
    assert "assumes that 15 % of pairs flip without net effect: our choice; --like RUN takes" in text


def test_one_pair_is_one_pair():
    text = planned("--suite", "toy", "--tasks", "0", "--init-states", "0", "--perturb", "noise:0.3")
    assert "\n1 pair per condition\nWith 1 pair no drop can be called: that takes at least 6 harmed pairs.\n" in text


def test_stopping_early_needs_fewer_pairs_for_a_drop_that_is_larger_than_planned_for():
    """A drop of 20 points: 75 pairs at 16 % background by the audit's simulation."""
    needed, found = expected_pairs(0.2, background=0.16, tests=1, most=500)
    assert found == 1.0
    assert needed == pytest.approx(75, rel=0.1)
    assert expected_pairs(0.2, background=0.16, tests=12, most=500)[0] > needed
    text = planned(*SPATIAL, "--drop", "20", "--power", "0.9")
    stops, _ = expected_pairs(0.2, background=0.15, tests=1, most=282)
    assert f"with --until decided about {round(stops)} pairs" in text


def test_a_wished_drop_says_how_large_the_run_has_to_be():
    text = planned(*SPATIAL, "--drop", "10", "--power", "0.9")
    needed = pairs_needed(0.1, power=0.9)
    assert chance_to_find(needed, 0.1) >= 0.9 > chance_to_find(needed - 1, 0.1)
    states = -(-needed // 10)
    assert (
        f"to find a true drop of 10 points in 9 of 10 such runs takes {needed} pairs per condition: {states} initial "
        f"states of 10 tasks (--init-states 0-{states - 1}), {20 * states} episodes; with"
    ) in text
    more = planned(*SPATIAL, "--perturb", "light:0.3,0.5", "--drop", "10", "--power", "0.9")
    assert f"takes {pairs_needed(0.1, power=0.9, alpha=0.05 / 3)} pairs per condition" in more


def test_a_plan_of_that_size_finds_that_drop():
    """What is said of the size that was asked for agrees with what is said of a plan of that size."""
    record = json.loads(call("plan", *SPATIAL, "--drop", "12", "--json").out)["findable"]["suites"][0]["need"]
    words = (*SPATIAL, "--init-states", f"0-{record['init_states'] - 1}")
    found = json.loads(call("plan", *words, "--json").out)
    assert len(found["episodes"]) == record["episodes"]
    assert found["findable"]["suites"][0]["size"]["visible"] <= 0.12


def test_more_than_the_suite_has():
    text = planned(*SPATIAL, "--drop", "2")
    assert (
        f"takes {pairs_needed(0.02)} pairs per condition; libero_spatial has 500 (50 initial states of 10 tasks), "
        "which find drops from 5.9 points on\n"
    ) in text


def test_without_a_perturbation_it_is_about_one_that_might_be_added():
    text = planned("--suite", "toy", "--drop", "25")
    assert "200 pairs per condition, if one is added" in text
    needed = pairs_needed(0.25)
    assert f"takes {needed} pairs per condition: {-(-needed // 4)} initial states of 4 tasks" in text
    assert f"{8 * -(-needed // 4)} episodes" in text


def test_an_earlier_run_says_how_many_pairs_flip_by_chance(tmp_path):
    alone = ("run", "--suite", "toy", "--tasks", "0", "--init-states", "0-1", "--policy", "seeker", "--workers", "0")
    call(*alone, "--perturb", "noise:0.3", "--out", tmp_path / "run")
    text = planned(*SPATIAL, "--init-states", "0-4", "--like", tmp_path / "run")
    source = f"the least that is assumed; 0 % is the median of seeker in {tmp_path}/run (1 condition"
    assert f"assumes that 4 % of pairs flip without net effect: {source}" in text
    assert "a true drop of 18.9 points" in text
    call(*alone, "--out", tmp_path / "alone")
    assert refusal("plan", *SPATIAL, "--like", tmp_path / "alone") == (
        f"--like {tmp_path}/alone: has no pair of a clean and a perturbed episode; name a run with --perturb"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--drop", "0"), "--drop 0: must be above 0 and at most 100, in points of success"),
        (("--drop", "101"), "--drop 101: must be above 0 and at most 100, in points of success"),
        (("--drop", "nan"), "--drop nan: must be above 0 and at most 100, in points of success"),
        (("--power", "1"), "--power 1: must be above 0 and below 1, no number of pairs is certain"),
        (("--power", "0"), "--power 0: must be above 0 and below 1, no number of pairs is certain"),
        (("--power", "90"), "--power 90: must be above 0 and below 1, no number of pairs is certain; 90 % is 0.9"),
    ],
)
def test_impossible_wishes_are_one_line(words, message):
    assert refusal("plan", *SPATIAL, *words) == message
