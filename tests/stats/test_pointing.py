"""Attention against masks: geometry of the regions, shares and hits, and what chance gives."""

import numpy as np
import pytest

from simeval.stats.pointing import coverage, on_object, pointing


def test_a_mask_becomes_covered_shares_of_regions():
    mask = np.zeros((8, 8), bool)
    mask[0:2, 0:4] = True  # the whole first region of 4 x 4, and its right neighbour
    covered = coverage(mask, 4)
    assert covered[0].tolist() == [1, 1, 0, 0]
    assert covered[1:].sum() == 0
    mask[:] = False
    mask[2, 3] = True
    assert coverage(mask, 4)[1, 1] == 0.25
    assert coverage(np.ones((8, 8), bool), 4).tolist() == np.ones((4, 4)).tolist()


def test_sides_that_do_not_divide_the_image_lose_no_pixel():
    mask = np.random.default_rng(0).random((10, 10)) < 0.3
    assert coverage(mask, 3).mean() == pytest.approx(mask.mean())


def test_a_wide_image_is_padded_at_the_top_and_a_tall_one_at_the_left():
    assert coverage(np.ones((4, 8), bool), 2).tolist() == [[0, 0], [1, 1]]
    assert coverage(np.ones((8, 4), bool), 2).tolist() == [[0, 1], [0, 1]]


def test_share_and_hit_of_one_frame():
    attention = np.array([[[0.4, 0.1], [0.1, 0.0]], [[0.2, 0.0], [0.0, 0.0]]])
    covered = np.zeros((2, 2, 2))
    covered[0, 0, 0] = 0.5
    share, chance, hit, hit_chance = on_object(attention, covered)
    assert share == pytest.approx(0.5 * 0.4 / 0.8)
    assert (chance, hit, hit_chance) == (0.5 / 8, 1.0, 1 / 8)
    covered[0, 0, 0], covered[1, 0, 0] = 0, 1
    assert on_object(attention, covered)[2] == 0.0


def test_uniform_attention_is_exactly_at_chance():
    covered = np.random.default_rng(0).random((2, 4, 4)) * (np.random.default_rng(1).random((2, 4, 4)) < 0.3)
    share, chance, hit, hit_chance = on_object(np.full((2, 4, 4), 1 / 32), covered)
    assert share == pytest.approx(chance)
    assert hit == pytest.approx(hit_chance)


def test_states_count_once_however_many_frames_they_have():
    measured = np.array([[1.0, 0.1, 1, 0.1]] * 9 + [[0.0, 0.1, 0, 0.1]])
    found = pointing(measured, np.array([0] * 9 + [1]))
    assert (found.share, found.hits, found.frames, found.units) == (0.5, 0.5, 10, 2)
    assert found.share_interval is None
    many = pointing(np.random.default_rng(0).random((24, 4)), np.arange(24) // 3)
    assert many.share_interval.low < many.share < many.share_interval.high
    assert pointing(np.zeros((0, 4)), np.zeros(0, int)).share is None
