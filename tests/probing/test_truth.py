"""The truth about frames of LIBERO: objects move while the robot works, and so do their positions and masks."""

import numpy as np
import pytest
from helpers import toy_config

from perturbations.spec import parse
from simeval.api import evaluate
from simeval.drift.frames.from_run import RunFrames
from simeval.policies.base import PolicySpec
from simeval.probing.frame_set import draw, read, write
from simeval.probing.truth import named_objects
from simeval.store.assets import assets_of

CONDITIONS = ("none", "instruction:counterfactual", "camera.orbit:20deg")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The expert's first episode in libero_object: three frames under three conditions."""
    folder = tmp_path_factory.mktemp("expert") / "run"
    settings = {"suite": ("libero_object",), "assets": "bundled", "policy": "expert", "tasks": "0", "init_states": "0"}
    run = evaluate(toy_config(folder, perturb=(), **settings))
    policy = PolicySpec("p", 5, ("agentview", "wrist"))
    source = RunFrames.open(run, assets_of(run), policy=policy, kind="replay", per_episode=3)
    found = draw(source, [parse(text) for text in CONDITIONS], 0)
    source.close()
    return found


def named(info) -> str:
    (name,) = [name for name, is_named in zip(info.objects, info.named, strict=True) if is_named]
    return name


def test_the_named_object_moves_with_the_hand_and_others_stay(sets):
    clean = sets[0]
    objects = clean.frames[0].objects
    assert named(clean.frames[0]) == "alphabet_soup_1"
    moved = dict(zip(objects, np.linalg.norm(clean.positions[-1] - clean.positions[0], axis=1), strict=True))
    assert moved["alphabet_soup_1"] > 0.1
    assert moved["cream_cheese_1"] < 0.01
    k = objects.index("alphabet_soup_1")
    assert (clean.masks[0, k] != clean.masks[-1, k]).any()


def test_another_instruction_names_another_object_in_the_same_places(sets):
    clean, told, _ = sets
    assert named(told.frames[0]) != named(clean.frames[0])
    assert told.frames[0].label == told.frames[0].instruction != clean.frames[0].label
    assert np.array_equal(clean.positions, told.positions)
    assert np.array_equal(clean.masks, told.masks)
    assert np.array_equal(clean.images, told.images)


def test_a_moved_camera_moves_the_masks_and_not_the_objects(sets):
    clean, _, orbit = sets
    assert np.array_equal(clean.positions, orbit.positions)
    assert not np.array_equal(clean.masks[:, :, 0], orbit.masks[:, :, 0])
    assert orbit.frames[0].label == clean.frames[0].label


def test_frames_are_stored_as_they_are(sets, tmp_path):
    for one in sets:
        write(tmp_path / "a.npz", one)
        again = read(tmp_path / "a.npz")
        write(tmp_path / "b.npz", again)
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
        assert again.frames == one.frames
        assert np.array_equal(again.masks, one.masks)


def test_a_part_of_a_fixture_stands_for_it():
    goal = (("open", "wooden_cabinet_1_top_region"),)
    assert named_objects(goal, ("bowl_1", "wooden_cabinet_1")) == ("wooden_cabinet_1",)
    assert named_objects((("on", "bowl_1", "plate_1"),), ("bowl_1", "bowl_10", "plate_1")) == ("bowl_1",)
