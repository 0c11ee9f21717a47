"""The schedule, against plans on paper: which action each control step executes, and when the policy is asked.

The policy of these tables answers its question number q with the actions 10q, 10q + 1, 10q + 2, ... A plan has a word
per control step: the action, `-` for a hold, and `?` before it where the policy is asked.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simeval.rollout.schedule import MERGES, Pace, Schedule


def execute(pace: Pace, latencies, *, length: int, steps: int, stride: int | None = None) -> tuple[str, Schedule]:
    """The plan that a schedule carries out; `stride` interrupts its parts, as a scheduled capture does."""
    schedule, plan, step = Schedule(pace, 7), [], 0
    while step < steps:
        asked = ""
        if schedule.due:
            number = len(schedule.latencies)
            answer = np.zeros((length, 7), np.float32)
            answer[:, 0] = 10 * (number + 1) + np.arange(length)
            schedule.ask(step, answer, latencies[min(number, len(latencies) - 1)])
            asked = "?"
        part = schedule.upcoming(step, steps)
        count = min(len(part.actions), stride or steps)
        for action in part.actions[:count]:
            plan.append(asked + ("-" if part.held else f"{action[0]:g}"))
            asked = ""
        schedule.executed(step, part, count)
        step += count
    return " ".join(plan), schedule


BLOCK = Pace(n_action_steps=3)
ASYNC = Pace(n_action_steps=3, overlapping=True)

PLANS = {
    "today": (BLOCK, 5, [0], "?10 11 12 ?20 21 22 ?30 31 32 ?40"),
    "async at once": (ASYNC, 5, [0], "?10 11 12 ?20 21 22 ?30 31 32 ?40"),
    "block: hold, then the chunk from its start": (BLOCK, 5, [2], "?- - 10 11 12 ?- - 20 21 22 ?- - 30"),
    "block: each answer may take another time": (BLOCK, 5, [1, 0, 3], "?- 10 11 12 ?20 21 22 ?- - - 30 31 32 ?-"),
    "async: the rest of the chunk, then the answer where its turn is": (
        ASYNC, 5, [2], "?- - 10 11 12 ?13 14 22 ?23 24 32 ?33 34 42",
    ),
    "async, one step": (ASYNC, 5, [1], "?- 10 11 12 ?13 21 22 ?23 31 32 ?33"),
    "async: the rest runs out, and holding skips nothing": (
        ASYNC, 5, [4], "?- - - - 10 11 12 ?13 14 - - 22 ?23 24 - - 32 ?33",
    ),
    "async without a rest is block": (ASYNC, 3, [2], "?- - 10 11 12 ?- - 20 21 22 ?- -"),
    "async: the chunk is the answer's, so a new question follows each answer": (
        Pace(n_action_steps=1, overlapping=True), 6, [2], "?- - 10 ?11 12 ?22 23 ?32 33 ?42",
    ),
    "asked when half of the chunk is left": (
        Pace(6, overlapping=True, threshold=0.5), 6, [2], "?- - 10 11 12 ?13 14 22 ?23 24 32 ?33",
    ),
    "asked when a third is left": (
        Pace(6, overlapping=True, threshold=0.34), 6, [1], "?- 10 11 12 13 ?14 21 22 23 ?24 31 32",
    ),
    "asked when nothing is left": (Pace(3, overlapping=True, threshold=0.0), 5, [1], "?- 10 11 12 13 14 ?- 20 21"),
    "asked all the time": (Pace(3, overlapping=True, threshold=1.0), 5, [2], "?- - 10 ?11 12 ?22 23 ?32 33 ?42"),
    "asked all the time, answered at once": (Pace(3, overlapping=True, threshold=1.0), 5, [0], "?10 ?20 ?30"),
    "asked all the time, with less in a chunk than an answer takes": (
        Pace(4, overlapping=True, threshold=1.0), 2, [1, 3], "?- 10 ?11 - - ?21 - - ?31 - -",
    ),
    "overlapping actions are averaged": (
        Pace(3, overlapping=True, merge="average"), 6, [1],
        "?- 10 11 12 ?13 17.5 18.5 ?23 27.5 28.5 ?33",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_each_control_step_executes_what_the_plan_on_paper_says(name):
    pace, length, latencies, wanted = PLANS[name]
    found, _ = execute(pace, latencies, length=length, steps=len(wanted.split()))
    assert found == wanted


@pytest.mark.parametrize("name", PLANS)
def test_interruptions_change_no_plan(name):
    pace, length, latencies, wanted = PLANS[name]
    found, _ = execute(pace, latencies, length=length, steps=len(wanted.split()), stride=1)
    assert found == wanted


def test_what_a_schedule_counts():
    _, blocked = execute(BLOCK, [2], length=5, steps=13)
    assert (blocked.latencies, blocked.replans, blocked.stale_steps, blocked.idle_steps) == ([2, 2, 2], 0, 0, 6)
    # ?- - 10 11 12 ?13 14 22 ?23 24 32: two answers took over from a rest, which was executed for four steps.
    _, overlapping = execute(ASYNC, [2], length=6, steps=11)
    assert (overlapping.replans, overlapping.stale_steps, overlapping.idle_steps) == (2, 4, 2)
    # The answer to the third question is not there yet when the episode ends.
    assert execute(ASYNC, [2], length=6, steps=9)[1].latencies == [2, 2, 2]


def test_the_rest_of_the_last_chunk_is_what_a_policy_may_be_told():
    schedule = Schedule(ASYNC, 7)
    assert schedule.left is None
    chunk = np.arange(35, dtype=np.float32).reshape(5, 7)
    schedule.ask(0, chunk, 0)
    schedule.executed(0, schedule.upcoming(0, 99), 3)
    assert schedule.due
    np.testing.assert_array_equal(schedule.left, chunk[3:])


def test_a_hold_is_no_motion_and_the_last_command_of_the_gripper():
    schedule = Schedule(BLOCK, 7)
    np.testing.assert_array_equal(schedule.hold(), [0, 0, 0, 0, 0, 0, -1])
    schedule.ask(0, np.full((3, 7), 0.5, np.float32), 0)
    schedule.executed(0, schedule.upcoming(0, 99), 3)
    np.testing.assert_array_equal(schedule.hold(), [0, 0, 0, 0, 0, 0, 0.5])
    assert schedule.hold().dtype == np.float32


def test_an_answer_that_is_used_up_when_it_arrives_is_asked_for_again():
    schedule = Schedule(Pace(1, overlapping=True), 7)
    schedule.ask(0, np.zeros((4, 7), np.float32), 0)
    schedule.executed(0, schedule.upcoming(0, 99), 1)
    schedule.ask(1, np.zeros((2, 7), np.float32), 3)
    schedule.executed(1, schedule.upcoming(1, 99), 3)
    assert schedule.due
    assert schedule.left is None
    schedule.ask(4, np.ones((2, 7), np.float32), 1)
    assert schedule.upcoming(4, 99).held
    schedule.executed(4, schedule.upcoming(4, 99), 1)
    np.testing.assert_array_equal(schedule.upcoming(5, 99).actions, np.ones((1, 7)))


def test_a_negative_latency_is_refused():
    with pytest.raises(ValueError, match="latency of -1 control steps is negative"):
        Schedule(BLOCK, 7).ask(0, np.zeros((3, 7), np.float32), -1)


def test_overlapping_chunks_are_merged_as_lerobot_does_it():
    torch = pytest.importorskip("torch")
    from lerobot.async_inference.configs import AGGREGATE_FUNCTIONS

    old, new = np.random.default_rng(0).standard_normal((2, 4, 7)).astype(np.float32)
    assert {"latest_only" if name == "latest" else name for name in MERGES} == set(AGGREGATE_FUNCTIONS)
    for name, merge in MERGES.items():
        theirs = AGGREGATE_FUNCTIONS["latest_only" if name == "latest" else name]
        np.testing.assert_array_equal(merge(old, new), theirs(torch.from_numpy(old), torch.from_numpy(new)).numpy())


paces = st.builds(
    Pace,
    st.integers(1, 8),
    overlapping=st.booleans(),
    threshold=st.none() | st.floats(0, 1),
    merge=st.sampled_from(list(MERGES)),
)


@settings(max_examples=40, deadline=None)
@given(paces, st.integers(8, 12), st.lists(st.integers(0, 15), min_size=1, max_size=5), st.integers(1, 60))
def test_whatever_the_numbers_every_control_step_executes_something(pace, length, latencies, steps):
    plan, schedule = execute(pace, latencies, length=length, steps=steps)
    assert len(plan.split()) == steps
    assert plan.count("?") == len(schedule.latencies) >= 1
    assert plan.count("-") == schedule.idle_steps
    assert pace.overlapping or schedule.stale_steps == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 8), st.integers(0, 3))
def test_a_rest_that_is_long_enough_leaves_no_hold_after_the_first_answer(executed, latency, spare):
    length = max(executed, latency) + latency + spare
    pace = Pace(executed, overlapping=True)
    assert execute(pace, [latency], length=length, steps=60)[1].idle_steps == latency
    if latency:
        assert execute(pace, [latency], length=max(executed, length - spare - 1), steps=60)[1].idle_steps > latency
