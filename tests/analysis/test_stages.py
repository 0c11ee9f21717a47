"""The rules of the stages, on motions that are written by hand: what scenes do not produce on purpose."""

import numpy as np
import pytest

from envs.motion import Boxes, GoalPart, Motion, sampled
from simeval.analysis import stages as rules
from simeval.analysis.stages import MEANINGS, STRIDE, classify, divergence
from simeval.store import stages as s

COUNT = 60
FAR = np.full(COUNT, 0.3)
NEVER = np.zeros(COUNT, bool)
ALWAYS = np.ones(COUNT, bool)


def during(start, end):
    values = np.zeros(COUNT, bool)
    values[start:end] = True
    return values


def path(*points):
    """A path through (sample, x, z) points."""
    at, xs, zs = zip(*points, strict=True)
    where = np.arange(COUNT)
    return np.column_stack([np.interp(where, at, xs), np.zeros(COUNT), np.interp(where, at, zs)])


def motion(part, *, positions=None, gaps=None, touched=None, held=None, joints=None, more=()):
    gaps = gaps or {part.mover: FAR, "cup": FAR}
    return Motion(
        steps=np.arange(COUNT) * STRIDE, hand=np.zeros((COUNT, 3)), positions=positions or {},
        gaps=gaps, touched={**dict.fromkeys(gaps, NEVER), **(touched or {})}, held=held or {}, joints=joints or {},
        parts=(part, *more),
    )  # fmt: skip


def carried(held, way, *, met=False, pushed=False, gap=None):
    part = GoalPart(("on", "bowl", "plate"), met, "bowl", gap=0.3 - way[:, 0] if gap is None else gap, pushed=pushed)
    gaps = {"bowl": np.where(held, 0.0, 0.3), "cup": FAR}
    return motion(part, positions={"bowl": way, "cup": path((0, 1, 0))}, gaps=gaps,
                  touched={"bowl": held}, held={"bowl": held, "cup": NEVER})  # fmt: skip


def turned(share, **parts):
    part = GoalPart(("open", "drawer"), False, "drawer", share=np.interp(np.arange(COUNT), *share))
    return motion(part, **parts)


WAY = path((0, 0, 0), (10, 0, 0), (20, 0, 0.1), (40, 0.2, 0.1), (45, 0.2, 0))
HELD = during(10, 41)


def test_an_open_hand_let_go_and_a_closed_one_lost():
    assert classify(carried(HELD, WAY), during(8, 41)).stage == s.WRONG_PLACE
    assert classify(carried(HELD, WAY), during(8, COUNT)).stage == s.LOST


def test_let_go_before_it_was_carried_is_lost():
    up = path((0, 0, 0), (10, 0, 0), (20, 0, 0.1), (25, 0, 0))
    assert classify(carried(during(10, 21), up), during(8, 21)).stage == s.LOST


def test_a_short_touch_and_an_open_hand_are_no_grasp():
    assert classify(carried(during(20, 21), WAY), during(8, 41)).stage == s.BESIDE
    assert classify(carried(HELD, WAY), NEVER).stage == s.BESIDE, "an open hand jammed in a bowl lifts it"


def test_held_to_the_end():
    going = path((0, 0, 0), (10, 0, 0), (20, 0, 0.1), (COUNT - 1, 0.2, 0.1))
    waiting = path((0, 0, 0), (10, 0, 0), (20, 0, 0.1), (30, 0.1, 0.1))
    there = path((0, 0, 0), (10, 0, 0), (20, 0, 0.1), (30, 0.29, 0.1))
    closed = during(8, COUNT)
    for way, stage in ((going, s.OUT_OF_TIME), (waiting, s.WRONG_PLACE), (there, s.NOT_MET)):
        assert classify(carried(during(10, COUNT), way), closed).stage == stage


def test_a_pushed_object_need_not_be_lifted():
    flat = path((0, 0, 0), (10, 0, 0), (30, 0.1, 0))
    assert classify(carried(during(10, 31), flat, pushed=True), ALWAYS).stage == s.WRONG_PLACE
    assert classify(carried(during(10, 31), flat), ALWAYS).stage == s.BESIDE
    nudged = path((0, 0, 0), (10, 0, 0), (30, 0.03, 0))
    assert classify(carried(during(10, 31), nudged, pushed=True), ALWAYS).stage == s.LOST


