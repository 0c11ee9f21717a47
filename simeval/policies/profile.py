"""How long a policy takes to answer one question, on this machine: one observation per call, after a warm-up.

The time is that of `act`, from images in memory to actions in memory, so preprocessing counts, and with a policy server
the round trip.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from envs.base import Observation
from envs.interface import Interface
from simeval.core.errors import ConfigError
from simeval.policies.base import Policy, PolicyInput, repeated

PERCENTILES = (50, 90, 95, 99)
_INSTRUCTION = "pick up the black bowl between the plate and the ramekin and place it on the plate"
"""Of usual length. Source: task 0 of libero_spatial."""
_SIDE = 256
"""Side of the images (px) for a policy that does not say what it was trained on. Source: the openvla protocol."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Times of answers.

    Attributes:
        seconds: of each question, in the order asked.
        control_hz: control steps per second.
    """

    seconds: tuple[float, ...]
    control_hz: int

    def percentile(self, percent: float) -> float:
        """The time (s) that so many per cent of the answers did not exceed: a measured one, no mean of two."""
        return float(np.percentile(self.seconds, percent, method="higher"))

    def steps(self, seconds: float) -> int:
        """Control steps that begin in a time, rounded up: the value of `latency:`."""
        # A time that is a whole number of steps, but for the last digit of a binary number, is that number.
        return math.ceil(round(seconds * self.control_hz, 9))


def measure(policy: Policy, interface: Interface, *, calls: int, warmup: int) -> Profile:
    """Ask a policy and time its answers.

    Args:
        policy: it is asked as in one episode.
        interface: of the suite: it gives the length of a control step.
        calls: questions that are timed.
        warmup: questions before them.

    Raises:
        ConfigError: the policy needs the simulator's state.
    """
    if policy.spec.privileged:
        raise ConfigError(f"--policy {policy.spec.name}: it reads the simulator, so its time says nothing")
    seconds = []
    for request in _requests(policy, warmup + calls):
        start = time.perf_counter()
        policy.act([request])
        seconds.append(time.perf_counter() - start)
    return Profile(tuple(seconds[warmup:]), interface.control_hz)


def _requests(policy: Policy, count: int) -> Iterator[PolicyInput]:
    spec, rng = policy.spec, np.random.default_rng(0)
    height, width = spec.image_size or (_SIDE, _SIDE)
    for index in range(count):
        images = {camera: rng.integers(0, 256, (height, width, 3), np.uint8) for camera in spec.cameras}
        state = rng.uniform(-0.5, 0.5, spec.state_size).astype(np.float32)
        observation = Observation(images, state, index * spec.n_action_steps)
        yield PolicyInput(
            observation, _INSTRUCTION, "profile", index, index, None, "profile/none", repeated(observation, spec)
        )
