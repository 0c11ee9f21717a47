"""Which checkpoints' actions are certainly poses, and which are left alone because that is not certain."""

import shutil
from pathlib import Path

import broken_checkpoints as broken
import numpy as np
import pytest

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.notes import notes
from simeval.policies.checkpoint.read import read

ADDED = "and absolute_actions_processor adds it again"


@pytest.fixture
def folder(tiny_smolvla, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_smolvla, tmp_path / "mine"))


def noted(folder: Path) -> list[str]:
    return list(notes(read(str(folder)), steps_given=True, libero=True))


@pytest.mark.parametrize(
    "pair",
    [
        {"relative": False, "absolute": False},
        {"relative": True, "absolute": True, "exclude_joints": ["", "a"], "action_names": ["a"] * 7},
        {"relative": False, "absolute": True, "exclude_joints": ["arm"], "action_names": ["Arm.x"] * 7},
    ],
)
def test_a_pair_that_does_nothing_is_as_none(folder, pair):
    broken.relative_actions(**pair)(folder)
    assert noted(folder) == []


@pytest.mark.parametrize("excluded", [["y"], ["gripper"], ["nothing"], []])
def test_a_pair_that_leaves_out_some_numbers_adds_to_the_others(folder, excluded):
    names = ["x", "y", "z", "rx", "ry_", "rz", "gripper"]
    broken.relative_actions(relative=True, absolute=True, exclude_joints=excluded, action_names=names)(folder)
    with pytest.raises(ConfigError, match=r"action 4 averages 2\.97 in its training data, with the state"):
        read(str(folder))


def test_a_turn_that_is_left_out_does_not_prove_poses(folder):
    names = ["x", "y", "z", "rx", "ry", "rz", "gripper"]
    broken.relative_actions(relative=True, absolute=True, exclude_joints=["r"], action_names=names)(folder)
    (line,) = noted(folder)  # the position averages less than 1 m
    assert ADDED in line


def test_a_state_that_is_scaled_before_it_is_added_proves_nothing(folder):
    broken.relative_actions(relative=True, absolute=True)(folder)
    broken.edit(folder, broken.BEFORE, lambda pipeline: pipeline["steps"].append(pipeline["steps"].pop(1)))
    (line,) = noted(folder)
    assert ADDED in line


def test_statistics_prove_nothing_if_a_later_step_converts_the_actions(folder):
    broken.tensors(broken.ACTION_FILE, broken.set_number("action.mean", 3, 3.0))(folder)
    with pytest.raises(ConfigError, match="action 4 averages 3 in its training data; the suites take changes"):
        read(str(folder))
    broken.edit(
        folder,
        broken.AFTER,
        lambda pipeline: pipeline["steps"].insert(1, {"registry_name": "vla_jepa_clip_actions", "config": {}}),
    )
    assert noted(folder) == []


def test_the_average_may_be_at_the_limit(folder):
    for value in (1.05, -1.05):
        broken.tensors(broken.ACTION_FILE, broken.set_number("action.mean", 6, value))(folder)
        assert read(str(folder)).action_scale is not None
    broken.tensors(broken.ACTION_FILE, broken.set_number("action.mean", 6, -1.2))(folder)
    with pytest.raises(ConfigError, match=r"action 7 averages -1\.2"):
        read(str(folder))


def test_a_configuration_that_was_trained_on_relative_actions_counts_if_its_steps_are_switched_off(folder):
    broken.relative_actions(relative=False, absolute=False)(folder)
    broken.configure(use_relative_actions=True)(folder)
    (line,) = noted(folder)
    assert "it was trained on actions relative to the state" in line


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"exclude_joints": ["gripper"]},
        {"exclude_joints": ["gripper"], "action_names": ["x", "y", "z", "rx", "ry", "rz", "Gripper.pos"]},
        {"exclude_joints": ["", "R"], "action_names": ["x", "y", "z", "rx", "ry"]},
        {"exclude_joints": [], "action_names": ["a"] * 7},
    ],
)
def test_the_numbers_that_are_added_are_lerobots(folder, config):
    from lerobot.processor import RelativeActionsProcessorStep

    broken.changes_relative_to_the_state(folder)
    broken.step(broken.BEFORE, "relative_actions_processor", lambda step: step["config"].update(config))(folder)
    mask = RelativeActionsProcessorStep(enabled=True, **config)._build_mask(7)
    # A state that averages 0 proves no poses, whatever it is added to.
    broken.tensors(broken.STATE_FILE, lambda values: values["observation.state.mean"].fill(0))(folder)
    broken.tensors(broken.ACTION_FILE, lambda values: values["action.mean"].fill(0))(folder)
    assert read(str(folder)).action_steps.added == tuple(at for at, used in enumerate(mask) if used)


def statistics(folder: Path, **rows: list[float]) -> None:
    values = {f"action.{kind}": np.array(row, np.float32) for kind, row in rows.items()}
    broken.tensors(broken.ACTION_FILE, lambda found: found.update(values))(folder)


MEAN, STD = [0.05, 0.1, -0.1, 0.0, 0.0, 0.0, 0.1], [0.35, 0.4, 0.45, 0.04, 0.06, 0.08, 0.99]
LEAST, MOST = [-0.94, -0.94, -0.94, -0.26, -0.38, -0.37, -1], [0.94, 0.94, 0.94, 0.36, 0.38, 0.38, 1]


def test_liberos_own_actions_are_not_noted(folder):
    statistics(folder, mean=MEAN, std=STD)
    assert noted(folder) == []
    statistics(folder, mean=MEAN, std=STD, min=LEAST, max=MOST)
    assert noted(folder) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"mean": [0.95, *MEAN[1:]], "std": [0.02, *STD[1:]]}, "action 1 lies between 0.89 and 1.01 in its training"),
        (
            {"mean": [*MEAN[:2], -0.5, *MEAN[3:]], "std": [*STD[:2], 0.1, *STD[3:]]},
            "action 3 lies between -0.8 and -0.2",
        ),
        ({"min": [*LEAST[:3], -3.1, *LEAST[4:]], "max": MOST}, "action 4 reaches 3.1 in its training data"),
        ({"min": [*LEAST[:6], 0], "max": MOST}, "its gripper seems to go from 0 to 1"),
    ],
)
def test_what_their_statistics_tell_is_noted(folder, changed, line):
    statistics(folder, **{"mean": MEAN, "std": STD} | changed)
    assert [line in found for found in noted(folder)] == [True]


@pytest.mark.parametrize(
    ("least", "most"),
    [([0.5] * 7, [3.0] * 7), ([-1.0] * 6, [9.0] * 6), ([-9.0] * 6 + [float("nan")], [9.0] * 7)],
)
def test_extremes_that_do_not_fit_the_mean_are_not_believed(folder, least, most):
    statistics(folder, mean=MEAN, std=STD, min=least, max=most)
    assert noted(folder) == []
