"""What a chunk costs beside its forward passes: the prefix is computed once, and no module is visited for nothing."""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from envs.base import Observation
from simeval.policies import bundled
from simeval.policies.base import PolicyInput
from simeval.policies.lerobot import LerobotPolicy, load

TEXTS = ("put the black bowl on the plate", "open the top drawer and put the bowl inside")


class Pass(NamedTuple):
    """One pass through the transformers: tokens of prefix and suffix, and those in the cache before and after."""

    prefix: int
    suffix: int
    cached: int
    left: int


@pytest.fixture(scope="module", params=["tiny", "bundled"])
def policy(request, tiny_smolvla) -> LerobotPolicy:
    folder = tiny_smolvla if request.param == "tiny" else bundled.POLICIES[bundled.NAME].folder
    return load(str(folder), device="cpu", batch_size=2)


def item(policy: LerobotPolicy, seed: int, size: int | None = None) -> PolicyInput:
    random = np.random.default_rng(seed)
    shape = (size, size, 3) if size else (*policy.spec.image_size, 3)
    images = {camera: random.integers(0, 256, shape, np.uint8) for camera in policy.spec.cameras}
    state = random.normal(0, 0.1, policy.spec.state_size).astype(np.float32)
    return PolicyInput(Observation(images, state, 0), TEXTS[seed % 2], "pair", 0, noise_seed=seed)


def length(cache) -> int:
    return cache.get_seq_length() if cache is not None else 0


def passes_of(policy: LerobotPolicy, inputs: list[PolicyInput], monkeypatch) -> list[Pass]:
    """The passes that a call makes."""
    network, found = policy._parts.model.model.vlm_with_expert, []
    forward = network.forward

    def watched(*, inputs_embeds, past_key_values, **named):
        before = length(past_key_values)
        answer = forward(inputs_embeds=inputs_embeds, past_key_values=past_key_values, **named)
        prefix, suffix = (0 if tokens is None else tokens.shape[1] for tokens in inputs_embeds)
        found.append(Pass(prefix, suffix, before, length(answer[1])))
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(network, "forward", watched)
        policy.act(inputs)
    return found


def test_denoising_reads_the_prefix_from_the_cache(policy, monkeypatch):
    chunk, steps = (dict(policy.spec.fingerprint)[name] for name in ("chunk_size", "num_steps"))
    filling, *denoising = passes_of(policy, [item(policy, 0)], monkeypatch)
    tokens = filling.prefix
    assert tokens > chunk, "two images and a text"
    assert (filling.suffix, filling.cached, filling.left) == (0, 0, tokens)
    # No pass has tokens of the prefix again, and each finds the prefix alone: what the last one appended is gone.
    assert [(one.prefix, one.suffix, one.cached) for one in denoising] == [(0, chunk, tokens)] * steps


def test_images_are_encoded_once_for_a_chunk(policy, monkeypatch):
    encoder, calls = policy._parts.model.model.vlm_with_expert, Counter()
    embed = encoder.embed_image
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "embed_image", lambda image: calls.update(images=1) or embed(image))
        policy.act([item(policy, 0)])
    assert calls["images"] == len(policy.spec.cameras)


def test_nothing_is_kept_from_one_chunk_to_the_next(policy):
    inputs = [item(policy, seed) for seed in range(4)] + [item(policy, 1, size=64), item(policy, 2, size=64)]
    inputs.append(replace(inputs[0], instruction=TEXTS[1]))
    inputs.append(replace(inputs[0], observation=replace(inputs[0].observation, state=inputs[1].observation.state)))
    alone = [policy.act([one])[0] for one in inputs]
    for order in ([7, 0, 6, 4, 1, 5, 2, 3], [0, 0, 6, 7, 4, 4]):
        for index in order:
            assert np.array_equal(policy.act([inputs[index]])[0], alone[index])
    assert len({one.tobytes() for one in alone}) == len(alone), "every input matters"


def test_modules_are_visited_again_only_after_training(policy, monkeypatch):
    import torch

    visited = Counter()
    train = torch.nn.Module.train
    model, before = policy._parts.model, policy.act([item(policy, 0)])[0]
    monkeypatch.setattr(torch.nn.Module, "train", lambda self, mode=True: visited.update(calls=1) or train(self, mode))
    assert np.array_equal(policy.act([item(policy, 0)])[0], before)
    assert visited["calls"] == 0
    model.train()
    assert any(module.training for module in model.modules())
    visited.clear()
    assert np.array_equal(policy.act([item(policy, 0)])[0], before)
    assert visited["calls"] > 0
    assert not any(module.training for module in model.modules())
