"""Requests to the tiny SmolVLA."""

import numpy as np

from envs.base import Observation
from simeval.policies.base import PolicyInput


def request(index: int = 0, text: str = "put the bowl on the plate") -> PolicyInput:
    """A policy's input with random images; `index` seeds images and sampling noise."""
    random = np.random.default_rng(index)
    images = {camera: random.integers(0, 256, (128, 128, 3), np.uint8) for camera in ("agentview", "wrist")}
    return PolicyInput(Observation(images, np.zeros(8, np.float32), 0), text, "pair", 0, noise_seed=index)
