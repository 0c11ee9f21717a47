"""What is read from a SmolVLA: against the network's own intermediate results, and without leaving a trace on it."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from envs.base import Observation
from simeval.core.errors import ConfigError
from simeval.policies.base import PolicyInput
from simeval.policies.lerobot import LerobotPolicy, load
from simeval.policies.representations import Representation, representing
from simeval.policies.scripted import ZeroPolicy

TEXT = "put the black bowl on the plate"
ARRAYS = ("chunk", "vision", "language", "language_mask", "prefix", "prefix_mask", "attention")


@pytest.fixture(scope="module")
def policy(tiny_smolvla) -> LerobotPolicy:
    return load(str(tiny_smolvla), device="cpu", batch_size=3)


def request(index: int = 0, text: str = TEXT) -> PolicyInput:
    random = np.random.default_rng(index)
    images = {camera: random.integers(0, 256, (128, 128, 3), np.uint8) for camera in ("agentview", "wrist")}
    state = random.normal(size=8).astype(np.float32)
    return PolicyInput(Observation(images, state, 0), text, "pair", 0, noise_seed=99 + index)


def same(a: Representation, b: Representation) -> bool:
    arrays = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)
    return arrays and (a.attention_language, a.attention_state) == (b.attention_language, b.attention_state)


def hooks_on(policy: LerobotPolicy) -> int:
    modules = list(policy._parts.model.modules())
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


def other_picture(item: PolicyInput, camera: str, where=np.s_[:]) -> PolicyInput:
    images = {name: image.copy() for name, image in item.observation.images.items()}
    images[camera][where] = 255 - images[camera][where]
    return replace(item, observation=replace(item.observation, images=images))


def test_the_chunk_is_that_of_act_and_nothing_stays(policy):
    items = [request(index) for index in range(5)]
    before = policy.act(items)
    assert all(np.array_equal(chunk, r.chunk) for chunk, r in zip(before, policy.represent(items), strict=True))
    assert np.array_equal(before, policy.act(items))
    assert hooks_on(policy) == 0
    assert policy.represent([]) == []


@pytest.mark.parametrize("part", ["vlm_with_expert", "action_time_mlp_in"], ids=["prefix", "denoising"])
def test_nothing_stays_after_an_error(policy, part):
    from torch import overrides

    def fail(*_):
        raise RuntimeError("out of memory")

    before = policy.act([request()])[0]
    flow = policy._parts.model.model
    broken = flow.vlm_with_expert.get_vlm_model().connector if part == "vlm_with_expert" else flow.action_time_mlp_in
    handle = broken.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        policy.represent([request()])
    handle.remove()
    assert hooks_on(policy) == 0
    assert overrides._get_current_function_mode_stack() == []
    assert np.array_equal(policy.represent([request()])[0].chunk, before)


def test_shapes_and_masks(policy):
    found = policy.represent([request(), request(text="open the drawer")])
    first, second = found
    assert first.cameras == ("agentview", "wrist")
    assert first.vision.shape == (2, 4, 128)
    assert first.language.shape == (48, 128)
    assert first.prefix.shape == (2 * 4 + 48 + 1, 128)
    assert first.attention.shape == (2, 2, 2)
    for r in found:
        assert all(getattr(r, name).dtype == np.float32 for name in ("vision", "language", "prefix", "attention"))
        assert all(np.isfinite(getattr(r, name)).all() for name in ARRAYS)
        assert r.prefix_mask.sum() == 2 * 4 + r.language_mask.sum() + 1
        assert r.attention.sum() + r.attention_language + r.attention_state == pytest.approx(1)
        assert min(r.attention.min(), r.attention_language, r.attention_state) > 0
    # lerobot adds a line break to the instruction's words.
    assert (first.language_mask.sum(), second.language_mask.sum()) == (8, 4)


def test_neighbours_and_position_change_nothing(policy):
    items = [request(index, text) for index, text in enumerate([TEXT, "open the drawer", "x " * 90, TEXT])]
    alone = [policy.represent([item])[0] for item in items]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0]):
        for index, found in zip(order, policy.represent([items[index] for index in order]), strict=True):
            assert same(found, alone[index])
    assert not same(alone[0], alone[3])


def test_a_picture_changes_its_own_camera_at_its_own_place(policy):
    places = [(camera, i, j) for camera in (0, 1) for i in (0, 1) for j in (0, 1)]
    items = [
        other_picture(request(), ("agentview", "wrist")[camera], np.s_[64 * i : 64 * i + 64, 64 * j : 64 * j + 64])
        for camera, i, j in places
    ]
    clean, *changed = policy.represent([request(), *items])
    assert clean.cameras == ("agentview", "wrist")
    for (camera, i, j), found in zip(places, changed, strict=True):
        assert np.array_equal(found.vision[1 - camera], clean.vision[1 - camera])
        change = np.linalg.norm(found.vision[camera] - clean.vision[camera], axis=1)
        assert change.argmax() == 2 * i + j
        assert np.array_equal(found.language, clean.language)


def test_words_and_state_change_what_hears_of_them(policy):
    clean = policy.represent([request()])[0]
    told = policy.represent([request(text="open the drawer")])[0]
    assert np.array_equal(told.vision, clean.vision)
    assert not np.array_equal(told.language, clean.language)
    assert not np.array_equal(told.prefix, clean.prefix)
    moved = request()
    moved = replace(moved, observation=replace(moved.observation, state=moved.observation.state + 1))
    moved = policy.represent([moved])[0]
    assert np.array_equal(moved.vision, clean.vision)
    assert np.array_equal(moved.language, clean.language)
    # The state comes last, and nothing before it looks at it.
    differs = np.abs(moved.prefix - clean.prefix).max(1) > 0
    assert list(np.flatnonzero(differs & clean.prefix_mask)) == [len(differs) - 1]


def written_out(policy: LerobotPolicy, item: PolicyInput, monkeypatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probabilities of each attention of the action expert and what lerobot made of them, recomputed step by step."""
    import torch

    core = policy._parts.model.model.vlm_with_expert
    original, found = core.eager_attention_forward, []

    def watched(mask, batch, width, query, key, value):
        out = original(mask, batch, width, query, key, value)
        if query.shape[1] == 50:
            groups = query.shape[2] // key.shape[2]
            scores = torch.einsum("bqhd,bkhd->bhqk", query.float(), key.float().repeat_interleave(groups, 2))
            scores = (scores / width**0.5).masked_fill(~mask[:, None], -torch.inf)
            shares = scores.exp() / scores.exp().sum(-1, keepdim=True)
            again = torch.einsum("bhqk,bkhd->bqhd", shares, value.repeat_interleave(groups, 2)).reshape(out.shape)
            torch.testing.assert_close(again, out, rtol=1e-4, atol=1e-4)
            found.append(shares[0].numpy())
        return out

    with monkeypatch.context() as patch:
        patch.setattr(core, "eager_attention_forward", watched)
        policy.act([item])
    return found


