"""States of a dataset in other units than the policy's training data."""

import numpy as np
import pytest

from simeval.core.errors import ConfigError
from simeval.drift.frames.state_units import state_notes

STATES = np.tile([-0.2, 0.04, 1.12, 3.13, -0.02, -0.1, 0.03, -0.03], (20, 1)) + np.linspace(0, 0.01, 20)[:, None]
TRAINED = tuple((middle - 1.0, middle + 1.0) for middle in (-0.1, 0.0, 0.9, 3.0, 0.0, -0.1, 0.03, -0.03))


def quaternions() -> np.ndarray:
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_rotvec(STATES[:, 3:6]).as_quat()
    return np.hstack([STATES[:, :3], turned, STATES[:, 6:7]]).astype(np.float32)


def notes(states, limits) -> tuple[str, ...]:
    return state_notes(states, limits, dataset="mine", policy="trained")


@pytest.mark.parametrize("limits", [TRAINED, None])
def test_states_as_in_libero_have_no_note(limits):
    assert notes(STATES, limits) == ()


def test_millimetres_are_refused_by_a_policy_of_known_training_data():
    with pytest.raises(ConfigError) as caught:
        notes(STATES * 1000, TRAINED)
    assert str(caught.value) == (
        "dataset 'mine': number 4 of its state is 3.14e+03 in the median frame, policy 'trained' was trained on 2 to 4"
        "; it has other units or another order than position (m), axis-angle (rad), 2 fingers (m)"
    )


def test_centimetres_may_be_another_robot_so_they_have_a_note():
    states = STATES.copy()
    states[:, 2] = 40.0
    (note,) = notes(states, TRAINED)
    assert note.startswith(
        "dataset 'mine': number 3 of its state is 40 in the median frame, policy 'trained' was trained on -0.1 to 1.9"
    )


def test_millimetres_have_a_note_where_the_training_data_is_unknown():
    (note,) = notes(STATES * 1000, None)
    assert "number 3 of its state is 1.12e+03 in the median frame, in LIBERO it is -2 to 2; other units" in note


def test_quaternions_are_refused_noted_or_what_the_policy_was_trained_on():
    with pytest.raises(ConfigError, match="numbers 4 to 7 of its state have length 1 in every frame, as a quaternion"):
        notes(quaternions(), TRAINED)
    (note,) = notes(quaternions(), None)
    assert "as a quaternion" in note
    own = tuple((low - 1.0, low + 1.0) for low in quaternions().mean(axis=0))
    assert notes(quaternions(), own) == ()


def test_numbers_that_never_moved_in_training_have_no_limit():
    unlimited = (*TRAINED[:2], (-np.inf, np.inf), *TRAINED[3:])
    states = STATES.copy()
    states[:, 2] = 900.0
    assert notes(states, unlimited) == ()


def test_a_few_frames_outside_have_no_note():
    states = STATES.copy()
    states[:3, 2] = 900.0
    assert notes(states, TRAINED) == ()


def test_a_flag_that_training_set_in_few_frames_is_noted_not_refused():
    """Of quantiles the training data had 1 % of frames outside, and the chosen episodes may be those."""
    states = STATES.copy()
    states[:, 7] = 1.0
    (note,) = notes(states, (*TRAINED[:7], (-1e-4, 1e-4)))
    assert "number 8 of its state is 1 in the median frame" in note


@pytest.mark.filterwarnings("error")
def test_quaternions_have_no_middle_to_compare_where_training_has_no_limits():
    assert notes(quaternions(), ((-np.inf, np.inf),) * 8) == ()
