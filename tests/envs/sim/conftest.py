"""What several tests of the simulator need."""

import numpy as np
import pytest

from envs.sim import shared_model


@pytest.fixture
def full_heap():
    """Takes every free block of the heap in which a large model would find room.

    Such a model is not shared. Tests leave such blocks behind in their process, a rollout worker hardly ever does.
    """
    held = []
    while not held or not shared_model._is_own_block(held[-1].ctypes.data, held[-1].nbytes):
        held.append(np.empty(shared_model.LEAST, np.uint8))
    return held
