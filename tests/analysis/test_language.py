"""Language following and flags: from rows to the numbers of the table."""

import pandas as pd
import pytest
from msgspec.structs import replace

from simeval.analysis.success import analyse, drop_table, flag_table, language_table, success_table, summary
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.report.terminal.tables import flag_note
from simeval.stats.paired import paired_drop
from simeval.stats.ratio import paired_ratio

SPEC = EpisodeSpec("toy", 0, 0, "none", 0, 0, 0, 300, 10, 128)
TOLD = "instruction:counterfactual"


def frame(*results):
    return pd.DataFrame([{**r.row(), **r.row()["spec"]} for r in results])


def pair(number, told, clean, accident=False, **changes):
    """A pair: what happened when told j, what when told i, and whether j happened then by accident."""
    spec = replace(SPEC, init_state=number)
    goal = f"touch block_{number % 3}"
    hits = ((goal, 5),) if accident else ()
    own = EpisodeResult(spec, "success" if clean == "original" else "failure", reached=clean, hits=hits)
    other = EpisodeResult(
        replace(spec, condition=TOLD), "success" if told == "counterfactual" else "failure", reached=told, goal=goal,
        hits=(), **changes,
    )  # fmt: skip
    return own, other


def test_the_index_and_the_ignore_rate_are_about_pairs():
    pairs = [pair(i, "counterfactual", "original") for i in range(4)]
    pairs += [pair(4, "counterfactual", "neither", accident=True), pair(5, "original", "original")]
    pairs += [pair(6, "original", "original"), pair(7, "neither", "original"), pair(8, "neither", "neither", True)]
    (row,) = language_table(frame(*(result for both in pairs for result in both)))
    assert (row.n, row.pairs, row.followed.count, row.ignored.count, row.by_accident.count) == (9, 9, 5, 2, 2)
    assert row.index == pytest.approx((5 - 2) / 9)
    told = [True] * 5 + [False] * 4
    accident = [False] * 4 + [True] + [False] * 3 + [True]
    assert row.index_interval == paired_drop(told, accident).interval
    assert row.ignore_rate == pytest.approx(2 / 7)
    assert row.ignore_interval.low < 2 / 7 < row.ignore_interval.high < 1


def test_the_ignore_rate_weighs_tasks_as_the_index_does():
    """Of 6 pairs of one task none is ignored, of 2 of another both: the rate is a half, not 2 of 8."""
    pairs = [pair(i, "counterfactual" if i < 6 else "original", "original") for i in range(8)]
    flat = [result for both in pairs for result in both]
    specs = [replace(result.spec, task=int(result.spec.init_state > 5)) for result in flat]
    (row,) = language_table(frame(*(replace(result, spec=spec) for result, spec in zip(flat, specs, strict=True))))
    assert (row.index, row.ignore_rate, row.ignored.rate) == pytest.approx((0.5, 0.5, 0.5))
    told, tasks = [True] * 6 + [False] * 2, [0] * 6 + [1] * 2
    assert row.index_interval == paired_drop(told, [False] * 8, tasks=tasks).interval
    assert row.ignore_interval == paired_ratio([not one for one in told], [True] * 8, tasks=tasks).interval
    assert row.ignore_interval.low < 0.5 < row.ignore_interval.high


def test_pairs_without_a_twin_or_from_older_rows_do_not_count():
    good = pair(0, "counterfactual", "original")
    broken, old = pair(1, "original", "original"), pair(2, "original", "original")
    broken = (replace(broken[0], outcome="error"), broken[1])
    old = (replace(old[0], hits=None), old[1])
    (row,) = language_table(frame(*good, *broken, *old))
    assert (row.n, row.pairs, row.index) == (3, 1, 1.0)
    (row,) = language_table(frame(*old))
    assert (row.pairs, row.index, row.ignore_rate) == (0, None, None)


def test_what_the_gripper_went_for():
    found = [pair(0, "neither", "original", approached="block_0"), pair(1, "neither", "original", approached="block_0")]
    (row,) = language_table(frame(*(r for both in found for r in both)))
    assert row.approached.count == 1
    assert row.approached.rate == 0.5


def test_infeasible_episodes_leave_the_rates_and_take_their_pair_along():
    results = []
    for number in range(10):
        spec = replace(SPEC, init_state=number)
        results.append(EpisodeResult(spec, "success"))
        outcome = "infeasible" if number < 3 else "failure"
        reason = "no room" if number < 3 else None
        flags = ("infeasible",) if number < 3 else ()
        moved = replace(spec, condition="layout.shift:3")
        results.append(EpisodeResult(moved, outcome, error_text=reason, flags=flags))
    episodes = frame(*results)
    rates = {row.condition: row for row in success_table(episodes)}
    assert (rates["layout.shift:3"].n, rates["layout.shift:3"].infeasible, rates["layout.shift:3"].rate) == (7, 3, 0.0)
    (drop,) = drop_table(episodes)
    assert (drop.pairs, drop.missing, drop.drop) == (7, 0, 1.0)
    (flag,) = flag_table(episodes)
    assert (flag.flag, flag.episodes, flag.planned, flag.reason) == ("infeasible", 3, 10, "no room")
    note = flag_note(flag)
    assert note == (
        "layout.shift:3 on toy: 3 of 10 episodes left out as infeasible, e.g. toy/0/init00/layout.shift=3/r0: no room"
    )


def test_a_condition_that_is_infeasible_everywhere_has_no_numbers():
    results = []
    for number in range(3):
        spec = replace(SPEC, init_state=number)
        results += [EpisodeResult(spec, "success"), EpisodeResult(replace(spec, condition="mass:2"), "infeasible")]
    (drop,) = drop_table(frame(*results))
    assert (drop.drop, drop.note) == (None, "n/a: infeasible in every pair")
    assert summary(frame(*results))["rates"][1]["rate"] is None


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("no_op:image@wrist", "unchanged by its image@wrist part"),
        ("spill:wrist", "with a change in wrist, which it is not aimed at"),
        (
            "dark:wrist",
            "got images of wrist with numbers up to 1 from an image axis, so they are black",
        ),
        ("target_hidden", "flagged target hidden"),
        ("far_state", "were given states far outside the policy's training data"),
        ("far_action", "chose actions far outside the policy's training data"),
        ("cut_action", "chose actions far outside -1 to 1, to which they are cut; other units?"),
        ("gripper_never_opened", "never opened the gripper (its command stayed at 0 or above, -1 opens)"),
        ("not_repeatable", "got other actions for the same request, so pairs differ by more than the perturbation"),
    ],
)
def test_every_flag_is_named(flag, said):
    spec = replace(SPEC, condition="noise:0.1")
    analysed = analyse(frame(EpisodeResult(SPEC, "success"), EpisodeResult(spec, "success", flags=(flag,))))
    assert said in flag_note(analysed.flags[0])
    assert "1 of 1 episodes" in flag_note(analysed.flags[0])
