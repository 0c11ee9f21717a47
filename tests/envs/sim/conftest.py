"""What several tests of the simulator need."""

import numpy as np
import pytest

from envs.sim import shared_model


@pytest.fixture
def can_share(monkeypatch):
    """Large models can be shared in this process, whatever is the disk of its temporary files.

    A model that finds room in a free block of the heap is not shared. Tests leave such blocks behind, a rollout worker
    hardly ever does; so every block that is large enough is taken.
    """
    monkeypatch.setattr(shared_model, "_file_system", lambda _: "ext4")
    held = []
    while not held or not shared_model._is_own_block(held[-1].ctypes.data, held[-1].nbytes):
        held.append(np.empty(shared_model.LEAST, np.uint8))
    return held
