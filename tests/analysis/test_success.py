"""Tables from episodes: the numbers, the order of rows, and how errors and gaps are counted."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from simeval.analysis.grouping import LEVEL, mean_over_tasks
from simeval.analysis.sensitivity import size_of
from simeval.analysis.success import (
    analyse,
    drop_table,
    language_table,
    overall_table,
    success_table,
    summary,
    task_table,
)
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.stats.intervals import suite_mean_of_units, wilson
from simeval.stats.paired import paired_drop
from simeval.stats.power import smallest_visible_drop
from simeval.stats.states import smallest_visible_over_states

SPEC = EpisodeSpec("toy", 0, 0, "none", 0, 0, 0, 300, 10, 128)


def episodes(outcomes: dict[str, str], *, suite: str = "toy", tasks: int = 1, repeats: int = 1) -> pd.DataFrame:
    """One row per letter: `s` success, `f` failure, `e` error, `i` infeasible, `.` not run; init states in turn."""
    names = {"s": "success", "f": "failure", "e": "error", "i": "infeasible"}
    rows = []
    for condition, letters in outcomes.items():
        for task in range(tasks):
            for index, letter in enumerate(letters):
                if letter == ".":
                    continue
                init_state, repeat = divmod(index, repeats)
                spec = replace(SPEC, suite=suite, task=task, init_state=init_state, condition=condition, repeat=repeat)
                won = letter == "s"
                result = EpisodeResult(spec, names[letter], steps=100, first_success=80 if won else None)
                rows.append({**result.row(), **result.row()["spec"]})
    return pd.DataFrame(rows)


def no_nan(value: object) -> bool:
    return "NaN" not in json.dumps(value, allow_nan=False)


def test_success_table():
    none, noise = success_table(episodes({"noise:0.1": "sfff", "none": "sssf"}, tasks=2))
    assert (none.condition, noise.condition) == ("none", "noise:0.1")
    assert (none.n, none.successes, none.errors, none.tasks, none.rate) == (8, 6, 0, 2, 0.75)
    assert none.interval == suite_mean_of_units([np.array([1.0, 1.0, 1.0, 0.0])] * 2).interval
    assert none.mean_steps == 80.0
    assert none.rate_if_errors_fail is None


def test_errors_are_not_failures():
    row = success_table(episodes({"none": "sssee"}))[0]
    assert (row.n, row.errors, row.rate) == (3, 2, 1.0)
    assert (row.rate_if_errors_fail, row.rate_if_errors_succeed) == pytest.approx((0.6, 1.0))


def test_tasks_count_equally():
    frame = pd.concat([episodes({"none": "ssss"}), episodes({"none": "ff"}, tasks=2).query("task == 1")])
    assert success_table(frame)[0].rate == pytest.approx(0.5)


def test_drop_table_counts():
    row = drop_table(episodes({"none": "s" * 45 + "f" * 5, "noise:0.1": "s" * 20 + "f" * 29 + "s"}))[0]
    assert (row.pairs, row.missing, row.harmed, row.helped) == (50, 0, 25, 1)
    assert (row.clean_rate, row.perturbed_rate, row.drop) == pytest.approx((0.9, 0.42, 0.48))
    assert row.retention == pytest.approx(0.42 / 0.9)
    assert row.p == row.p_holm
    assert (row.verdict, row.note) == ("drop", "")


def test_verdicts():
    frame = episodes(
        {"none": "s" * 400, "noise:0.1": "s" * 340 + "f" * 60, "noise:0.2": "s" * 396 + "f" * 4, "fog:1": "s" * 400}
    )
    found = {row.condition: row.verdict for row in drop_table(frame)}
    assert found == {"noise:0.1": "drop", "noise:0.2": "within margin", "fog:1": "within margin"}
    assert drop_table(frame, margin=0.001)[0].verdict == "undecided"
    small = drop_table(episodes({"none": "ssss", "noise:0.1": "sssf"}))[0]
    assert (small.verdict, small.smallest_visible) == ("undecided", None)


def test_no_flip_in_fifty_pairs_is_not_yet_below_five_points():
    """Bonett and Price's upper limit is 4.5 and wrong too often; Tango's is 5.13."""
    fifty, sixty = (drop_table(episodes({"none": "s" * n, "noise:0.1": "s" * n}))[0] for n in (50, 60))
    assert (fifty.verdict, sixty.verdict) == ("undecided", "within margin")
    assert 0 < fifty.more_pairs <= 50
    assert sixty.more_pairs is None


@pytest.mark.parametrize(("pairs", "shown"), [(1, False), (5, False), (6, True)])
def test_pairs_that_can_never_show_a_drop_have_no_interval(pairs, shown):
    row = drop_table(episodes({"none": "s" * pairs, "noise:0.1": "f" * pairs}))[0]
    assert (row.drop, row.interval is not None, row.verdict == "drop") == (1.0, shown, shown)
    assert row.smallest_visible is None or shown


def test_infeasible_pairs_are_named_beside_the_drop():
    row = drop_table(episodes({"none": "s" * 10, "noise:0.1": "f" * 5 + "i" * 5}))[0]
    assert (row.pairs, row.missing, row.note) == (5, 0, "over 5 of 10 pairs, the others are infeasible")
    few = episodes({"none": "s" * 10, "noise:0.1": "f" * 5 + "i" * 5}, tasks=2)
    assert drop_table(few[(few["condition"] == "none") | (few["task"] == 1)])[0].note == (
        "in 1 of 2 tasks, over 5 of 10 pairs, the others are infeasible"
    )
    assert drop_table(episodes({"none": "ss", "noise:0.1": "ii"}))[0].note == "n/a: infeasible in every pair"


def test_a_run_takes_its_own_background():
    """18 % of the pairs of its middle condition flip without net effect, so it finds less than a calm run."""
    calm = drop_table(episodes({"none": "s" * 100, "noise:0.1": "s" * 95 + "f" * 5}))[0]
    none = "f" * 20 + "s" * 80
    letters = {"none": none, "a:1": none, "b:1": "s" * 9 + "f" * 20 + "s" * 71, "c:1": "s" * 20 + "f" * 30 + "s" * 50}
    restless = drop_table(episodes(letters))
    assert {row.sensitivity.background for row in restless} == {0.18}
    assert calm.sensitivity.background == 0.04
    alone = smallest_visible_drop(100, background=0.18, alpha=0.05 / 3)
    assert {row.smallest_visible for row in restless} == {alone}
    assert alone > calm.smallest_visible


def test_holm_spans_the_conditions_of_one_suite():
    one = episodes({"none": "s" * 40, "noise:0.1": "s" * 30 + "f" * 10, "noise:0.2": "s" * 32 + "f" * 8})
    rows = drop_table(pd.concat([one, episodes({"none": "ss", "noise:0.1": "sf"}, suite="other")]))
    alone = drop_table(episodes({"none": "s" * 40, "noise:0.1": "s" * 30 + "f" * 10}))[0]
    first, second = (row for row in rows if row.suite == "toy")
    assert first.p_holm == pytest.approx(2 * first.p)
    assert second.p_holm == pytest.approx(second.p)
    assert alone.smallest_visible < first.smallest_visible


def test_a_pair_with_an_error_is_missing_on_either_side():
    clean, noise = "e" + "s" * 199, "s" + "f" * 198 + "e"
    row = drop_table(episodes({"none": clean, "noise:0.1": noise}))[0]
    assert (row.pairs, row.missing, row.harmed) == (198, 2, 198)
    assert row.verdict == "drop"


def test_the_drop_is_the_difference_of_the_rates_where_tasks_have_unequal_pairs():
    """Task 0 loses 6 of 8, task 1 none of 2: each rate is the mean of two tasks, and so is the drop (.375, not .6)."""
    whole = episodes({"none": "s" * 8, "noise:0.1": "s" * 2 + "f" * 6})
    part = episodes({"none": "ss", "noise:0.1": "ss"}, tasks=2).query("task == 1")
    found = analyse(pd.concat([whole, part]))
    clean, noise = (row.rate for row in found.rates)
    (row,) = found.drops
    assert (clean, noise, row.drop) == (1.0, 0.625, 0.375)
    assert row.note == "with 2 to 8 pairs of a task, so it finds less than as many equal ones would"
    assert (row.clean_rate, row.perturbed_rate, row.retention) == (1.0, 0.625, 0.625)
    assert (row.harmed, row.pairs) == (6, 10)


@pytest.mark.parametrize(("pairs", "named"), [(6, True), (7, False), (10, False)])
def test_a_small_task_is_named_where_it_hides_drops(pairs, named):
    parts = [episodes({"none": "s" * n, "noise:0.1": "s" * n}, tasks=2) for n in (10, pairs)]
    (row,) = drop_table(pd.concat([part.query(f"task == {task}") for task, part in enumerate(parts)]))
    assert ("pairs of a task" in row.note) == named


def test_tasks_of_unequal_size_need_more_pairs():
    """Of 20 and 5 unharmed pairs, which are as precise as 10, it takes 2.5 times the pairs."""
    parts = [episodes({"none": "s" * n, "noise:0.1": "s" * n}, tasks=2) for n in (20, 5)]
    (row,) = drop_table(pd.concat([part.query(f"task == {task}") for task, part in enumerate(parts)]))
    (equal,) = drop_table(episodes({"none": "s" * 25, "noise:0.1": "s" * 25}))
    assert row.more_pairs == pytest.approx(2.5 * (equal.more_pairs + 25) - 25, rel=0.05)


def test_rates_over_more_than_the_pairs_are_named_beside_the_drop():
    row = drop_table(episodes({"none": "e" + "s" * 99, "noise:0.1": "s" * 50 + "f" * 50}))[0]
    assert row.note == "over the pairs that both sides have, the rates over all episodes that ran"


@pytest.mark.parametrize("gap", ["e", "."])
def test_too_many_missing_pairs_are_refused(gap):
    row, other = drop_table(
        episodes({"none": "s" * 100, "noise:0.1": "f" * 97 + gap * 3, "noise:0.2": "f" * 98 + gap * 2})
    )
    assert (row.pairs, row.missing, row.harmed, row.clean_rate) == (97, 3, 97, 1.0)
    assert (row.drop, row.interval, row.p, row.p_holm, row.verdict) == (None,) * 5
    assert row.note == "n/a: more than 2 % of pairs missing"
    assert other.p_holm == other.p


def test_a_condition_of_few_tasks_is_compared_on_those():
    frame = episodes({"none": "ssss", "noise:0.1": "sssf"}, tasks=3)
    row = drop_table(frame[(frame["condition"] == "none") | (frame["task"] == 1)])[0]
    assert (row.pairs, row.missing, row.note) == (4, 0, "in 1 of 3 tasks")


def test_identical_repeats_add_no_certainty():
    once = analyse(episodes({"none": "ssssf", "noise:0.1": "sffff"}, tasks=4))
    thrice = analyse(episodes({"none": "s" * 12 + "f" * 3, "noise:0.1": "sss" + "f" * 12}, tasks=4, repeats=3))
    assert [row.interval for row in thrice.rates] == [row.interval for row in once.rates]
    assert thrice.drops[0].pairs == 3 * once.drops[0].pairs
    assert thrice.drops[0].p == pytest.approx(once.drops[0].p)
    first, second = once.drops[0].interval, thrice.drops[0].interval
    assert (first.low, first.high) == (second.low, second.high)
    assert (first.method, second.method) == ("bonett-price", "Bonett-Price over 20 initial states")
    assert thrice.drops[0].smallest_visible == once.drops[0].smallest_visible


def test_task_table_is_wilson():
    rows = task_table(episodes({"none": "sssfe", "noise:0.1": "sffff"}, tasks=2))
    assert [(row.task, row.condition, row.n, row.errors) for row in rows] == [
        (0, "none", 4, 1),
        (0, "noise:0.1", 5, 0),
        (1, "none", 4, 1),
        (1, "noise:0.1", 5, 0),
    ]
    expected = wilson(1, 5)
    assert (rows[1].rate, rows[1].interval.low) == pytest.approx((0.2, expected.low))


def test_without_the_table_by_task_all_others_are_the_same():
    rows = episodes({"none": "sssfe", "noise:0.1": "sffff"}, tasks=2)
    whole, short = analyse(rows), analyse(rows, by_task=False)
    assert len(whole.tasks) == 4
    assert dataclasses.replace(whole, tasks=()) == short


def test_the_mean_over_tasks_is_that_of_pandas():
    rng = np.random.default_rng(0)
    for size in (1, 7, 300):
        rows = pd.DataFrame({"task": rng.integers(0, 4, size), "init_state": rng.integers(0, 6, size)})
        rows.index = rng.permutation(size) + 3
        hits = pd.Series(rng.random(size + 9) < 0.6)  # also of rows that are left out, in another order
        states = hits[rows.index].astype(float).groupby([rows["task"], rows["init_state"]]).mean()
        theirs = suite_mean_of_units([task.to_numpy() for _, task in states.groupby(level=0)], LEVEL)
        assert mean_over_tasks(rows, hits) == theirs
    assert mean_over_tasks(rows[:0], hits).rate is None


def test_language_table():
    frame = episodes({"none": "ssss", "instruction:counterfactual": "ssfffe"})
    frame.loc[frame["condition"] != "none", "reached"] = ["counterfactual"] * 2 + [
        "original",
        "neither",
        "neither",
        None,
    ]
    row = language_table(frame)[0]
    assert (row.n, row.errors) == (5, 1)
    assert (row.followed.count, row.ignored.count, row.neither.count) == (2, 1, 2)
    assert row.followed.rate == pytest.approx(0.4)
    assert language_table(episodes({"none": "ss", "noise:0.1": "sf"})) == ()


def test_overall_is_the_mean_of_suite_means():
    goal = episodes({"none": "ssss", "noise:0.1": "ssff"}, suite="goal", tasks=3)
    spatial = episodes({"none": "ssff", "fog:1": "ssff"}, suite="spatial")
    (row,) = overall_table(pd.concat([goal, spatial]))
    assert (row.condition, row.suites, row.rate) == ("none", 2, 0.75)
    assert overall_table(goal) == ()


def test_rows_may_come_in_any_order():
    rng = np.random.default_rng(0)
    letters = {name: "".join(rng.choice(list("ssffe"), 60)) for name in ("none", "noise:0.1", "fog:2")}
    frame = pd.concat([episodes(letters, suite=suite, tasks=3, repeats=2) for suite in ("a", "b")])
    assert summary(frame.sample(frac=1, random_state=1)) == summary(frame)


def test_conditions_are_ordered_by_plan_or_by_number():
    frame = episodes({"blur:10": "s", "blur:9.5": "s", "none": "s"})
    assert [row.condition for row in success_table(frame)] == ["none", "blur:9.5", "blur:10"]
    plan = ["none", "blur:10", "blur:9.5"]
    frame["condition"] = pd.Categorical(frame["condition"], plan)
    assert [row.condition for row in success_table(frame)] == plan


@pytest.mark.parametrize("letters", ["s" * 50, "f" * 50, "e" * 50, "s", "f", "e", ""])
def test_extremes_give_numbers_or_none(letters):
    record = summary(episodes({"none": letters, "noise:0.1": letters, "instruction:counterfactual": letters}))
    assert record["schema_version"] == 1
    assert no_nan(record)
    if letters.startswith("e"):
        assert record["rates"][0]["rate"] is None
        assert record["drops"][0]["drop"] is None
    for row in record["rates"]:
        assert row["interval"]["low"] < row["interval"]["high"]


def test_without_a_clean_arm_nothing_is_compared():
    row = drop_table(episodes({"noise:0.1": "ssff"}))[0]
    assert (row.pairs, row.missing, row.drop, row.clean_rate) == (0, 4, None, None)


def test_bad_frames_are_refused():
    frame = episodes({"none": "sf"})
    with pytest.raises(ValueError, match="toy/0/init00/none/r0 occurs twice"):
        analyse(pd.concat([frame, frame.head(1)]))
    with pytest.raises(ValueError, match="lack the columns reached"):
        analyse(frame.drop(columns="reached"))
    with pytest.raises(ValueError, match="unknown outcomes: timeout"):
        analyse(frame.assign(outcome="timeout"))


def test_what_unequal_tasks_can_find_is_said_of_these_or_of_equal_ones():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(40), 3)
    tasks = np.where(units < 30, 0, 1)
    alike = paired_drop(np.ones(120, bool), units % 4 > 0, units=units, tasks=tasks)
    assert not size_of(alike, 1, 0.1).equal
    assert size_of(paired_drop(np.ones(120, bool), units % 4 > 0, units=units, tasks=units // 10), 1, 0.1).equal
    differ = paired_drop(rng.random(120) < 0.8, rng.random(120) < 0.6, units=units, tasks=tasks)
    size = size_of(differ, 1, 0.1)
    assert size.equal  # the spread that it rests on is that of these tasks
    assert size.harmed is None
    states = int(differ.n_eff)
    assert size.visible == smallest_visible_over_states(states, differ.half, level=0.95, alpha=0.05)
