"""`simeval serve` without its command: a policy object served by a thread of the test."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from envs.base import Observation
from simeval.policies.base import Policy, PolicyInput
from simeval.policies.remote.listen import bind
from simeval.policies.remote.serve import PolicyServer


@contextlib.contextmanager
def served(policy: Policy, **options) -> Iterator[int]:
    """Serve a policy on a free port of 127.0.0.1, which is yielded."""
    bound, ready = bind("127.0.0.1", 0), threading.Event()
    server, loop = PolicyServer(policy, **options), asyncio.new_event_loop()
    running = loop.create_task(server.run(bound, ready.set))

    def serve() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(running)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield bound.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(running.cancel)
        thread.join(10)
        assert not thread.is_alive()


def observed(seed: int, side: int = 64, text: str = "put the bowl on the plate") -> PolicyInput:
    """An input that says a different thing for every seed."""
    rng = np.random.default_rng(seed)
    images = {camera: rng.integers(0, 256, (side, side, 3), np.uint8) for camera in ("agentview", "wrist")}
    observation = Observation(images, rng.normal(size=8).astype(np.float32), seed % 60)
    return PolicyInput(observation, text, f"toy/0/init{seed}/r0", seed % 7, noise_seed=2**63 - 1 - seed)


def marked(item: PolicyInput) -> dict:
    """The request of simeval's own form for an input."""
    images = item.observation.images
    return {
        "simeval": 1,
        "observation/image": images["agentview"],
        "observation/wrist_image": images["wrist"],
        "observation/state": item.observation.state,
        "prompt": item.instruction,
        "noise_seed": item.noise_seed,
        "pair_id": item.pair_id,
        "chunk_index": item.chunk_index,
        "step": item.observation.step,
    }


def as_openpi(item: PolicyInput) -> dict:
    """The same as openpi's LIBERO client would send it, images in the size they have."""
    keys = ("observation/image", "observation/wrist_image", "prompt")
    plain = {key: value for key, value in marked(item).items() if key in keys}
    return plain | {"observation/state": item.observation.state.astype(np.float64)}
