"""The laws that every policy must keep, so that rows are reproducible and pairs are fair."""

import copy
import random
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.base import Observation
from simeval.policies.base import ActionChunk, Policy, PolicyInput, PolicySpec, number_fault
from simeval.policies.spec_check import spec_fault

EPISODES = 3
"""Episodes of the test; more than two, so that a batch has a middle."""
CHUNKS = 3
"""Chunks of each episode."""


def check_policy(policy: Policy, *, image_size: int = 256) -> None:
    """Check a policy against the contract of `simeval.policies.base.Policy`, with random observations.

    Args:
        policy: the policy, loaded.
        image_size: side of the images (px).

    Raises:
        AssertionError: it breaks a law; says which and how.
    """
    _Check(policy, image_size).run()


class _Check:
    """The laws, for one policy."""

    def __init__(self, policy: Policy, image_size: int) -> None:
        spec = getattr(policy, "spec", None)
        _law(isinstance(spec, PolicySpec), f"its spec must be a PolicySpec, not a {type(spec).__name__}")
        fault = spec_fault(policy.spec)
        _law(fault is None, f"its spec is not valid: spec.{fault}")
        _law(not policy.spec.privileged, "it takes the simulator's state, which only an episode has: run one instead")
        self._policy, self._size = policy, image_size
        self._episodes = [self._episode(index) for index in range(EPISODES)]

    def run(self) -> None:
        """Check every law.

        Raises:
            AssertionError: one is broken.
        """
        self._unchanged_inputs()
        self._kept_answers()
        apart = self._seeded(1)
        self._same(apart, self._seeded(1), "asked again, it answers otherwise: it keeps state between calls")
        self._same(apart, self._seeded(2), "it draws random numbers of its own; use the noise_seed of the input")
        if not self._policy.spec.memory:
            self._any_order(apart)
        together = self._play(self._episodes)
        self._same(apart, together, "its answer depends on the rest of the batch; give each call one size")
        backwards = self._play(self._episodes[::-1])[::-1]
        self._same(apart, backwards, "its answer depends on an input's place in the batch")

    def _episode(self, index: int) -> list[PolicyInput]:
        """The requests of one episode."""
        spec, rng = self._policy.spec, np.random.default_rng(index)
        steps = CHUNKS * spec.n_action_steps + spec.n_obs_steps
        seen = [self._observation(rng, step) for step in range(steps)]
        requests = []
        for chunk in range(CHUNKS):
            now = chunk * spec.n_action_steps
            past = [seen[max(0, now - age)] for age in range(spec.n_obs_steps - 1, 0, -1)]
            requests.append(
                PolicyInput(
                    observation=seen[now],
                    instruction=f"pick up object {index} and place it on the plate",
                    pair_id=f"check/{index}",
                    chunk_index=chunk,
                    noise_seed=int(rng.integers(2**63)),
                    episode_id=f"check/{index}/none",
                    past=tuple(past),
                )
            )
        return requests

    def _observation(self, rng: np.random.Generator, step: int) -> Observation:
        images = {c: rng.integers(0, 256, (self._size, self._size, 3), np.uint8) for c in self._policy.spec.cameras}
        return Observation(images, rng.uniform(-0.5, 0.5, self._policy.spec.state_size).astype(np.float32), step)

    def _play(self, episodes: Sequence[list[PolicyInput]]) -> list[list[ActionChunk]]:
        """The answers to each episode's requests, the episodes in one batch."""
        answers: list[list[ActionChunk]] = [[] for _ in episodes]
        for requests in zip(*episodes, strict=True):
            for episode, chunk in zip(answers, self._act(list(requests)), strict=True):
                episode.append(np.array(chunk))
        return answers

    def _seeded(self, seed: int) -> list[list[ActionChunk]]:
        """The answers to each episode alone, after seeding every global generator; their states are restored."""
        torch, before = sys.modules.get("torch"), (np.random.get_state(), random.getstate())  # noqa: NPY002
        torch_before = torch.get_rng_state() if torch is not None else None
        try:
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            if torch is not None:
                torch.manual_seed(seed)
            return [self._play([episode])[0] for episode in self._episodes]
        finally:
            np.random.set_state(before[0])  # noqa: NPY002
            random.setstate(before[1])
            if torch is not None:
                torch.set_rng_state(torch_before)

    def _act(self, inputs: list[PolicyInput]) -> list[NDArray[np.float32]]:
        """Ask for chunks and check their form."""
        chunks = self._policy.act(inputs)
        _law(isinstance(chunks, Sequence | np.ndarray), f"act must return a list, not a {type(chunks).__name__}")
        _law(len(chunks) == len(inputs), f"act returned {len(chunks)} chunks for {len(inputs)} inputs")
        size = self._policy.spec.n_action_steps
        for chunk in chunks:
            fault = number_fault(chunk)
            _law(fault is None, f"a chunk must be real numbers: {fault}")
            array = np.asarray(chunk)
            _law(array.dtype == np.float32, f"a chunk must be float32, not {array.dtype}")
            fits = array.ndim == 2 and array.shape[0] >= size and array.shape[1] == self._policy.spec.action_size
            _law(fits, f"a chunk must have shape (>={size}, {self._policy.spec.action_size}), not {array.shape}")
            _law(bool(np.isfinite(array).all()), "a chunk must be finite")
        return list(chunks)

    def _unchanged_inputs(self) -> None:
        request = self._episodes[0][0]
        before = copy.deepcopy(request)
        self._act([request])
        same = all(
            np.array_equal(one, other)
            for seen, kept in zip(_observations(request), _observations(before), strict=True)
            for one, other in zip(_arrays(seen), _arrays(kept), strict=True)
        )
        _law(same, "it writes into the arrays of its input; the next user of them would see the change")

    def _any_order(self, expected: list[list[ActionChunk]]) -> None:
        """Chunks asked in another order, so that an action queue or a counter shows."""
        backwards = [[self._act([request])[0] for request in reversed(episode)][::-1] for episode in self._episodes]
        self._same(
            expected,
            backwards,
            "its answer depends on earlier requests of the episode; return whole chunks instead of an action queue, or "
            "set spec.memory if it is meant",
        )

    def _kept_answers(self) -> None:
        """Answers must stay as they are when the next ones are computed."""
        first = self._act([self._episodes[0][0]])[0]
        before = np.array(first)
        self._act([replace(self._episodes[1][0])])
        _law(np.array_equal(first, before), "it reuses the array of its last answer; return a new one")

    def _same(self, expected: list[list[ActionChunk]], actual: list[list[ActionChunk]], law: str) -> None:
        pairs = [pair for one, other in zip(expected, actual, strict=True) for pair in zip(one, other, strict=True)]
        shapes = all(one.shape == other.shape for one, other in pairs)
        _law(shapes, f"{law} (chunks of other lengths)")
        difference = max(float(np.abs(one - other).max()) for one, other in pairs)
        same = all(one.tobytes() == other.tobytes() for one, other in pairs)
        _law(same, f"{law} (largest difference {difference:.2g})")


def _observations(request: PolicyInput) -> tuple[Observation, ...]:
    return (*request.past, request.observation)


def _arrays(observation: Observation) -> tuple[NDArray[np.generic], ...]:
    return (*observation.images.values(), observation.state)


def _law(holds: object, text: str) -> None:
    if not holds:
        raise AssertionError(f"policy: {text}")