def test_attention_is_that_of_the_cross_attention_layers_at_the_first_step(policy, monkeypatch):
    shares = written_out(policy, request(), monkeypatch)
    # Ten steps; every second of the four layers also attends to the actions themselves.
    assert [part.shape[-1] for part in shares] == [57 + 50, 57, 57 + 50, 57] * 10
    expected = np.mean([shares[k][:, :10].mean((0, 1)) for k in (1, 3)], 0)
    later = np.mean([shares[k][:, :10].mean((0, 1)) for k in (37, 39)], 0)
    found = policy.represent([request()])[0]
    np.testing.assert_allclose(found.attention.ravel(), expected[:8], rtol=1e-5)
    assert found.attention_language == pytest.approx(expected[8:56].sum(), rel=1e-5)
    assert found.attention_state == pytest.approx(expected[56], rel=1e-5)
    assert np.abs(later - expected).max() > 1e-3


def pad_masks(policy: LerobotPolicy, item: PolicyInput, monkeypatch) -> np.ndarray:
    flow = policy._parts.model.model
    original, found = flow.embed_prefix, []

    def watched(*args, **options):
        result = original(*args, **options)
        found.append(result[1][0].numpy())
        return result

    with monkeypatch.context() as patch:
        patch.setattr(flow, "embed_prefix", watched)
        policy.act([item])
    return found[0]


