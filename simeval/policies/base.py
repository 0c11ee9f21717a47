"""The contract between a policy and the evaluation loop. Batched from the start, without hidden state."""

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
    """One episode's request for a chunk.

    Attributes:
        observation: what the policy may look at; images only of the cameras that `PolicySpec.cameras` names.
        instruction: what it is told.
        pair_id: identity of the episode without its condition.
        chunk: how many chunks the episode has had before this one.
        noise_seed: seed of the sampling noise; a function of the pair and the chunk only.
        privileged: the simulator's state for `PolicySpec.privileged` policies, else `None`.
    """

    observation: Observation
    instruction: str
    pair_id: str
    chunk: int
    noise_seed: int
    privileged: Privileged | None = None


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What the loop must know about a policy before it starts.

    Attributes:
        name: for tables and manifests.
        n_action_steps: actions of each chunk that are executed before the policy looks again.
        cameras: entries of `envs.base.CAMERAS` that it looks at; empty for policies that see no pixels.
        privileged: whether it is given the simulator's state.
        state_std: standard deviation of each number of the state in its training data, if it knows.
        action_std: the same of each number of the action, in the environment's units.
        state_limits: (lowest, highest) of each number of the state beyond which nothing in training can have been, if
            it knows.
        action_limits: the same of each number of the action, in the environment's units.
        fingerprint: what its outputs depend on (checkpoint hash, dtypes, batch size ...): part of the manifest.
    """

    name: str
    n_action_steps: int
    cameras: tuple[str, ...]
    privileged: bool = False
    state_std: tuple[float, ...] | None = None
    action_std: tuple[float, ...] | None = None
    state_limits: tuple[tuple[float, float], ...] | None = None
    action_limits: tuple[tuple[float, float], ...] | None = None
    fingerprint: tuple[tuple[str, Any], ...] = ()


class Policy(Protocol):
    """A policy. What `act` returns for an input depends on that input alone, not on neighbours or earlier calls."""

    spec: PolicySpec

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Predict a chunk for each input, in order; each `float32[T, 7]` with `T >= n_action_steps`."""


@dataclass(frozen=True)
class WorkerFacts:
    """What all workers of a run must have in common.

    Attributes:
        policy: what their policy says of itself.
        kernels: see `simeval.core.kernels.of_simulation`.
    """

    policy: PolicySpec
    kernels: dict[str, str]
