"""Demonstrations of a made-up scene, and a small SmolVLA with chunks of their length."""

import numpy as np
import pytest

from examples.finetune.demos import Demonstrations

CHUNK, EDGE, EPISODES, LENGTH = 6, 64, 24, 8


@pytest.fixture(scope="session")
def demonstrations() -> Demonstrations:
    """In each scene a red and a green square; the instruction says which one the actions follow."""
    rng = np.random.default_rng(0)
    total = EPISODES * LENGTH
    images = np.full((total, 2, EDGE, EDGE, 3), 90, np.uint8)
    places = rng.integers(4, EDGE - 20, (total, 2))
    for frame, (red, green) in enumerate(places):
        images[frame, :, 8:24, red : red + 16] = (220, 30, 30)
        images[frame, :, 40:56, green : green + 16] = (30, 200, 30)
    wanted = np.repeat(np.arange(EPISODES) % 2, LENGTH)
    actions = np.zeros((total, CHUNK, 7), np.float32)
    actions[..., 0] = (places[np.arange(total), wanted][:, None] - 24) / 24
    return Demonstrations(
        images=images,
        states=rng.normal(0, 0.1, (total, 8)).astype(np.float32),
        actions=actions,
        valid=np.ones((total, CHUNK), bool),
        episodes=np.repeat(np.arange(EPISODES), LENGTH),
        instructions=wanted,
        conflicts=np.eye(2, dtype=bool)[1 - wanted],
        texts=("push the red square", "push the green square"),
        sha256="made up",
    )


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A random SmolVLA, which listens to everything."""
    import tiny_smolvla

    return tiny_smolvla.build(tmp_path_factory.mktemp("start") / "tiny", chunk_size=CHUNK, n_action_steps=CHUNK)
