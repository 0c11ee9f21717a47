"""How twins differ, and what the policy commanded, on traces whose truth is known."""

import numpy as np
import pytest

from simeval.rollout.trace import Trace
from simeval.viewer.charts import Line, Mark, chart
from simeval.viewer.motion import difference, labels, motion

STEPS = 40


def trace(path: np.ndarray, *, chunk: int = 5, actions: np.ndarray | None = None) -> Trace:
    """A trace of positions `[T + 1, 3]`, of which the last stands still, with velocities behind them."""
    steps = len(path) - 1
    times, speeds = np.arange(steps + 1)[:, None] / 20, np.gradient(path, axis=0)
    executed = np.zeros((steps, 7), np.float32) if actions is None else actions.astype(np.float32)
    starts = np.arange(0, steps, chunk)
    chunks = np.stack([np.full((chunk + 2, 7), start, np.float32) for start in starts])
    return Trace(np.hstack([times, path, speeds]), executed, chunks, starts, "x")


@pytest.fixture
def path() -> np.ndarray:
    """From 0 to 2 m and from 0 to 1 rad, and a block that does not move."""
    line = np.linspace(0, 1, STEPS + 1)
    return np.stack([2 * line, line, np.ones(STEPS + 1)], axis=1)


def test_the_same_motion_has_no_difference(path):
    found = difference(trace(path), trace(path))
    assert (found.first_action, found.first_state) == (None, None)
    assert np.array_equal(found.distance, np.zeros(STEPS + 1))


def test_the_distance_is_a_share_of_what_the_clean_episode_moved(path):
    other = path.copy()
    other[20:, 0] += 0.6  # 30 % of 2 m in one of two coordinates that move: 21 % of the range
    found = difference(trace(path), trace(other))
    assert found.distance[25] == pytest.approx(0.3 / np.sqrt(2))
    assert found.distance[:20].tolist() == [0.0] * 20
    assert found.first_state in (19, 20), "velocities of step 19 are already another one's"


def test_twins_of_other_length_are_compared_over_the_steps_of_both(path):
    longer = np.vstack([path, path[-1] + np.ones((30, 3))])
    found = difference(trace(path), trace(longer))
    assert len(found.distance) == STEPS + 1
    assert len(difference(trace(longer), trace(path)).distance) == STEPS + 1


def test_scenes_of_other_size_have_no_distance(path):
    assert difference(trace(path), trace(np.hstack([path, path]))) is None


def test_the_first_other_action_is_found(path):
    actions = np.zeros((STEPS, 7))
    actions[7, 6] = 1
    assert difference(trace(path), trace(path, actions=actions)).first_action == 7


def test_what_was_commanded_is_the_latest_prediction_for_a_step(path):
    found = motion(trace(path, chunk=5), latency=False)
    assert found.looks == tuple(range(0, STEPS, 5))
    assert found.commanded[:, 0].tolist() == [5 * (step // 5) for step in range(STEPS)]
    gap = trace(path, chunk=8)
    short = motion(Trace(gap.states, gap.actions, gap.chunks[:, :6], gap.chunk_steps, "x"), latency=False)
    assert np.flatnonzero(np.isnan(short.commanded[:, 0])).tolist() == [s for s in range(STEPS) if s % 8 >= 6]
    assert motion(gap, latency=True).commanded is None, "then other predictions may count"


def test_a_scene_that_stands_still_has_no_speed():
    still = trace(np.ones((STEPS + 1, 3)))
    assert motion(still, latency=False).speed.tolist() == [0.0] * STEPS
    assert difference(still, still).distance.tolist() == [0.0] * (STEPS + 1)


def test_every_number_of_an_action_has_a_name():
    assert labels(7) == ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    assert labels(4) == ("action 0", "action 1", "action 2", "gripper")


def test_a_chart_has_gaps_where_nothing_is_known_and_escapes_its_classes():
    values = np.array([0.0, 1.0, np.nan, 0.5])
    drawn = chart([Line(values, 'own"><script>')], 4, [Mark(2, "diverged")], 0.0, 1.0)
    assert "<script>" not in drawn
    assert drawn.count("M") == 2
    assert 'x1="300.0"' in drawn
    assert "nan" not in chart([Line(np.full(3, np.nan), "own")], 3)