def test_the_wrong_object_counts_if_it_was_carried_even_after_a_try_at_the_right_one():
    part = GoalPart(("on", "bowl", "plate"), False, "bowl", gap=FAR)
    still = path((0, 0, 0))
    gaps = {"bowl": np.where(during(2, 6), 0.01, 0.3), "cup": np.where(HELD, 0.0, 0.3)}

    def seen(way):
        return motion(part, positions={"bowl": still, "cup": way}, gaps=gaps, touched={"cup": HELD},
                      held={"bowl": NEVER, "cup": HELD})  # fmt: skip

    closed = during(2, 6) | during(9, 41)
    assert classify(seen(WAY), closed).object == "cup"
    nudged = path((0, 0, 0), (10, 0, 0), (20, 0, 0.02))
    verdict = classify(seen(nudged), closed)
    assert (verdict.stage, verdict.object) == (s.BESIDE, "bowl")


@pytest.mark.parametrize(
    ("share", "stage"),
    [
        (([0, 30], [0, 0.05]), s.NEVER_APPROACHED), (([0, 30], [0, 0.5]), s.LOST),
        (([0, 30], [0, -0.4]), s.WRONG_PLACE), (([0, 30], [0, 0.95]), s.NOT_MET),
        (([0, COUNT], [0, 0.8]), s.OUT_OF_TIME), (([0, 20, 40], [0, 1.0, 0.2]), s.LOST),
    ],
)  # fmt: skip
def test_a_joint(share, stage):
    assert classify(turned(share), NEVER) == rules.Verdict(stage, "open drawer", "drawer")


def test_another_joint():
    share = ([0, 30], [0, 0.0])
    verdict = classify(turned(share, joints={"drawer": np.zeros(COUNT), "door": np.linspace(0, 0.4, COUNT)}), NEVER)
    assert (verdict.stage, verdict.object) == (s.WRONG_OBJECT, "door")


def test_of_several_parts_the_one_that_got_farthest_counts():
    lost = carried(HELD, WAY)
    never = GoalPart(("on", "cup", "plate"), False, "cup", gap=FAR)
    met = GoalPart(("turnon", "stove"), True, "cup", share=np.ones(COUNT))
    several = motion(lost.parts[0], positions=lost.positions, gaps=lost.gaps, touched=lost.touched, held=lost.held,
                     more=(never, met))  # fmt: skip
    assert classify(several, during(8, COUNT)) == rules.Verdict(s.LOST, "on bowl plate", "bowl")


def test_all_parts_met_at_the_end_is_still_a_failure():
    done = carried(HELD, WAY, met=True)
    assert classify(done, NEVER).stage == s.NOT_MET


def test_divergence_is_the_first_step_beyond_the_limit():
    still = np.zeros((30, 3))
    away = still.copy()
    away[:, 0] = np.arange(30) * 0.01
    step, distance = divergence(away, still[:20])
    assert step == 6
    assert distance == pytest.approx(0.06)
    assert divergence(still, still) is None
    assert divergence(away, still[:5]) is None, "after the twin has ended there is nothing to compare with"


def test_sampling_keeps_the_last_state():
    assert sampled(6, 2).tolist() == [0, 2, 4, 5]
    assert sampled(1, 2).tolist() == [0]


def test_distances_to_boxes():
    bounds = np.array([[0, 0, 0, 0.1, 0.1, 0.1], [0, 0, 0, 0.5, 0.1, 0.1]])
    turn = np.array([[0, -1, 0, 1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 1, 0, 0, 0, 1]], float)  # the first by a right angle
    boxes = Boxes({"a": (0, 1), "b": (0,), "none": ()}, bounds)
    found = boxes.distances(np.array([[1.0, 0, 0], [0, 2, 0]]), np.zeros((2, 3)), turn)
    assert found == pytest.approx({"a": 0.5, "b": 0.9, "none": np.inf})


def test_every_stage_has_a_meaning_and_every_threshold_a_source():
    for meanings in MEANINGS.values():
        assert set(meanings) <= set(s.STAGES) - {s.SUCCESS}
    assert {stage for meanings in MEANINGS.values() for stage in meanings} == set(s.STAGES) - {s.SUCCESS}
    assert all(row.source and row.unit and row.meaning for row in rules.THRESHOLDS)
