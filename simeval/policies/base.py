"""The contract between a policy and the evaluation loop: batched inference without hidden state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.base import Observation, Privileged

ActionChunk = NDArray[np.float32]
"""`float32[T, 7]`: the predicted actions of the next T control steps, in the environment's units."""


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """One episode's request for an action chunk.

    Attributes:
        observation: the policy's observation; it has images of the cameras in `PolicySpec.cameras` only.
        instruction: the language instruction.
        pair_id: identity of the episode without its condition.
        chunk_index: index of the chunk in the episode, from 0.
        noise_seed: seed of the sampling noise; a function of the pair and the chunk only.
        privileged: ground-truth state for policies with `PolicySpec.privileged`, else `None`.
    """

    observation: Observation
    instruction: str
    pair_id: str
    chunk_index: int
    noise_seed: int
    privileged: Privileged | None = None


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What the loop must know about a policy before it starts.

    Attributes:
        name: name in tables and manifests.
        n_action_steps: actions of each chunk that are executed before the next observation.
        cameras: entries of `envs.base.CAMERAS` that it uses; empty for policies without images.
        privileged: whether it gets the ground-truth state.
        state_std: standard deviation per state dimension in its training data; `None` if unknown.
        action_std: the same per action dimension, in the environment's units.
        state_limits: (lowest, highest) per state dimension that training data can have contained; `None` if unknown.
        action_limits: the same per action dimension, in the environment's units.
        image_size: height and width (px) of its training images; `None` if unknown.
        fingerprint: everything that its outputs depend on (checkpoint hash, dtypes, batch size ...), for the manifest.
    """

    name: str
    n_action_steps: int
    cameras: tuple[str, ...]
    privileged: bool = False
    state_std: tuple[float, ...] | None = None
    action_std: tuple[float, ...] | None = None
    state_limits: tuple[tuple[float, float], ...] | None = None
    action_limits: tuple[tuple[float, float], ...] | None = None
    image_size: tuple[int, int] | None = None
    fingerprint: tuple[tuple[str, Any], ...] = ()


class Policy(Protocol):
    """A policy. The output of `act` for an input depends on that input alone, not on its batch or on earlier calls."""

    spec: PolicySpec

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Predict a chunk for each input, in order; each `float32[T, 7]` with `T >= n_action_steps`."""


@dataclass(frozen=True)
class WorkerFacts:
    """Facts that must be equal for all workers of a run.

    Attributes:
        policy: the policy's spec.
        kernels: see `simeval.core.kernels.of_simulation`.
    """

    policy: PolicySpec
    kernels: dict[str, str]
