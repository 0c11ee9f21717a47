"""Real-time chunking: the actions of lerobot's own processor, and nothing of it left for the next call."""

import json
import shutil
from dataclasses import replace

import families
import numpy as np
import pytest
import torch
from lerobot.processor import RelativeActionsProcessorStep

from envs import numerics
from envs.base import Observation
from simeval import EvalConfig, evaluate
from simeval.policies.base import PolicyInput
from simeval.policies.lerobot import LerobotPolicy, load
from simeval.policies.lerobot_rtc import can_continue

TEXT = "put the black bowl on the plate"


@pytest.fixture(scope="module")
def policy(tiny_smolvla) -> LerobotPolicy:
    """With torch's own choice of libraries, as lerobot runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(numerics.VARIABLE, numerics.NATIVE)
        return load(str(tiny_smolvla), device="cpu")


def request(index: int = 0, **changes) -> PolicyInput:
    random = np.random.default_rng(index)
    images = {camera: random.integers(0, 256, (96, 96, 3), np.uint8) for camera in ("agentview", "wrist")}
    state = random.normal(size=8).astype(np.float32)
    return replace(PolicyInput(Observation(images, state, 0), TEXT, "pair", 0, noise_seed=7 + index), **changes)


def lerobots(folder, rtc=None):
    """lerobot's network and pipelines, as its own scripts build them."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class, make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(folder)
    config.device, config.vlm_model_name, config.rtc_config = "cpu", str(folder / "vlm"), rtc
    model = get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)
    tokenizer = {"padding": "max_length", "tokenizer_name": str(folder / "vlm")}
    overrides = {"tokenizer_processor": tokenizer}
    return model, *make_pre_post_processors(config, pretrained_path=str(folder), preprocessor_overrides=overrides)


def batch_of(item, pre):
    images = {"image": "agentview", "image2": "wrist"}
    batch = {f"observation.images.{key}": item.observation.images[camera] for key, camera in images.items()}
    batch = {key: torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for key, image in batch.items()}
    return pre(
        batch | {"observation.state": torch.from_numpy(item.observation.state)[None], "task": [item.instruction]}
    )


@pytest.mark.parametrize("parameters", [{}, {"execution_horizon": 6, "max_guidance_weight": 3.0}])
def test_the_actions_are_those_of_lerobots_own_processor(policy, tiny_smolvla, tmp_path, parameters):
    from lerobot.policies.rtc.configuration_rtc import RTCConfig

    mine = policy
    if parameters:
        folder = shutil.copytree(tiny_smolvla, tmp_path / "mine")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"rtc_config": {"enabled": False, **parameters}}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(numerics.VARIABLE, numerics.NATIVE)
            mine = load(str(folder), device="cpu")
    first, second = request(0), request(1)
    chunk = mine.act([first])[0]
    continued = mine.act([replace(second, rest=chunk[10:], latency=3)])[0]

    model, pre, post = lerobots(tiny_smolvla, RTCConfig(**parameters))
    noise = [torch.randn(50, 32, generator=torch.Generator().manual_seed(seed)) for seed in (7, 8)]
    with torch.no_grad():
        raw = model.predict_action_chunk(batch_of(first, pre), noise=noise[0][None])
        guided = model.predict_action_chunk(
            batch_of(second, pre), noise=noise[1][None], inference_delay=3, prev_chunk_left_over=raw[0, 10:]
        )
    np.testing.assert_allclose(chunk, post(raw)[0].numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(continued, post(guided)[0].numpy(), rtol=0, atol=1e-5)
    assert np.abs(continued - mine.act([second])[0]).mean() > 1e-2


def test_an_answer_begins_as_the_rest_goes_on(policy):
    chunk, alone = policy.act([request(0)])[0], policy.act([request(1)])[0]
    continued = policy.act([request(1, rest=chunk[10:], latency=4)])[0]
    far, near = (np.abs(new[:4, :6] - chunk[10:14, :6]).mean() for new in (alone, continued))
    assert near < far / 2


def test_neighbours_and_later_calls_do_not_notice(policy):
    chunk = policy.act([request(0)])[0]
    plain, continuing = request(1), request(2, rest=chunk[10:].copy(), latency=2)
    before = [policy.act([item])[0] for item in (plain, continuing)]
    together = policy.act([plain, continuing, plain])
    assert all(np.array_equal(a, b) for a, b in zip(together, [*before, before[0]], strict=True))
    assert np.array_equal(continuing.rest, chunk[10:])


def test_a_type_without_it_does_not_claim_it(tmp_path):
    assert not load(str(families.save_act(tmp_path)), device="cpu").spec.continues


def test_through_the_front_door_rows_are_the_same_for_any_number_of_workers(tiny_smolvla, tmp_path):
    def run(name, **how):
        config = EvalConfig(
            suite=("toy",), tasks="0", init_states="0", policy=str(tiny_smolvla), out=str(tmp_path / name),
            perturb=("latency:3/mode=async", "latency:3/mode=rtc"), **how,
        )  # fmt: skip
        return evaluate(config).results

    serial, parallel = run("serial", workers=0), run("parallel", workers=2)
    _, asynchronous, continued = serial
    assert [result.error_text for result in serial] == [None] * 3
    assert len({result.state_digest for result in serial}) == 3
    assert (
        continued.execution.latencies == asynchronous.execution.latencies == (3,) * len(continued.execution.latencies)
    )
    assert [result.state_digest for result in serial] == [result.state_digest for result in parallel]


@pytest.mark.parametrize("kind", ["pi0", "pi05"])
def test_other_flow_matching_types_continue_too(kind, hub, tmp_path):
    family = next(family for family in families.FAMILIES if family.kind == kind and family.tried == families.SHRUNK)
    family.make(tmp_path / "mine")
    with family.shrunk():
        policy = load(str(tmp_path / "mine"), device="cpu")
        images = {camera: np.zeros((224, 224, 3), np.uint8) for camera in policy.spec.cameras}
        now = Observation(images, np.zeros(8, np.float32), 0)
        item = PolicyInput(now, TEXT, "pair", 0, noise_seed=3)
        chunk, alone = policy.act([item])[0], policy.act([replace(item, noise_seed=4)])[0]
        continued = policy.act([replace(item, noise_seed=4, rest=chunk[6:], latency=3)])[0]
    assert policy.spec.continues
    far, near = (np.abs(new[:3] - chunk[6:9]).mean() for new in (alone, continued))
    assert near < far
    (relative,) = (step for step in policy._parts.preprocess.steps if isinstance(step, RelativeActionsProcessorStep))
    relative.enabled = True
    assert not can_continue(policy._parts)
