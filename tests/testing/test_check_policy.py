"""`check_policy` accepts policies that keep the contract, and names the law that another breaks."""

import random
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from simeval.policies.base import PolicySpec
from simeval.policies.scripted import RandomPolicy, SeekerPolicy, ZeroPolicy
from simeval.testing import check_policy

SPEC = PolicySpec("mine", n_action_steps=4, cameras=("agentview", "wrist"))


def answer(request, size=4):
    """A chunk that depends on everything that an input has."""
    rng = np.random.default_rng(request.noise_seed)
    chunk = rng.uniform(-1, 1, (size, 7)).astype(np.float32)
    for observation in (*request.past, request.observation):
        for image in observation.images.values():
            chunk += np.float32(image.mean() / 255)
        chunk[:, :7] += observation.state[:7]
    return chunk + np.float32(len(request.instruction))


class Good:
    spec = SPEC

    def act(self, inputs):
        return [answer(request) for request in inputs]


class History(Good):
    spec = replace(SPEC, n_obs_steps=3)


class Memory(Good):
    spec = replace(SPEC, memory=True)

    def __init__(self):
        self.sums = {}

    def act(self, inputs):
        chunks = []
        for request in inputs:
            if request.chunk_index == 0:
                self.sums[request.episode_id] = np.zeros((4, 7), np.float32)
            self.sums[request.episode_id] = self.sums[request.episode_id] + answer(request)
            chunks.append(self.sums[request.episode_id].copy())
        return chunks


@pytest.mark.parametrize(
    "policy",
    [Good(), History(), Memory(), ZeroPolicy(), RandomPolicy(), SeekerPolicy()],
    ids=lambda p: type(p).__name__,
)
def test_a_policy_that_keeps_the_contract_passes(policy):
    check_policy(policy, image_size=64)


class NoSpec(Good):
    spec = "mine"


class NoCamera(Good):
    spec = replace(SPEC, cameras=("front",))


class TooShort(Good):
    def act(self, inputs):
        return [answer(request, 3) for request in inputs]


class SixNumbers(Good):
    def act(self, inputs):
        return [answer(request)[:, :6] for request in inputs]


class Double(Good):
    def act(self, inputs):
        return [answer(request).astype(float) for request in inputs]


class NotFinite(Good):
    def act(self, inputs):
        return [answer(request) * np.float32(np.nan) for request in inputs]


class Masked(Good):
    def act(self, inputs):
        return [np.ma.masked_greater(answer(request), 0.5) for request in inputs]


class OneForAll(Good):
    def act(self, inputs):
        return [answer(inputs[0])]


class Nothing(Good):
    def act(self, inputs):
        return None


class Writes(Good):
    def act(self, inputs):
        chunks = super().act(inputs)
        for request in inputs:
            request.observation.images["wrist"][0, 0] = 7
        return chunks


class Random(Good):
    def act(self, inputs):
        return [answer(request) + np.float32(random.random()) for request in inputs]


class Mean(Good):
    """As batch normalisation in training mode."""

    def act(self, inputs):
        chunks = super().act(inputs)
        return [chunk - np.mean(chunks, axis=0, dtype=np.float32) for chunk in chunks] if len(chunks) > 1 else chunks


class Place(Good):
    def act(self, inputs):
        return [answer(request) + np.float32(1e-3 * (index > 0)) for index, request in enumerate(inputs)]


class Queue(Good):
    """As `select_action`: one prediction is handed out over several calls."""

    def __init__(self):
        self.left = deque()

    def act(self, inputs):
        if len(inputs) > 1:
            return super().act(inputs)
        if inputs[0].chunk_index == 0 or not self.left:
            self.left.extend([answer(inputs[0])] * 2)
        return [self.left.popleft()]


class Counter(Good):
    def __init__(self):
        self.calls = 0

    def act(self, inputs):
        self.calls += 1
        return [answer(request) + np.float32(self.calls) for request in inputs]


class Reuses(Good):
    def __init__(self):
        self.out = np.zeros((4, 7), np.float32)

    def act(self, inputs):
        if len(inputs) > 1:
            return super().act(inputs)
        self.out[:] = answer(inputs[0])
        return [self.out]


class Undeclared(Memory):
    spec = SPEC


class Mixed(Memory):
    """Keeps one memory for all episodes."""

    def act(self, inputs):
        return super().act([replace(request, episode_id="same") for request in inputs])


@pytest.mark.parametrize(
    ("policy", "law"),
    [
        (NoSpec, "must be a PolicySpec, not a str"),
        (NoCamera, "spec.cameras is ('front',)"),
        (TooShort, "shape (>=4, 7), not (3, 7)"),
        (SixNumbers, "shape (>=4, 7), not (4, 6)"),
        (Double, "must be float32, not float64"),
        (NotFinite, "must be finite"),
        (Masked, "must be real numbers: it returned an action that is masked"),
        (OneForAll, "1 chunks for 3 inputs"),
        (Nothing, "must return a list, not a NoneType"),
        (Writes, "writes into the arrays of its input"),
        (Random, "draws random numbers of its own"),
        (Mean, "depends on the rest of the batch"),
        (Place, "depends on the rest of the batch"),
        (Queue, "earlier requests of the episode|keeps state"),
        (Counter, "keeps state between calls"),
        (Reuses, "reuses the array"),
        (Undeclared, "earlier requests of the episode"),
        (Mixed, "depends on the rest of the batch"),
    ],
)
def test_the_law_that_a_policy_breaks_is_named(policy, law):
    with pytest.raises(AssertionError) as raised:
        check_policy(policy(), image_size=64)
    assert any(part in str(raised.value) for part in law.split("|")), raised.value
    assert "\n" not in str(raised.value)


def test_global_generators_are_left_as_they_were():
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    check_policy(Good(), image_size=64)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before  # noqa: NPY002
