"""Hidden states of a real small SmolVLA: every layer, in order, without changing the prediction."""

import numpy as np
import pytest
from tiny_requests import request

from simeval.core.errors import ConfigError
from simeval.policies.hidden_states import readable
from simeval.policies.lerobot import load
from simeval.policies.scripted import ZeroPolicy


@pytest.fixture(scope="module")
def policy(tiny_smolvla):
    return load(str(tiny_smolvla), device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def read(policy):
    return policy.hidden_states([request(0), request(1), request(0, "open the drawer")])


def test_every_layer_is_there_in_order(policy, read):
    core = policy._parts.model.model.vlm_with_expert
    names = [layer.name for layer in read[0].layers]
    vlm, expert = core.num_vlm_layers, len(core.lm_expert.layers)
    assert names == ["vision", *(f"vlm {i}" for i in range(vlm + 1)), *(f"expert {i}" for i in range(expert + 1))]
    for layer in read[0].layers:
        assert (layer.regions is None) != (layer.actions is None)
        assert layer.pooled.ndim == 1
        if layer.regions is not None:
            assert layer.regions.shape[:3] == read[0].representation.attention.shape
        else:
            assert len(layer.actions) == policy.spec.n_action_steps


def test_the_prediction_is_unchanged_and_no_hook_stays(policy, read):
    inputs = [request(0), request(1), request(0, "open the drawer")]
    for chunk, one in zip(policy.act(inputs), read, strict=True):
        assert np.array_equal(chunk, one.representation.chunk)
    hooks = [module for module in policy._parts.model.modules() if module._forward_pre_hooks or module._forward_hooks]
    assert hooks == []


def test_the_last_layer_of_the_language_model_is_the_prefix_before_its_norm(policy, read):
    import torch

    norm = policy._parts.model.model.vlm_with_expert.get_vlm_model().text_model.norm
    last = [layer for layer in read[0].layers if layer.name.startswith("vlm")][-1]
    with torch.no_grad():
        normed = norm(torch.from_numpy(last.regions)).numpy()
    cameras, height, width, size = normed.shape
    rest = read[0].representation
    tokens = normed.reshape(cameras, height * width, size)
    for camera in range(cameras):
        start = next(i for i in range(len(rest.prefix)) if np.allclose(rest.prefix[i], tokens[camera, 0], atol=1e-4))
        assert np.allclose(rest.prefix[start : start + height * width], tokens[camera], atol=1e-4)


def test_words_reach_the_image_tokens_only_inside_the_language_model(read):
    one, other = read[0], read[2]
    same = {a.name: np.array_equal(a.pooled, b.pooled) for a, b in zip(one.layers, other.layers, strict=True)}
    assert same["vision"]
    assert same["vlm 0"]
    assert not any(same[name] for name in same if name.startswith("vlm") and name != "vlm 0")
    assert same["expert 0"], "before any layer it is sampling noise"
    assert not same["expert 1"]


def test_a_policy_without_layers_is_refused():
    with pytest.raises(ConfigError, match="does not expose representations"):
        readable(ZeroPolicy())
