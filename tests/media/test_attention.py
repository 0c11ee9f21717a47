"""Attention sheets: what is drawn, that it can be read without colour, and where it comes to lie."""

from dataclasses import replace

import imageio.v3 as imageio
import numpy as np
import pytest

from envs.base import Observation
from simeval.core.errors import ConfigError
from simeval.drift.measure import AttentionRecord
from simeval.media.attention import attention_sheet, write_attention
from simeval.media.captions import caption
from simeval.policies.base import PolicyInput
from simeval.policies.lerobot import load
from simeval.policies.representations import Representation

SIDE = 256


def gaze(
    attention, condition="none", *, shape=(SIDE, SIDE), level=120, text="put the bowl on the plate"
) -> AttentionRecord:
    attention = np.array(attention, np.float32)
    cameras = ("agentview", "wrist")[: len(attention)]
    images = {camera: np.full((*shape, 3), level, np.uint8) for camera in cameras}
    empty = np.zeros((1, 2), np.float32)
    seen = Representation(
        chunk=np.zeros((1, 7), np.float32),
        cameras=cameras,
        vision=np.zeros((len(attention), 4, 2), np.float32),
        language=empty,
        language_mask=np.array([True]),
        prefix=empty,
        prefix_mask=np.array([True]),
        attention=attention,
        attention_language=0.1,
        attention_state=0.1,
    )
    item = PolicyInput(Observation(images, np.zeros(8, np.float32), 0), text, "pair", 0, noise_seed=0)
    return AttentionRecord(condition, item, seen)


CLEAN = gaze([[[0.4, 0.1], [0.1, 0.0]], [[0.1, 0.0], [0.0, 0.1]]])
HALF_AND_MORE = ([[[0.5]]], [[[0.7]]])
MOVED = gaze([[[0.0, 0.1], [0.1, 0.4]], [[0.1, 0.0], [0.0, 0.1]]], "occlusion:0.3")


def panels(sheet: np.ndarray, rows: int = 2) -> np.ndarray:
    """The pictures of a sheet without what is written above and below: `uint8[rows, 3, SIDE, width, 3]`."""
    block = SIDE + len(caption(["x"], SIDE))
    bottom = sheet[-rows * block :]
    parts = [bottom[k * block : k * block + SIDE] for k in range(rows)]
    return np.array([np.split(part, 3, axis=1) for part in parts])


def corners(panel: np.ndarray) -> np.ndarray:
    """A pixel of each of four regions, away from its number and the edges: `int[2, 2, 3]`."""
    return panel[[[20, 20], [SIDE - 20, SIDE - 20]], [[20, SIDE - 20], [20, SIDE - 20]]].astype(int)


def orange(colors: np.ndarray) -> np.ndarray:
    return colors[..., 0] - colors[..., 2]


def test_regions_are_coloured_where_they_lie_and_by_one_scale():
    shown = panels(attention_sheet("frame", CLEAN, MOVED))
    (clean, perturbed, change), (wrist, _, same) = (orange(np.array([corners(p) for p in row])) for row in shown)
    assert clean[0, 0] == pytest.approx(4 * clean[0, 1], rel=0.05)
    assert clean[0, 0] > 150
    assert clean[0, 1] == clean[1, 0]
    assert clean[1, 1] == 0
    assert np.array_equal(perturbed, clean[::-1, ::-1])
    assert wrist[0, 0] == clean[0, 1]
    # Less is blue, more is orange, the same is gray.
    assert change[0, 0] < -100
    assert change[1, 1] > 100
    assert change[0, 1] == change[1, 0] == 0
    assert not same.any()
    faint = gaze([[[0.2, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    half = orange(corners(panels(attention_sheet("frame", CLEAN, faint))[0, 1]))
    assert half[0, 0] == pytest.approx(clean[0, 0] / 2, rel=0.05)


def test_numbers_say_it_without_colour():
    """Two sheets of the same colours and other shares."""
    first, second = (panels(attention_sheet("frame", view, view), rows=1)[0, 0] for view in map(gaze, HALF_AND_MORE))
    differs = np.argwhere((first != second).any(-1))
    assert len(differs) > 20
    assert np.abs(differs - SIDE / 2).max() < 20


def test_another_instruction_is_written_above_its_column():
    told = replace(MOVED, request=replace(MOVED.request, instruction="open the drawer"))
    silent, loud = (attention_sheet("frame", CLEAN, perturbed) for perturbed in (MOVED, told))
    (first, second, third), (same, other, also) = (np.split(sheet, 3, axis=1) for sheet in (silent, loud))
    assert np.array_equal(first, same)
    assert np.array_equal(third, also)
    assert not np.array_equal(second, other)
    assert np.array_equal(panels(silent), panels(loud))


def test_a_wide_picture_lies_at_the_bottom_of_its_square():
    """The network sees the square; its upper half is padding, so the upper regions are not on the picture."""
    view = gaze([[[0.3, 0.3], [0.0, 0.2]]], shape=(SIDE, 2 * SIDE))
    shown = panels(attention_sheet("frame", view, view), rows=1)[0, 0]
    assert shown.shape == (SIDE, 2 * SIDE, 3)
    colors = orange(shown[[20, SIDE - 20]][:, [20, -20]].astype(int))
    assert (colors[:, 0] == 0).all()
    assert (colors[:, 1] > 50).all()


def test_small_pictures_are_enlarged():
    small = gaze([[[0.4, 0.1], [0.1, 0.0]]], shape=(64, 64))
    assert attention_sheet("frame", small, small).shape[1] == 3 * SIDE


def test_the_file_is_the_sheet_of_a_real_policy(tiny_smolvla, tmp_path):
    policy = load(str(tiny_smolvla), device="cpu", batch_size=2)
    clean = gaze([[[1.0]], [[1.0]]]).request
    pictures = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    images = dict(zip(("agentview", "wrist"), pictures, strict=True))
    clean = replace(clean, observation=replace(clean.observation, images=images))
    dark = replace(clean.observation, images={camera: image // 5 for camera, image in images.items()})
    views = [clean, replace(clean, observation=dark)]
    sides = [AttentionRecord(c, v, r) for c, v, r in zip(("none", "dark"), views, policy.represent(views), strict=True)]
    out = tmp_path / "new" / "maps" / "frame.png"
    write_attention(out, "tiny | frame 0", *sides)
    assert np.array_equal(imageio.imread(out), attention_sheet("tiny | frame 0", *sides))
    change = panels(imageio.imread(out))[:, 2].astype(int)
    assert np.ptp(change, axis=-1).max() > 50


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="the image cannot be written"):
        write_attention(tmp_path / "file" / "frame.png", "frame", CLEAN, MOVED)
