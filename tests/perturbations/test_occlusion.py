"""Where occluders are put, and that they leave or cover what they should."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbations.base import Masks
from perturbations.occlusion import MIN_VISIBLE, over, rectangle
from perturbations.spec import parse

WHITE = np.full((256, 256, 3), 255, np.uint8)
STRENGTHS = (0.05, 0.1, 0.2, 0.3, 0.4)


def box(top, left, height, width, size=(256, 256)):
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def covered(text, rng, target=None, camera="agentview", **named):
    """Where a black occluder hides a white picture."""
    applied = parse(f"{text}/fill=black").start(rng)
    applied.masks = {camera: Masks(target, named)}
    return applied.images({camera: WHITE}, 0)[camera][..., 0] == 0


@pytest.mark.parametrize(
    "target", [box(100, 60, 20, 30), box(0, 0, 60, 60), box(40, 40, 150, 150)], ids=["s", "m", "l"]
)
@pytest.mark.parametrize("area", [*STRENGTHS, 0.6])
def test_a_quarter_of_the_target_stays_visible(target, area, streams):
    for seed in range(40):
        hidden = covered(f"occlusion:{area}", streams(seed), target)
        assert hidden.mean() == pytest.approx(area, rel=0.03)
        assert (target & ~hidden).sum() >= MIN_VISIBLE * target.sum()


def test_without_the_rule_the_target_would_often_be_hidden(streams):
    """The rule must have something to do, else the test above shows nothing."""
    target = box(100, 60, 20, 30)
    lost = [
        (target & ~covered("occlusion:0.3", streams(seed))).sum() < MIN_VISIBLE * target.sum() for seed in range(60)
    ]
    assert sum(lost) >= 10


def test_strengths_share_a_place_that_spares_the_target(streams):
    for seed in range(30):
        masks = [covered(f"occlusion:{area}", streams(seed), box(100, 60, 40, 40)) for area in STRENGTHS]
        assert all((small <= large).all() for small, large in pairwise(masks))


def test_a_rectangle_that_spares_the_target_is_not_redrawn(streams):
    """Episodes with and without masks agree wherever the rule allows it."""
    target = box(0, 0, 3, 3)
    for seed in range(10):
        free = covered("occlusion:0.4", streams(seed))
        if not (free & target).any():
            np.testing.assert_array_equal(covered("occlusion:0.4", streams(seed), target), free)


def test_an_unavoidable_target_is_covered_as_little_as_the_draws_allow(streams):
    """At 0.9 every rectangle hides most of a target in the middle: the least covering of the tries is taken."""
    target = box(90, 90, 76, 76)
    assert (target & ~covered("occlusion:0.9", streams(), target)).sum() < MIN_VISIBLE * target.sum()
    spread = box(0, 0, 256, 256)
    assert covered("occlusion:0.9", streams(), spread).mean() == pytest.approx(0.9, rel=0.03)


def test_no_visible_target_is_no_constraint(streams):
    np.testing.assert_array_equal(
        covered("occlusion:0.3", streams(), np.zeros((256, 256), bool)), covered("occlusion:0.3", streams())
    )


def test_a_named_object_is_covered_on_purpose(streams):
    bowl = box(100, 60, 30, 40)
    masks = [covered(f"occlusion:{area}/target=bowl_1", streams(), bowl, bowl_1=bowl) for area in STRENGTHS]
    assert [mask.mean() for mask in masks] == pytest.approx(STRENGTHS, rel=0.03)
    assert all((small <= large).all() for small, large in pairwise(masks))
    assert (bowl <= masks[0]).all()  # 5 % of the picture is more than the bowl's bounding box
    tiny = covered("occlusion:0.01/target=bowl_1", streams(), bowl, bowl_1=bowl)
    assert (tiny <= bowl).all()


def test_a_named_object_at_the_border_is_covered_within_the_picture(streams):
    for corner in (box(0, 0, 20, 20), box(236, 230, 20, 26), box(0, 200, 10, 56)):
        for area in STRENGTHS:
            hidden = covered(f"occlusion:{area}/target=cup", streams(), None, cup=corner)
            assert hidden.mean() == pytest.approx(area, rel=0.03)
            assert (corner <= hidden).all()


def test_a_named_object_out_of_view_leaves_the_picture_alone(streams):
    assert not covered("occlusion:0.4/target=cup", streams(), box(0, 0, 9, 9), cup=np.zeros((256, 256), bool)).any()


@given(
    draw=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3),
    areas=st.tuples(st.floats(0.001, 0.9), st.floats(0.001, 0.9)),
    shape=st.tuples(st.integers(16, 400), st.integers(16, 400)),
)
def test_rectangles_of_one_draw_are_nested_and_within_the_picture(draw, areas, shape):
    small, large = (rectangle(shape, area, np.array(draw)) for area in sorted(areas))
    for inner, outer, side in zip(small, large, shape, strict=True):
        assert 0 <= outer.start <= inner.start < inner.stop <= outer.stop <= side


@given(
    areas=st.tuples(st.floats(0.001, 0.9), st.floats(0.001, 0.9)),
    place=st.tuples(*[st.integers(0, 90)] * 2),
    size=st.tuples(*[st.integers(1, 40)] * 2),
)
def test_rectangles_over_a_thing_are_nested_and_within_the_picture(areas, place, size):
    mask = box(*place, *size, size=(96, 128))
    small, large = (over(mask, area) for area in sorted(areas))
    for inner, outer, side in zip(small, large, mask.shape, strict=True):
        assert 0 <= outer.start <= inner.start < inner.stop <= outer.stop <= side
