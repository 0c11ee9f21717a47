"""Contact sheets: that they show what the loop shows, and that every caption can be read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from envs.build import make_env
from perturbations.base import image_difference
from perturbations.spec import parse
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.core.seeding import PairStreams
from simeval.media import captions, preview
from simeval.media.fonts import printable
from simeval.media.preview import COLUMNS, MIN_SIDE, condition_sheet, view_at


def planned(*perturb, size=64):
    config = EvalConfig(suite=("toy",), tasks="0", init_states="3", perturb=perturb)
    return [structs.replace(spec, resolution=size) for spec in make_plan(config).episodes]


@pytest.fixture
def env():
    env = make_env("toy", 0, 64, None)
    yield env
    env.close()


def test_a_view_is_what_the_loop_shows(env):
    clean, noisy, dark = (view_at(env, spec) for spec in planned("noise:0.1", "light:0.3"))
    streams = PairStreams.of(planned()[0]).generator
    expected = parse("noise:0.1").start(streams).images(clean.images, 0)
    for camera in ("agentview", "wrist"):
        np.testing.assert_array_equal(noisy.images[camera], expected[camera])
        assert dark.images[camera].mean() < 0.6 * clean.images[camera].mean()
    assert (clean.condition, clean.reason) == ("none", "")
    again = view_at(env, planned()[0])
    assert all(np.array_equal(again.images[c], clean.images[c]) for c in clean.images)


def test_later_perturbations_are_seen_later(env):
    clean, late = planned("brightness:0.2/from=4")
    assert image_difference(view_at(env, clean).images["wrist"], view_at(env, late).images["wrist"]).sum_abs == 0
    assert view_at(env, late, step=4).images["wrist"].mean() < 0.5 * view_at(env, clean, step=4).images["wrist"].mean()


@pytest.mark.parametrize("latency", ["latency:5", "latency:5/mode=rtc"])
def test_a_latency_is_not_seen(env, latency):
    _, plain, late = planned("noise:0.3/from=3", f"noise:0.3/from=3+{latency}")
    seen, expected = view_at(env, late, step=4), view_at(env, plain, step=4)
    assert (seen.reason, seen.condition) == ("", f"noise:0.3/from=3+{latency}")
    assert all(np.array_equal(seen.images[camera], image) for camera, image in expected.images.items())


def test_what_cannot_be_seen_says_why(env):
    broken = structs.replace(planned()[0], init_state=10**6)
    view = view_at(env, broken)
    assert view.images == {}
    assert "error" in view.reason
    assert captions.placeholder(MIN_SIDE, view.reason).shape == (MIN_SIDE, MIN_SIDE, 3)


def test_the_sheet_has_a_column_for_each_condition_beside_the_clean_one():
    sheet = condition_sheet(planned("noise:0.05,0.1,0.3", "brightness:0.5", size=128), assets=None)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 5 * MIN_SIDE
    clean = look_alone("none", 128)
    shown = captions.upscale(clean["agentview"], 2)
    rows = [y for y in range(len(sheet) - MIN_SIDE) if np.array_equal(sheet[y : y + MIN_SIDE, :MIN_SIDE], shown)]
    assert len(rows) == 1
    noisy = look_alone("noise:0.3", 128)["agentview"]
    place = np.s_[rows[0] : rows[0] + MIN_SIDE, 3 * MIN_SIDE : 4 * MIN_SIDE]
    np.testing.assert_array_equal(sheet[place], captions.upscale(noisy, 2))


def look_alone(condition, size):
    env = make_env("toy", 0, size, None)
    try:
        return view_at(env, structs.replace(planned(size=size)[0], condition=condition)).images
    finally:
        env.close()


def test_a_long_sweep_goes_on_below():
    values = ",".join(str(k / 100) for k in range(1, COLUMNS + 3))
    sheet = condition_sheet(planned(f"noise:{values}"), assets=None)
    short = condition_sheet(planned("noise:0.1"), assets=None)
    assert sheet.shape[1] == (COLUMNS + 1) * MIN_SIDE
    assert len(sheet) > 1.8 * len(short)


def test_conditions_of_one_kind_stay_together():
    views = [preview.ConditionView(c, {}, "", "") for c in ("noise:0.1", "light:0.5", "noise:0.2", "noise:0.2@wrist")]
    kinds = preview._group_by_kind(views)
    assert [[view.condition for view in kind] for kind in kinds] == [
        ["noise:0.1", "noise:0.2"], ["light:0.5"], ["noise:0.2@wrist"]
    ]  # fmt: skip
    assert [len(shelf) for shelf in preview._rows_of_kinds([kinds[0]] * 4)] == [3, 1]


def test_episodes_of_two_pairs_are_refused():
    one = planned()[0]
    with pytest.raises(ValueError, match="one pair"):
        condition_sheet([one, structs.replace(one, init_state=4)], assets=None)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=300), width=st.integers(64, 600))
def test_every_caption_fits(text, width):
    rows, size = captions._wrapped(printable(text), width - 2 * captions.MARGIN)
    assert 1 <= len(rows) <= captions.MAX_LINES
    assert all(captions._width(row, size) <= width - 2 * captions.MARGIN for row in rows)
    assert captions.caption([text], width).shape[1] == width


def test_captions_lose_nothing_that_has_room():
    text = "blur.defocus:3+fog:1+contrast:0.7+temperature:4500+noise.shot:40+occlusion:0.1/target=akita_black_bowl_1"
    rows, _ = captions._wrapped(text, 300)
    assert "".join(rows) == text
    assert all(row.endswith("+") or row == rows[-1] or rows[k + 1].startswith("/") for k, row in enumerate(rows))


def test_chinese_and_japanese_wrap_between_characters_but_not_before_a_stop():
    """Neither has spaces, and a quotation would begin its row."""
    text = "把白色杯子放到左边盘子上\uff0c把黄白色杯子放到「右边盘子」上。白いマグを左の皿に置いてください。"
    for width in range(150, 400, 10):
        rows, size = captions._wrapped(text, width, captions.TextStyle(max_lines=12))
        assert "".join(rows) == text
        assert not any(row.startswith(tuple("\uff0c。」")) or row.endswith("「") for row in rows)
        assert all(captions._width(row, size) > width - 3 * size for row in rows[:-1]), "rows are filled"


def test_marks_stay_with_their_letters():
    letter = "x\u0321\u0323"  # no composed form exists
    rows, _ = captions._wrapped(letter * 80, 100)
    assert len(rows) == captions.MAX_LINES
    assert all(row.startswith("x") for row in rows)


def test_paragraphs_are_as_high_as_their_lines_and_start_below_each_other():
    one, two = (captions.caption(texts, 200) for texts in (["first"], ["first", "second"]))
    assert len(two) == len(one) + captions.CAPTION_STYLE.line
    np.testing.assert_array_equal(two[: len(one) - 4], one[:-4])
    for part in ("Ägq", "把", "ض"):
        strip = captions.caption([part], 200).astype(int)
        inked = np.flatnonzero((abs(strip - strip[0, 0]) > 40).any((1, 2)))
        assert 2 <= inked[0] < inked[-1] < len(strip) - 2, "nothing is cut"
