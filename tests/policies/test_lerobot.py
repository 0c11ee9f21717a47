"""Real lerobot checkpoints (a tiny SmolVLA, a small ACT, a plugin) through the adapter."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs import numerics
from envs.base import Observation
from simeval.core.errors import ConfigError
from simeval.policies.base import PolicyInput
from simeval.policies.lerobot import LerobotPolicy, load
from simeval.policies.registry import PolicyChoice, batch_note, load_policy

TEXT = "put the black bowl on the plate"
IMAGES = "observation.images."


@pytest.fixture(scope="module")
def policy(tiny_smolvla) -> LerobotPolicy:
    return load(str(tiny_smolvla), device="cpu", batch_size=3)


@pytest.fixture
def checkpoint(tiny_smolvla, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_smolvla, tmp_path / "mine"))


def request(index: int = 0, text: str = TEXT) -> PolicyInput:
    random = np.random.default_rng(index)
    images = {camera: random.integers(0, 256, (96, 96, 3), np.uint8) for camera in ("agentview", "wrist")}
    state = random.normal(size=8).astype(np.float32)
    return PolicyInput(Observation(images, state, 0), text, "pair", 0, noise_seed=2**63 - 1 - index)


def swap_cameras(item: PolicyInput) -> PolicyInput:
    images = {"agentview": item.observation.images["wrist"], "wrist": item.observation.images["agentview"]}
    return replace(item, observation=replace(item.observation, images=images))


def refusal(checkpoint: Path | str, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        load(str(checkpoint), **{"device": "cpu", **options})
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


def test_spec_says_what_outputs_depend_on(policy, tiny_smolvla):
    facts = dict(policy.spec.fingerprint)
    assert policy.spec.name == tiny_smolvla.name
    assert policy.spec.n_action_steps == 10
    assert policy.spec.cameras == ("agentview", "wrist")
    assert (facts["type"], facts["chunk_size"], facts["num_steps"], facts["batch_size"]) == ("smolvla", 50, 10, 3)
    assert (facts["noise"], facts["device"], facts["dtypes"]) == ("explicit", "cpu", "float32")
    json.dumps(policy.spec.fingerprint)


def test_repeat_is_bitwise_equal(policy):
    first, second = (policy.act([request()])[0] for _ in range(2))
    assert first.shape == (50, 7)
    assert first.dtype == np.float32
    assert np.array_equal(first, second)


def test_neighbours_position_and_number_change_nothing(policy):
    items = [request(index, text) for index, text in enumerate([TEXT, "open the drawer", TEXT, "x " * 90, TEXT])]
    alone = [policy.act([item])[0] for item in items]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0], [1, 4, 0]):
        for index, chunk in zip(order, policy.act([items[index] for index in order]), strict=True):
            assert np.array_equal(chunk, alone[index])
    assert policy.act([]) == []


@pytest.fixture(scope="module")
def batched(tiny_smolvla) -> LerobotPolicy:
    """As where numerics are native: whole batches, all of them by torch's own choice of libraries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(numerics.VARIABLE, numerics.NATIVE)
        return load(str(tiny_smolvla), device="cpu", batch_size=3)


def test_portable_numerics_give_the_actions_of_native_ones_up_to_rounding(policy, batched):
    items = [request(index) for index in range(3)]
    for ours, theirs in zip(policy.act(items), batched.act(items), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert policy.spec.fingerprint != batched.spec.fingerprint or not numerics.pinned()


@pytest.mark.parametrize(
    "change",
    [
        lambda item: replace(item, noise_seed=1),
        lambda item: replace(item, instruction="open the middle drawer"),
        lambda item: swap_cameras(item),
        lambda item: replace(item, observation=replace(item.observation, state=np.zeros(8, np.float32))),
    ],
    ids=["noise", "instruction", "pictures", "state"],
)
def test_every_input_matters(policy, change):
    before, after = policy.act([request()])[0], policy.act([change(request())])[0]
    assert np.abs(before - after).mean() > 1e-3


def test_global_generator_and_threads_are_left_out_of_it(policy):
    import torch

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = policy.act([request()])[0]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    torch.set_num_threads(2)
    assert np.array_equal(policy.act([request()])[0], first)
    assert torch.get_num_threads() == 1


def test_same_as_lerobots_own_pipeline(batched, tiny_smolvla):
    """The published steps of lerobot's evaluation, from robosuite's upside-down pictures to environment actions."""
    import torch
    from lerobot.configs import PreTrainedConfig
    from lerobot.envs import make_env_config, make_env_pre_post_processors, preprocess_observation
    from lerobot.policies import get_policy_class, make_pre_post_processors

    vlm = str(tiny_smolvla / "vlm")
    config = PreTrainedConfig.from_pretrained(tiny_smolvla)
    config.device, config.vlm_model_name = "cpu", vlm
    model = get_policy_class(config.type).from_pretrained(tiny_smolvla, config=config, strict=True)
    tokenizer = {"padding": "max_length", "tokenizer_name": vlm}
    pre, post = make_pre_post_processors(
        config, pretrained_path=str(tiny_smolvla), preprocessor_overrides={"tokenizer_processor": tokenizer}
    )
    env_pre, env_post = make_env_pre_post_processors(make_env_config("libero", task="libero_spatial"), config)

    items = [request(index) for index in range(3)]
    flipped = {
        name: np.stack([item.observation.images[camera][::-1, ::-1] for item in items])
        for name, camera in (("image", "agentview"), ("image2", "wrist"))
    }
    quaternions = np.random.default_rng(9).normal(size=(3, 4))
    robot = {
        "eef": {"pos": np.zeros((3, 3)), "quat": quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)},
        "gripper": {"qpos": np.full((3, 2), 0.02)},
    }
    batch = preprocess_observation({"pixels": flipped, "robot_state": robot})
    batch["task"] = [TEXT] * 3
    batch = env_pre(batch)
    states = batch["observation.state"].numpy()
    noise = [torch.randn(50, 32, generator=torch.Generator().manual_seed(item.noise_seed)) for item in items]
    model.reset()
    with torch.inference_mode():
        chunk = model.predict_action_chunk(pre(batch), noise=torch.stack(noise))
    theirs = env_post({"action": post(chunk)})["action"].numpy()

    items = [
        replace(item, observation=replace(item.observation, state=state))
        for item, state in zip(items, states, strict=True)
    ]
    assert np.array_equal(np.stack(batched.act(items)), theirs)
    single = load(str(tiny_smolvla), device="cpu", batch_size=1)
    assert np.allclose(np.stack(single.act(items)), theirs, rtol=0, atol=1e-5)


