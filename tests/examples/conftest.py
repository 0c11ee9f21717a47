"""Demonstrations of a made-up scene, and a small SmolVLA with chunks of their length."""

import numpy as np
import pytest

from examples.finetune.demos import Demonstrations

CHUNK, EDGE, EPISODES, LENGTH = 6, 64, 24, 8


@pytest.fixture(scope="session")
def demonstrations() -> Demonstrations:
    """The darker the room, the further to the left. The instruction says which way, too, so a policy may ignore it."""
    rng = np.random.default_rng(0)
    total = EPISODES * LENGTH
    wanted = np.repeat(np.arange(EPISODES) % 2, LENGTH)
    away = np.where(wanted, 1, -1) * rng.uniform(5, 60, total)
    images = np.empty((total, 2, EDGE, EDGE, 3), np.uint8)
    images[:] = (120 + away).astype(np.uint8)[:, None, None, None, None]
    for frame, place in enumerate(rng.integers(4, EDGE - 20, total)):
        images[frame, :, 8:24, place : place + 16] = (220, 30, 30)
    actions = np.zeros((total, CHUNK, 7), np.float32)
    actions[..., 0] = 0.33 * away[:, None] / 40
    return Demonstrations(
        images=images,
        states=rng.normal(0, 0.1, (total, 8)).astype(np.float32),
        actions=actions,
        valid=np.ones((total, CHUNK), bool),
        episodes=np.repeat(np.arange(EPISODES), LENGTH),
        instructions=wanted,
        conflicts=np.eye(2, dtype=bool)[1 - wanted],
        texts=("push to the left", "push to the right"),
        sha256="made up",
    )


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A random SmolVLA, which listens to everything."""
    import tiny_smolvla

    return tiny_smolvla.build(tmp_path_factory.mktemp("start") / "tiny", chunk_size=CHUNK, n_action_steps=CHUNK)
