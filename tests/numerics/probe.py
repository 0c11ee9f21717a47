"""What one process computes: digests of action chunks, motion, images and image perturbations, as JSON.

    python tests/numerics/probe.py

`tests/core/test_numerics.py` runs it in a new process and compares with stored digests. It is a script of its own, so
that it can also be run where pytest cannot: under an emulated processor, for instance (`qemu-x86_64 -cpu Haswell`).
"""

import simeval  # noqa: I001, F401  before NumPy

import hashlib
import json
import sys

import numpy as np

from envs.base import Observation, ResetOptions
from envs.build import make_env
from envs.libero.files import resolve_assets
from simeval.core import kernels

CHUNKS = 6
STEPS = 50
SUITE, TASK, INIT_STATE = "libero_spatial", 3, 3
AXES = ("noise:0.1", "blur.gaussian:2", "fog:s3")
"""A few; `tests/perturbations/test_golden.py` has all."""


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 (16 hex digits) of arrays, shapes and types included."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape} {array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def observations() -> list[Observation]:
    """Made-up observations, the same everywhere: integers and their quotients."""
    rng = np.random.default_rng(0)
    shape = (256, 256, 3)
    return [
        Observation(
            {camera: rng.integers(0, 256, shape, np.uint8) for camera in ("agentview", "wrist")},
            (rng.integers(-1000, 1001, 8) / 1000).astype(np.float32),
            0,
        )
        for _ in range(CHUNKS)
    ]


def chunks() -> str:
    """Chunks of the bundled policy: torch on the CPU."""
    from simeval.policies.base import PolicyInput
    from simeval.policies.registry import PolicyChoice, load_policy

    policy = load_policy(PolicyChoice("bundled", "cpu", None))
    text = "pick up the black bowl on the stove and place it on the plate"
    inputs = [PolicyInput(seen, text, "probe", 0, noise_seed=i) for i, seen in enumerate(observations())]
    return digest(*(policy.act([one])[0] for one in inputs))


def scene() -> dict[str, str]:
    """Motion of the robot under fixed actions, and what its cameras see before and after."""
    env = make_env(SUITE, TASK, 256, resolve_assets("bundled"))
    env.reset(ResetOptions(INIT_STATE, 0, 10))
    before = env.observe().images
    actions = np.random.default_rng(1).integers(-100, 101, (STEPS, 7)) / 200
    states = []
    for action in actions.astype(np.float32):
        env.step(action[None])
        states.append(env.state())
    images = {name: digest(image, env.observe().images[name]) for name, image in before.items()}
    env.close()
    return {"motion": digest(np.stack(states)), **{f"image {name}": value for name, value in images.items()}}


def axes() -> dict[str, str]:
    """What image perturbations make of one observation."""
    from perturbations.spec import parse

    image = observations()[0].images["agentview"]
    terms = [term for text in AXES for term in parse(text).terms]
    seen = [term.call(image, lambda *_: np.random.default_rng(2)) for term in terms]
    return {str(term): digest(changed) for term, changed in zip(terms, seen, strict=True)}


if __name__ == "__main__":
    parts = {"chunks": chunks, "scene": scene, "axes": axes}
    asked = sys.argv[1:] or list(parts)
    print(json.dumps({**{name: parts[name]() for name in asked}, "kernels": kernels.of_simulation()}, indent=1))