def test_moved_folder_works_and_leaves_nothing_behind(policy, checkpoint, tmp_path, monkeypatch, capsys):
    moved = Path(shutil.move(checkpoint, tmp_path / "elsewhere"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    other = load(str(moved), device="cpu", batch_size=3, n_action_steps=7)
    assert not list(scratch.iterdir())
    assert capsys.readouterr() == ("", "")
    assert other.spec.n_action_steps == 7
    assert np.array_equal(other.act([request()])[0], policy.act([request()])[0])
    assert dict(other.spec.fingerprint)["sha256"] == dict(policy.spec.fingerprint)["sha256"]


def test_saved_rename_map_is_honoured(policy, checkpoint):
    """Trained with the cameras the other way round: the map must survive loading."""
    for name in ("config.json", "policy_preprocessor.json"):
        text = (checkpoint / name).read_text()
        text = text.replace(IMAGES + "image2", IMAGES + "camera2").replace(IMAGES + "image", IMAGES + "camera1")
        values = json.loads(text)
        if name == "policy_preprocessor.json":
            renames = {IMAGES + "image2": IMAGES + "camera1", IMAGES + "image": IMAGES + "camera2"}
            values["steps"][0]["config"]["rename_map"] = renames
        (checkpoint / name).write_text(json.dumps(values))
    renamed = load(str(checkpoint), device="cpu", batch_size=3)
    assert np.array_equal(renamed.act([request()])[0], policy.act([swap_cameras(request())])[0])


def test_truncated_instruction_is_noticed(policy):
    assert not policy.truncated(TEXT)
    assert not policy.truncated("on " * 10)
    assert policy.truncated("put the bowl on the plate " * 12)
    long = [request(text="put the bowl on the plate " * 12 + end) for end in ("now", "later")]
    assert np.array_equal(*policy.act(long))


def test_policy_without_language_or_noise(tmp_path):
    """ACT: deterministic, takes no `noise`; its saved configuration asks for a download that is not needed."""
    import torch
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors

    torch.manual_seed(0)
    config = ACTConfig(
        input_features={
            IMAGES + "image": PolicyFeature(type=FeatureType.VISUAL, shape=(3, 96, 96)),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(8,)),
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(7,))},
        **{"device": "cpu", "chunk_size": 8, "n_action_steps": 4, "pretrained_backbone_weights": None},
        **{"dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1, "use_vae": False},
    )
    sizes = {IMAGES + "image": (3, 1, 1), "observation.state": (8,), "action": (7,)}
    stats = {key: {"mean": torch.zeros(size), "std": torch.ones(size)} for key, size in sizes.items()}
    for part in (ACTPolicy(config), *make_act_pre_post_processors(config, dataset_stats=stats)):
        part.save_pretrained(tmp_path)
    saved = (tmp_path / "config.json").read_text()
    named = saved.replace('backbone_weights": null', 'backbone_weights": "ResNet18_Weights.IMAGENET1K_V1"')
    assert named != saved
    (tmp_path / "config.json").write_text(named)

    policy = load(str(tmp_path), device="cpu", batch_size=2)
    facts = dict(policy.spec.fingerprint)
    assert (policy.spec.cameras, facts["noise"], facts["batch_size"]) == (("agentview",), "none", 2)
    assert not policy.truncated("word " * 500)
    first, same, other = policy.act([request(), request(text="other"), request(1)])
    assert first.shape == (8, 7)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_bfloat16_is_said_differs_a_little_and_repeats(policy, tiny_smolvla):
    half = load(str(tiny_smolvla), device="cpu", batch_size=3, dtype="bfloat16")
    assert dict(half.spec.fingerprint) == dict(policy.spec.fingerprint) | {"autocast": "bfloat16"}
    asked = [request(0), request(1)]
    chunks, exact = half.act(asked), policy.act(asked)
    differences = np.abs(np.stack(chunks) - np.stack(exact))
    assert chunks[0].dtype == np.float32
    assert 0 < differences.mean() < 0.05
    assert np.array_equal(np.stack(half.act(asked)), np.stack(chunks))
    (alone,) = half.act([request(1)])
    assert np.array_equal(alone, chunks[1])


def test_a_batch_that_memory_does_not_suffice_for_is_halved_and_said(tiny_smolvla, monkeypatch):
    import torch
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    enough = SmolVLAPolicy.predict_action_chunk

    def small(self, batch, **options):
        if len(batch["observation.state"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return enough(self, batch, **options)

    monkeypatch.setattr(SmolVLAPolicy, "predict_action_chunk", small)
    choice = PolicyChoice(str(tiny_smolvla), "cpu", batch_size=12)
    policy = load_policy(choice)
    assert batch_note(choice, policy.spec).startswith("the device has memory for batches of 3, not 12;")
    assert batch_note(replace(choice, batch_size=3), policy.spec) is None
    same = load(str(tiny_smolvla), device="cpu", batch_size=3)
    assert same.spec == policy.spec
    items = [request(index) for index in range(5)]
    assert np.array_equal(policy.act(items), same.act(items))


def test_global_noise_runs_one_at_a_time(tmp_path):
    import dice_policy

    policy = load(str(dice_policy.build(tmp_path)), device="cpu", batch_size=4)
    facts = dict(policy.spec.fingerprint)
    assert (policy.spec.cameras, facts["noise"], facts["batch_size"]) == ((), "global", 1)
    items = [request(index) for index in range(3)]
    together = policy.act(items)
    assert np.array_equal(together, [policy.act([item])[0] for item in items])
    assert not np.array_equal(together[0], policy.act([replace(items[0], noise_seed=0)])[0])


def test_swallowed_load_failure_is_refused(tmp_path):
    import dice_policy

    assert "Could not load state dict" in refusal(dice_policy.build(tmp_path, swallow=True))


def test_missing_weights_are_refused(checkpoint):
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint / "model.safetensors")
    kept = {key: value for key, value in weights.items() if "action" not in key}
    save_file({**kept, "stray": weights["model.action_in_proj.bias"]}, checkpoint / "model.safetensors")
    said = refusal(checkpoint)
    assert f"lack {len(weights) - len(kept)} tensors (model.action_in_proj.bias, " in said
    assert "have unknown 1 tensors (stray)" in said


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.safetensors", "no tensors", "cut off or no safetensors file"),
        ("vlm/tokenizer.json", "{", "cannot be loaded"),
        ("vlm/config.json", "{}", "cannot be loaded"),
        ("policy_preprocessor.json", '{"steps": []}', "has no step normalizer_processor"),
        ("policy_preprocessor.json", '{"steps": [{"registry_name": "unheard_of", "config": {}}]}', "unheard_of"),
    ],
)
def test_broken_files_are_refused(checkpoint, file, content, said):
    (checkpoint / file).write_text(content)
    assert said in refusal(checkpoint)


