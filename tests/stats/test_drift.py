"""Drift of chunks against sums by hand, and laws that any distance of actions must keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simeval.stats.drift import VARIANTS, ActionScale, chunk_drift, mean_drift, windowed_max

SCALE = ActionScale((0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 1.0), n_action_steps=2)
chunks = arrays(np.float32, (3, 7), elements=st.floats(-1, 1, width=32))


def test_by_hand():
    clean = np.zeros((3, 7))
    moved = clean.copy()
    moved[0] = [0.5, 0, 0, 0, 0, 0, 1]
    moved[1] = [-0.5, 0, 0, 0.2, 0, 0, 0]
    moved[2] = [0, 0, 0, 0.6, 0, 0, 0]
    drift = chunk_drift(clean, moved, SCALE)
    first, second, third = 1 / np.sqrt(6), np.sqrt(5) / np.sqrt(6), 6 / np.sqrt(6)
    assert drift.drift_first == pytest.approx(first)
    assert drift.drift_exec == pytest.approx((first + second) / 2)
    assert drift.drift_chunk == pytest.approx((first + second + third) / 3)
    assert drift.l2_raw == pytest.approx(np.sqrt(0.25 + 1))
    assert drift.xyz_sum == pytest.approx(0.0)
    assert drift.gripper_flip == pytest.approx(0.5)


@settings(max_examples=50, deadline=None)
@given(chunks)
def test_equal_chunks_do_not_drift_at_all(chunk):
    drift = chunk_drift(chunk, chunk.copy(), SCALE)
    assert [float(drift.variant(name)) for name in VARIANTS] == [0.0] * len(VARIANTS)


@settings(max_examples=50, deadline=None)
@given(chunks, chunks)
def test_drift_is_symmetric_and_batches_do_not_matter(one, other):
    both = chunk_drift(np.stack([one, other]), np.stack([other, one]), SCALE)
    alone = chunk_drift(one, other, SCALE)
    for name in VARIANTS:
        assert both.variant(name)[0] == both.variant(name)[1] == alone.variant(name)


@settings(max_examples=50, deadline=None)
@given(chunks, chunks, st.floats(0.1, 10))
def test_training_units_do_not_depend_on_the_action_space(one, other, factor):
    one, other = one.astype(float), other.astype(float)
    scaled = ActionScale(tuple(factor * value for value in SCALE.std), SCALE.n_action_steps)
    plain, stretched = chunk_drift(one, other, SCALE), chunk_drift(factor * one, factor * other, scaled)
    for name in ("drift_exec", "drift_first", "drift_chunk", "gripper_flip"):
        assert stretched.variant(name) == pytest.approx(plain.variant(name), abs=1e-9)
    for name in ("l2_raw", "xyz_sum"):
        assert stretched.variant(name) == pytest.approx(factor * plain.variant(name), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(chunks, chunks)
def test_the_gripper_is_kept_apart(one, other):
    other = other.copy()
    drift = chunk_drift(one, other, SCALE)
    other[:, 6] = -other[:, 6]
    assert chunk_drift(one, other, SCALE).drift_exec == drift.drift_exec


def test_a_dimension_that_never_moved_has_no_unit():
    scale = ActionScale((0.5, 0.0, 0.5, 0.1, 0.1, 0.1), 1)
    moved = np.zeros((1, 7))
    moved[0, 1] = 5.0
    drift = chunk_drift(np.zeros((1, 7)), moved, scale)
    assert (float(drift.drift_exec), float(drift.l2_raw)) == (0.0, 5.0)


@pytest.mark.parametrize(
    ("clean", "perturbed", "words"),
    [
        (np.zeros((3, 7)), np.zeros((2, 7)), "shape"),
        (np.zeros((1, 7)), np.zeros((1, 7)), "T >= 2"),
        (np.zeros((3, 6)), np.zeros((3, 6)), "shape"),
        (np.zeros((3, 7)), np.full((3, 7), np.nan), "not finite"),
    ],
)
def test_wrong_chunks_are_refused(clean, perturbed, words):
    with pytest.raises(ValueError, match=words):
        chunk_drift(clean, perturbed, SCALE)


@pytest.mark.parametrize(
    ("std", "steps", "words"),
    [
        ((1.0,) * 5, 1, "5 standard"),
        ((0.0,) * 6, 1, "no unit"),
        ((1.0,) * 6, 0, "at least 1"),
        ((-1.0,) * 6, 1, "not neg"),
    ],
)
def test_wrong_scales_are_refused(std, steps, words):
    with pytest.raises(ValueError, match=words):
        ActionScale(std, steps)


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match="drift_exec"):
        chunk_drift(np.zeros((2, 7)), np.zeros((2, 7)), SCALE).variant("cosine")


def test_a_short_fault_shows_in_the_window():
    calm = np.zeros(50)
    calm[20:25] = 1.0
    assert windowed_max(calm) == pytest.approx(1.0)
    assert windowed_max([1.0, 3.0]) == pytest.approx(2.0)
    assert windowed_max([]) is None


def test_long_rollouts_do_not_dominate():
    mean = mean_drift([1.0] * 9 + [2.0], [0] * 9 + [1], floor=0.5)
    assert (mean.mean, mean.frames, mean.clusters, mean.over_floor) == (1.5, 10, 2, 3.0)
    assert mean.se == pytest.approx(0.5)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_few_episodes_have_no_interval_and_it_is_said(count):
    """A bootstrap of two skewed episodes covers .48 of a nominal .95."""
    mean = mean_drift(np.arange(count) + 1.0, np.arange(count))
    assert (mean.interval, mean.reason) == (None, f"{count} episodes only: no interval")
    assert mean.se is not None


def test_the_interval_of_skewed_drift_reaches_further_up_than_down():
    mean = mean_drift([0.1, 0.1, 0.2, 0.3, 1.3], range(5))
    assert 0 < mean.interval.low < mean.mean < mean.interval.high
    assert mean.interval.high - mean.mean > mean.mean - mean.interval.low
    nothing = mean_drift(np.zeros(6), range(6))
    assert (nothing.interval.low, nothing.interval.high) == (0.0, 0.0)
    lonely = mean_drift([0, 0, 0, 0, 0, 1.0], range(6))
    assert (lonely.interval, lonely.reason) == (None, "one of 6 episodes drifts only: no interval")


def test_too_little_drift_is_words_not_nan():
    nothing = mean_drift([np.nan], [0])
    assert (nothing.mean, nothing.se, nothing.interval) == (None, None, None)
    assert nothing.reason == "no drift was measured"
    single = mean_drift([1.0, 2.0], [0, 0])
    assert (single.mean, single.se, single.interval) == (1.5, None, None)
    assert "one cluster" in single.reason
    assert mean_drift([1.0, 1.0], [0, 1], floor=0.0).over_floor is None
    with pytest.raises(ValueError, match="negative"):
        mean_drift([-1.0], [0])


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_frames_does_not_matter(order):
    values, clusters = np.random.default_rng(0).random(12), np.arange(12) // 2
    chosen = list(order)
    plain, shuffled = (mean_drift(values[rows], clusters[rows]) for rows in (np.arange(12), np.array(chosen)))
    assert shuffled.mean == pytest.approx(plain.mean)
    assert shuffled.interval.high == pytest.approx(plain.interval.high)
