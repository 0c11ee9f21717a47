"""That a checkpoint's statistics arrive where they should, and that its other promises are kept or refused."""

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import broken_checkpoints as broken
import numpy as np
import pytest
from helpers import toy_spec

from envs.base import Observation
from envs.toy.env import ToyEnv
from simeval.core.errors import ConfigError
from simeval.policies.base import PolicyInput, PolicySpec
from simeval.policies.checkpoint.notes import notes
from simeval.policies.checkpoint.read import read
from simeval.policies.lerobot import LerobotPolicy, load
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import TraceRecorder

SEEN = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
REQUEST = PolicyInput(
    Observation({"agentview": SEEN[0], "wrist": SEEN[1]}, np.linspace(-1, 1, 8, dtype=np.float32), 0), "go", "", 0, 1
)


@pytest.fixture(scope="module")
def policy(tiny_smolvla) -> LerobotPolicy:
    return load(str(tiny_smolvla), device="cpu")


@pytest.fixture
def folder(tiny_smolvla, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_smolvla, tmp_path / "mine"))


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(str(folder), device="cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def act_checkpoint(folder: Path, **changes) -> Path:
    """A small ACT with random statistics, images' included."""
    import torch
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors

    torch.manual_seed(0)
    images = (f"{broken.IMAGES}image", f"{broken.IMAGES}image2")
    inputs = {key: PolicyFeature(type=FeatureType.VISUAL, shape=(3, 96, 96)) for key in images}
    config = ACTConfig(
        input_features={**inputs, "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(8,))},
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(7,))},
        **{"device": "cpu", "chunk_size": 20, "n_action_steps": 1, "pretrained_backbone_weights": None},
        **{"dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1, "use_vae": False},
        **changes,
    )
    sizes = {**dict.fromkeys(images, (3, 1, 1)), "observation.state": (8,), "action": (7,)}
    stats = {key: {"mean": torch.rand(size), "std": torch.rand(size) + 0.1} for key, size in sizes.items()}
    for part in (ACTPolicy(config), *make_act_pre_post_processors(config, dataset_stats=stats)):
        part.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("mode", ["MIN_MAX", "QUANTILES", "QUANTILE10"])
def test_other_modes_are_proven_as_well(folder, policy, mode):
    """Statistics of another kind that scale exactly as the saved ones do: the same actions come out."""
    low, high = {"MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}[mode]

    def convert(key):
        def change(values):
            mean, std = values.pop(f"{key}.mean"), values.pop(f"{key}.std")
            values.update({f"{key}.{low}": mean - std, f"{key}.{high}": mean + std})

        return change

    broken.tensors(broken.STATE_FILE, convert("observation.state"))(folder)
    broken.tensors(broken.ACTION_FILE, convert("action"))(folder)
    for kind, file, name in (
        ("STATE", broken.BEFORE, "normalizer_processor"),
        ("ACTION", broken.AFTER, "unnormalizer_processor"),
    ):
        broken.wrong_mode(mode, file, name, kind)(folder)
    (converted,) = load(str(folder), device="cpu").act([REQUEST])
    assert np.allclose(converted, policy.act([REQUEST])[0], atol=1e-4)


def test_statistics_that_do_not_arrive_are_noticed(folder, monkeypatch):
    from lerobot.processor import NormalizerProcessorStep

    monkeypatch.setattr(NormalizerProcessorStep, "load_state_dict", lambda self, state: None)
    assert "its preprocessor does not scale observation.state as its files say" in refusal(folder)


def test_action_statistics_that_do_not_arrive_are_noticed(folder, monkeypatch):
    from lerobot.processor import UnnormalizerProcessorStep

    monkeypatch.setattr(UnnormalizerProcessorStep, "load_state_dict", lambda self, state: None)
    assert "its postprocessor does not scale the actions back as its files say" in refusal(folder)


def test_a_value_that_is_renamed_after_it_should_be_scaled_is_noticed(folder):
    """All names and statistics are there, but the normalizer runs before the state gets its name."""

    def swap(pipeline):
        rename = pipeline["steps"].pop(0)
        rename["config"]["rename_map"] = {"state": "observation.state"}
        pipeline["steps"].append(rename)

    broken.edit(folder, broken.BEFORE, swap)
    assert "does not scale observation.state" in refusal(folder)


def test_statistics_in_the_json_are_the_ones_that_count(folder, policy):
    values = {"observation.state": {"mean": [0.0] * 8, "std": [1.0] * 8}}
    broken.step(broken.BEFORE, "normalizer_processor", lambda step: step["config"].update(stats=values))(folder)
    other = load(str(folder), device="cpu")
    assert other.spec.state_std == (1.0,) * 8
    assert not np.array_equal(other.act([REQUEST])[0], policy.act([REQUEST])[0])
    broken.step(
        broken.BEFORE,
        "normalizer_processor",
        lambda s: s["config"]["stats"]["observation.state"].update(std=[np.inf] * 8),
    )(folder)
    assert "observation.state.std in policy_preprocessor.json: normalizer_processor is not finite" in refusal(folder)


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64"])
def test_statistics_of_other_precisions_are_read_as_lerobot_does(folder, kind):
    import torch
    from safetensors.torch import load_file, save_file

    stds = []
    for file, key in ((broken.STATE_FILE, "observation.state.std"), (broken.ACTION_FILE, "action.std")):
        values = {name: value.to(getattr(torch, kind)) for name, value in load_file(folder / file).items()}
        save_file(values, folder / file)
        stds.append(values[key].float().tolist())
    spec = load(str(folder), device="cpu").spec  # compares what it reads with what the pipelines do
    assert [list(spec.state_std), list(spec.action_std)] == stds
    (scale,) = [scale for scale in read(str(folder)).scales if scale.key == "observation.state"]
    assert scale.high.tolist() == pytest.approx(stds[0], rel=1e-6)


def test_act_runs_and_its_images_statistics_are_proven(tmp_path):
    policy = load(str(act_checkpoint(tmp_path)), device="cpu")
    assert policy.act([REQUEST])[0].shape == (20, 7)
    file = next(tmp_path.glob("policy_preprocessor_*normalizer_processor.safetensors")).name
    broken.tensors(file, lambda values: broken.rename(values, f"{broken.IMAGES}image2", "elsewhere"))(tmp_path)
    assert f"no mean and std of {broken.IMAGES}image2, which MEAN_STD scales with" in refusal(tmp_path)


def test_an_average_over_earlier_chunks_is_refused(tmp_path):
    assert "averages each action over earlier chunks" in refusal(act_checkpoint(tmp_path, temporal_ensemble_coeff=0.01))


def test_a_declared_camera_that_nobody_feeds_changes_nothing(folder, policy):
    broken.third_camera(folder)
    other = load(str(folder), device="cpu")
    assert read(str(folder)).unfed == (f"{broken.IMAGES}camera3",)
    assert np.array_equal(other.act([REQUEST])[0], policy.act([REQUEST])[0])


def test_actions_relative_to_the_state_have_no_known_limits(folder, policy):
    broken.changes_relative_to_the_state(folder)
    spec = load(str(folder), device="cpu").spec
    assert policy.spec.action_limits is not None
    assert (spec.action_limits, spec.state_limits) == (None, policy.spec.state_limits)


@pytest.mark.parametrize(
    ("mean", "std", "noted"),
    [
        (0.5, 0.5, True),  # as often 0 as 1
        (0.46, 0.12, True),  # between the two
        (0.05, 0.218, True),  # nearly always 0
        (0.0, 1.0, False),  # -1 and 1
        (0.9, 0.436, False),  # nearly always 1, else -1
        (0.1, 0.5, False),
        (1.0, 0.0, False),
    ],
)
def test_a_gripper_from_0_to_1_is_told_from_one_that_opens(folder, mean, std, noted):
    for kind, value in (("mean", mean), ("std", std)):
        broken.tensors(broken.ACTION_FILE, broken.set_number(f"action.{kind}", 6, value))(folder)
    said = list(notes(read(str(folder)), steps_given=True, libero=True))
    assert any("gripper seems to go from 0 to 1" in line for line in said) == noted


# -- adapters ----------------------------------------------------------------------------------------------------


def test_an_adapter_without_peft_says_how_to_get_it(folder, monkeypatch):
    broken.adapter_beside_its_base(folder)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else find(name))
    said = refusal(folder)
    assert "is a LORA adapter of 'lerobot/smolvla_base'; peft is not installed: pip install 'simeval[peft]'" in said


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_an_adapter_runs_with_its_base_as_in_lerobot(tiny_smolvla, policy, tmp_path, place):
    peft = pytest.importorskip("peft", reason="the extra 'peft' is not installed")
    import torch
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class

    config = PreTrainedConfig.from_pretrained(tiny_smolvla)
    config.device, config.vlm_model_name = "cpu", str(tiny_smolvla / "vlm")
    base = get_policy_class("smolvla").from_pretrained(tiny_smolvla, config=config, strict=True)
    lora = peft.LoraConfig(r=4, lora_alpha=8, target_modules=r".*\.(q_proj|v_proj)", init_lora_weights=False)
    torch.manual_seed(3)
    wrapped = peft.get_peft_model(base, lora)
    folder = tmp_path / "adapter"
    wrapped.save_pretrained(folder)
    for file in (broken.CONFIG, broken.BEFORE, broken.AFTER, broken.STATE_FILE, broken.ACTION_FILE):
        shutil.copy(tiny_smolvla / file, folder)
    broken.configure(use_peft=True)(folder)
    if place == "inside":
        shutil.copytree(tiny_smolvla, folder / "base")
    saved = json.loads((folder / "adapter_config.json").read_text())
    named = str(tiny_smolvla) if place == "beside" else "lerobot/smolvla_base"
    (folder / "adapter_config.json").write_text(json.dumps(saved | {"base_model_name_or_path": named}))

    adapted = load(str(folder), device="cpu")
    (found,) = adapted.act([REQUEST])
    assert not np.allclose(found, policy.act([REQUEST])[0], atol=1e-2)
    assert dict(adapted.spec.fingerprint)["base"] == dict(policy.spec.fingerprint)["sha256"]
    theirs = LerobotPolicy(
        adapted._checkpoint, replace(adapted._parts, model=wrapped.eval()), device="cpu", batch_size=1
    )
    assert np.allclose(found, theirs.act([REQUEST])[0], atol=1e-4)


# -- what comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.zeros((4, 7), complex), "actions of type complex128, not real numbers"),
        (np.zeros((4, 7), bool), "actions of type bool, not real numbers"),
        (np.zeros((4, 7), object), "actions of type object, not real numbers"),
        (np.full((4, 7), np.nan), "not finite"),
        (np.full((4, 7), 1e300), "not finite"),
    ],
)
def test_actions_that_are_no_numbers_are_an_error_row(answer, said, recwarn):
    class Odd:
        spec = PolicySpec("odd", 4, ())

        def act(self, inputs):
            return [answer] * len(inputs)

    result = run_episode(toy_spec(), ToyEnv(0, 128), Odd(), TraceRecorder())
    assert (result.outcome, result.error_phase) == ("error", "policy")
    assert said in result.error_text
    assert list(recwarn) == []


def test_complex_actions_of_a_checkpoint_are_refused(tmp_path, monkeypatch):
    import dice_policy

    predict = dice_policy.DicePolicy.predict_action_chunk
    monkeypatch.setattr(dice_policy.DicePolicy, "predict_action_chunk", lambda *given: predict(*given) + 0j)
    assert "its actions are of type torch.complex64, not real numbers" in refusal(dice_policy.build(tmp_path))