def test_special_tokens_absent_cameras_and_padding_are_told_apart(tmp_path, monkeypatch):
    import tiny_smolvla
    from lerobot.configs import FeatureType, PolicyFeature

    camera = PolicyFeature(type=FeatureType.VISUAL, shape=(3, 256, 256))
    inputs = {f"observation.images.{name}": camera for name in ("image", "image2", "empty_camera_0")}
    inputs["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(8,))
    settings = {"add_image_special_tokens": True, "empty_cameras": 1, "prefix_length": 80, "input_features": inputs}
    policy = load(str(tiny_smolvla.build(tmp_path / "policy", **settings)), device="cpu")
    found = policy.represent([request()])[0]
    assert np.array_equal(found.chunk, policy.act([request()])[0])
    assert np.array_equal(found.prefix_mask, pad_masks(policy, request(), monkeypatch))
    assert found.vision.shape == (2, 4, 128)
    assert found.language.shape == (48, 128)
    shares = written_out(policy, request(), monkeypatch)
    shares = np.mean([shares[k][:, :10].mean((0, 1)) for k in (1, 3)], 0)
    # Each picture has two tokens before and one behind it.
    np.testing.assert_allclose(found.attention.ravel(), shares[[*range(2, 6), *range(9, 13)]], rtol=1e-5)
    assert found.attention_language == pytest.approx(shares[21:69].sum(), rel=1e-5)
    assert found.attention_state == pytest.approx(shares[69], rel=1e-5)
    assert 0.3 < found.attention.sum() + found.attention_language + found.attention_state < 0.99


def test_without_cross_attention_layers_all_layers_count(tmp_path, monkeypatch):
    import tiny_smolvla

    checkpoint = tiny_smolvla.build(tmp_path / "policy", attention_mode="self_attn")
    policy = load(str(checkpoint), device="cpu")
    found = policy.represent([request()])[0]
    assert np.array_equal(found.chunk, policy.act([request()])[0])
    shares = written_out(policy, request(), monkeypatch)
    assert {part.shape[-1] for part in shares} == {57 + 50}
    expected = np.mean([part[:, :10].mean((0, 1)) for part in shares[:4]], 0)
    np.testing.assert_allclose(found.attention.ravel(), expected[:8], rtol=1e-5)
    assert found.attention.sum() + found.attention_language + found.attention_state < 0.99


def test_the_saved_rename_map_is_honoured(tiny_smolvla, tmp_path):
    """Trained with the cameras the other way round."""
    import json
    import shutil

    images, folder = "observation.images.", shutil.copytree(tiny_smolvla, tmp_path / "mine")
    for name in ("config.json", "policy_preprocessor.json"):
        text = (folder / name).read_text()
        text = text.replace(images + "image2", images + "camera2").replace(images + "image", images + "camera1")
        values = json.loads(text)
        if name == "policy_preprocessor.json":
            renames = {images + "image2": images + "camera1", images + "image": images + "camera2"}
            values["steps"][0]["config"]["rename_map"] = renames
        (folder / name).write_text(json.dumps(values))
    policy = load(str(folder), device="cpu")
    clean, wrist = (policy.represent([item])[0] for item in (request(), other_picture(request(), "wrist")))
    assert clean.cameras == ("wrist", "agentview")
    assert np.array_equal(wrist.vision[1], clean.vision[1])
    assert not np.array_equal(wrist.vision[0], clean.vision[0])


def test_the_bundled_policy_is_read():
    policy = load("bundled", device="cpu")
    assert representing(policy) is policy
    found = policy.represent([request()])[0]
    assert found.attention.shape == (2, 4, 4)
    assert prod(found.vision.shape) == 2 * 16 * 192
    assert np.array_equal(found.chunk, policy.act([request()])[0])


def test_other_policies_say_that_they_cannot(tmp_path):
    import dice_policy

    dice = load(str(dice_policy.build(tmp_path / "dice")), device="cpu")
    with pytest.raises(ConfigError, match="policy 'dice' does not expose representations: only smolvla does"):
        dice.represent([request()])
    with pytest.raises(ConfigError, match="policy 'zero' does not expose representations: only smolvla does"):
        representing(ZeroPolicy())