def test_unknown_type_is_refused(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "type": "smolvlaa"}))
    assert "did you mean 'smolvla'" in refusal(checkpoint)


PUBLIC = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"


def name_language_model(checkpoint: Path, name: str) -> None:
    """Take the language model's files away and name one."""
    shutil.rmtree(checkpoint / "vlm")
    saved = json.loads((checkpoint / "config.json").read_text())["vlm_model_name"]
    for file in ("config.json", "policy_preprocessor.json"):
        text = (checkpoint / file).read_text().replace(json.dumps(saved), json.dumps(name))
        (checkpoint / file).write_text(text)


@pytest.mark.parametrize("offline", [True, False])
def test_absent_language_model_is_refused_at_once(checkpoint, monkeypatch, offline):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    name_language_model(checkpoint, PUBLIC)
    began = time.monotonic()
    assert f"needs '{PUBLIC}', which is not in the cache" in refusal(checkpoint)
    assert time.monotonic() - began < 10
    assert offline == constants.HF_HUB_OFFLINE


def test_bad_options_are_refused(tiny_smolvla):
    assert "at least 1" in refusal(tiny_smolvla, batch_size=0)
    assert "unknown device 'cudo'; did you mean 'cuda'?" in refusal(tiny_smolvla, device="cudo")
    assert "must be in 1..50" in refusal(tiny_smolvla, n_action_steps=0)


def test_unavailable_device_is_refused(tiny_smolvla):
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    assert "'mps' is not available here; available: " in refusal(tiny_smolvla, device="mps")


def test_import_is_light():
    heavy = "{'torch', 'lerobot', 'transformers', 'ray', 'huggingface_hub'}"
    code = f"import sys, simeval.policies.lerobot, simeval.policies.actor; sys.exit(bool({heavy} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
