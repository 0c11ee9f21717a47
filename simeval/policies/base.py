"""The contract between a policy and the evaluation loop: batched inference without hidden state.

`simeval.testing.check_policy` tests it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.base import ACTION_SIZE, STATE_SIZE, Observation, Privileged

ActionChunk = NDArray[np.float32]
"""`float32[T, action_size]`: the predicted actions of the next T control steps, in the environment's units."""


def number_fault(chunk: Any) -> str | None:
    """Why a policy's answer to an input holds no real numbers, as `it returned ...`; `None` if it does.

    NumPy would drop a mask or an imaginary part, and take text and truth values for numbers.
    """
    rows = chunk if isinstance(chunk, list | tuple) else (chunk,)
    if any(isinstance(row, np.ma.MaskedArray) and bool(np.any(row.mask)) for row in rows):
        return "it returned an action that is masked, so no number"
    dtype = np.asarray(chunk).dtype
    # bfloat16 of ml_dtypes is a V.
    return None if dtype.kind in "iufV" else f"it returned actions of type {dtype}, not real numbers"


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
        episode_id: identity of the episode, for policies with `PolicySpec.memory`.
        past: the observations of the control steps before `observation`, oldest first: `PolicySpec.n_obs_steps - 1`.
            Before the first step there is none, and the first observation is repeated.
        rest: what is left of the last chunk and will be executed until the answer is there, for policies with
            `PolicySpec.continues`; `None` if nothing is left, or if the answer is not to continue it.
        latency: control steps until the answer is there; where that is measured, those of the answer before.
    """

    observation: Observation
    instruction: str
    pair_id: str
    chunk_index: int
    noise_seed: int
    privileged: Privileged | None = None
    episode_id: str = ""
    past: tuple[Observation, ...] = ()
    rest: ActionChunk | None = None
    latency: int = 0


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What the loop must know about a policy before it starts.

    Attributes:
        name: name in tables and manifests.
        n_action_steps: actions of each chunk that are executed before the next observation.
        cameras: entries of `envs.base.CAMERAS` that it uses; empty for policies without images.
        privileged: whether it gets the ground-truth state.
        n_obs_steps: observations per request: those of the last control steps.
        memory: whether its output also depends on the earlier requests of the same episode. The first request of an
            episode has `chunk_index` 0 and must forget what an earlier attempt at the episode left.
        continues: whether it can continue the rest of its last chunk: real-time chunking, `PolicyInput.rest`.
        noise_floor: mean absolute difference between two answers to one request (action units); 0 if they are equal.
        state_std: standard deviation per state dimension in its training data; `None` if unknown.
        action_std: the same per action dimension, in the environment's units.
        state_limits: (lowest, highest) per state dimension that training data can have contained; `None` if unknown.
        action_limits: the same per action dimension, in the environment's units.
        image_size: height and width (px) of its training images; `None` if unknown.
        action_size: numbers of an action, as in the suite's `envs.interface.Interface`.
        state_size: numbers of the state that it is given.
        fingerprint: everything that its outputs depend on (checkpoint hash, dtypes, batch size ...), for the manifest.
    """

    name: str
    n_action_steps: int
    cameras: tuple[str, ...]
    privileged: bool = False
    n_obs_steps: int = 1
    memory: bool = False
    continues: bool = False
    noise_floor: float = 0.0
    state_std: tuple[float, ...] | None = None
    action_std: tuple[float, ...] | None = None
    state_limits: tuple[tuple[float, float], ...] | None = None
    action_limits: tuple[tuple[float, float], ...] | None = None
    image_size: tuple[int, int] | None = None
    fingerprint: tuple[tuple[str, Any], ...] = ()
    action_size: int = ACTION_SIZE
    state_size: int = STATE_SIZE


def repeated(observation: Observation, spec: PolicySpec) -> tuple[Observation, ...]:
    """`PolicyInput.past` of the first request of an episode: nothing came before, so the observation is repeated."""
    return (observation,) * (spec.n_obs_steps - 1)


class Policy(Protocol):
    """A policy. The output of `act` for an input depends on that input alone, not on its batch or on earlier calls.

    With `PolicySpec.memory` it depends on the earlier inputs of the same episode as well.
    """

    spec: PolicySpec

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Predict a chunk for each input, in order; each `float32[T, action_size]` with `T >= n_action_steps`."""


@dataclass(frozen=True)
class WorkerFacts:
    """Facts that must be equal for all workers of a run.

    Attributes:
        policy: the policy's spec.
        kernels: see `simeval.core.kernels.of_simulation`.
    """

    policy: PolicySpec
    kernels: dict[str, str]
