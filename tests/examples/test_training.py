"""A fine-tune: what it computes, resuming, what each recipe trains, and a checkpoint that simeval runs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from examples.finetune import losses
from examples.finetune.frames import stacked, views_of
from examples.finetune.network import Network
from examples.finetune.objective import loss_terms
from examples.finetune.recipes import parse_recipe
from examples.finetune.training import Settings, Training
from simeval.core.errors import ConfigError

EVERYTHING = "flow+contrast+consistency+augment+align"


@pytest.fixture(scope="module")
def views(demonstrations):
    return views_of(demonstrations)


@pytest.fixture
def begin(demonstrations, views, start, tmp_path):
    def training(recipe: str, folder: str = "out", **changed) -> Training:
        settings = Settings(str(start), parse_recipe(recipe), steps=4, batch=4, draws=2, rate=1e-3)
        return Training(tmp_path / folder, replace(settings, **changed), demonstrations, views=views)

    return training


def samples(training: Training, **wanted):
    options = {"draws": 1, "regularised": 2, "conflicts": True} | wanted
    return training._frames.sample(np.arange(4), np.random.default_rng(5), **options)


def test_the_objective_is_lerobots_own(begin):
    """Our prefix and velocity against `VLAFlowMatching.forward` on the same batch, noise and time."""
    training = begin("flow")
    batch = samples(training, conflicts=False)
    network, pad = training.network, training.network.padded_action - 7
    padded_noise, padded_actions = (torch.nn.functional.pad(x, (0, pad)) for x in (batch.noise[0], batch.actions))
    there = [torch.ones(4, dtype=torch.bool)] * 2
    with torch.no_grad():
        images, _ = network.policy.prepare_images(dict(zip(network.keys(), batch.clean.images.unbind(1), strict=True)))
        theirs = network.model.forward(
            images, there, batch.clean.tokens, batch.clean.token_mask, batch.clean.state, padded_actions, padded_noise,
            batch.time[0],
        )  # fmt: skip
        ours = loss_terms(network, replace(batch, changed=None))["flow"]
    assert ours.item() == pytest.approx(theirs[..., :7].mean().item(), rel=1e-4)


def test_regularisers_compare_the_same_noise_and_time(begin):
    """All terms in one pass against each term by itself."""
    training = begin(EVERYTHING)
    batch, network = samples(training, draws=2), training.network
    with torch.no_grad():
        together = loss_terms(network, batch, training.settings.weights)
        noise, time, actions = batch.noise[0, :2], batch.time[0, :2], batch.actions[:2]
        at = time[:, None, None]
        noisy = at * noise + (1 - at) * actions

        def chunk(inputs):
            return losses.predicted_chunk(noisy, network.velocity(network.prefix(inputs), noisy, time), time)

        first = type(batch.clean)(*(getattr(batch.clean, name)[:2] for name in batch.clean.__dataclass_fields__))
        clean = chunk(first)
        contrast = losses.language_contrast(clean, chunk(batch.conflicting), time, training.settings.weights.margin)
        changed = network.velocity(network.prefix(batch.changed), noisy, time)
        consistency = losses.visual_consistency(clean, losses.predicted_chunk(noisy, changed, time))
        augment = losses.flow_matching(changed, noise, actions, batch.valid[:2])
    assert together["contrast"].item() == pytest.approx(contrast.item(), rel=1e-3, abs=1e-6)
    assert together["consistency"].item() == pytest.approx(consistency.item(), rel=1e-3)
    assert together["augment"].item() == pytest.approx(augment.item(), rel=1e-3)
    assert together["align"].item() == pytest.approx(0, abs=1e-5), "nothing has been trained yet"


def test_conflicting_samples_differ_in_their_words_alone_and_changed_ones_in_their_images(begin):
    batch = samples(begin("flow"), regularised=4)
    assert torch.equal(batch.clean.images, batch.conflicting.images)
    assert (batch.clean.tokens != batch.conflicting.tokens).any(1).all()
    assert torch.equal(batch.clean.tokens, batch.changed.tokens)
    assert (batch.clean.images != batch.changed.images).flatten(1).any(1).all()
    assert len(stacked([batch.clean, batch.changed]).state) == 8


@pytest.mark.parametrize("recipe", [EVERYTHING, "l1+contrast", "frozen+align", "lora+consistency", "l1+augment"])
def test_resumed_equals_unbroken(begin, recipe):
    unbroken = begin(recipe, "unbroken")
    unbroken.run()
    for stop in (1, 3, None):
        begin(recipe, "broken").run(stop_at=stop)
    weights = [load_file(unbroken.folder.parent / name / "model.safetensors") for name in ("unbroken", "broken")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_kill_between_states_costs_the_steps_since_the_last(begin, monkeypatch):
    begin("flow", "unbroken").run()
    killed = begin("flow", "killed")
    update, done = Training._update, []

    def dies(self):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(self.step)
        return update(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_update", dies)
        with pytest.raises(KeyboardInterrupt):
            killed.run(keep=2)
    again = begin("flow", "killed")
    assert again.step == 2
    again.run()
    unbroken, resumed = (load_file(again.folder.parent / name / "model.safetensors") for name in ("unbroken", "killed"))
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_two_at_once_in_a_folder_are_one_too_many(begin):
    training = begin("flow")
    with training._alone(), pytest.raises(ConfigError, match="another process is training in it"):
        begin("flow").run()


def test_seeds_give_other_weights(begin):
    for seed in (0, 1):
        begin("flow", str(seed), seed=seed).run()
    one, other = (load_file(begin("flow", str(s), seed=s).folder / "model.safetensors") for s in (0, 1))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_folder_with_other_settings_is_refused(begin):
    begin("flow").run(stop_at=1)
    with pytest.raises(ConfigError, match=r"was begun with seed 0, not 3; choose another --out"):
        begin("flow", seed=3)


def trained_parts(start, folder) -> set[str]:
    """The parts of the network whose weights differ from the start."""
    before, after = load_file(start / "model.safetensors"), load_file(folder / "model.safetensors")
    assert {name.removeprefix("model.") for name in before} <= {name.removeprefix("model.") for name in after}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    parts = {"vision": "vision_model", "connector": "connector", "language": "text_model", "actions": "lm_expert"}
    return {part for part, word in parts.items() if any(word in name for name in changed)}


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        ("flow", {"vision", "connector", "language", "actions"}),
        ("l1", {"vision", "connector", "language", "actions"}),
        ("frozen", {"connector", "language", "actions"}),
        ("lora", {"vision", "language", "actions"}),
    ],
)
def test_what_a_recipe_trains(begin, start, recipe, parts):
    training = begin(recipe, steps=2)
    training.run()
    assert trained_parts(start, training.folder) == parts


def test_lora_trains_a_fraction_of_the_weights(begin):
    sizes = {r: sum(w.numel() for w in begin(r, r).network.trained().values()) for r in ("flow", "lora")}
    assert sizes["lora"] < 0.35 * sizes["flow"]


@pytest.mark.parametrize(("recipe", "steps"), [("flow", 10), ("l1", 1), ("lora", 10)])
def test_simeval_loads_it_and_predicts_what_the_network_does(begin, recipe, steps, tmp_path):
    """The merged checkpoint's chunk is that of the network in training."""
    from envs.base import Observation
    from simeval.policies import lerobot
    from simeval.policies.base import PolicyInput

    training = begin(recipe)
    training.run()
    policy = lerobot.load(str(training.folder), device="cpu")
    assert dict(policy.spec.fingerprint)["num_steps"] == steps
    rng = np.random.default_rng(0)
    images = {camera: rng.integers(0, 256, (64, 64, 3), np.uint8) for camera in ("agentview", "wrist")}
    request = PolicyInput(Observation(images, np.zeros(8, np.float32), 0), "push to the left", "", 0, noise_seed=3)
    network = training.network
    network.policy.eval()
    network.policy.config.num_steps = steps
    batch = policy._preprocessed([request])
    with torch.no_grad():
        wanted = network.policy.predict_action_chunk(batch, noise=policy._sampling_noise([request]))
        there = policy._parts.model.predict_action_chunk(batch, noise=policy._sampling_noise([request]))
    torch.testing.assert_close(wanted, there, atol=2e-4, rtol=2e-4)
    assert policy.act([request])[0].shape == (6, 7)


def test_saved_in_bfloat16_it_is_half_as_large_and_runs(begin):
    from simeval.policies import lerobot

    begin("flow", "full").run()
    half = begin("flow", "half")
    half.run(save_dtype=torch.bfloat16)
    sizes = [(half.folder.parent / name / "model.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    assert lerobot.load(str(half.folder), device="cpu").spec.n_action_steps == 6


def test_a_finished_one_is_left_alone_and_keeps_no_state(begin):
    training = begin("flow")
    training.run()
    files = {path.name for path in (training.folder / "training").iterdir()}
    assert files == {"log.jsonl", "settings.json"}
    rows = [json.loads(line) for line in (training.folder / "training" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "held_out" in row] == [0, 4]
    before = (training.folder / "model.safetensors").read_bytes()
    begin("flow").run()
    assert (training.folder / "model.safetensors").read_bytes() == before


def test_a_checkpoint_with_one_camera_gets_its_images(demonstrations, tmp_path):
    import tiny_smolvla
    from lerobot.configs import FeatureType, PolicyFeature

    inputs = {
        "observation.images.image2": PolicyFeature(type=FeatureType.VISUAL, shape=(3, 256, 256)),
        "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(8,)),
    }
    wrist = tiny_smolvla.build(tmp_path / "wrist", chunk_size=6, n_action_steps=6, input_features=inputs)
    marked = replace(demonstrations, images=demonstrations.images.copy())
    marked.images[:, 0] = 0
    training = Training(tmp_path / "out", Settings(str(wrist), parse_recipe("flow")), marked)
    assert training.network.cameras == ("wrist",)
    images = samples(training).clean.images
    assert images.shape[1] == 1
    assert images.min() > 0


def test_chunks_that_are_too_short_are_refused(demonstrations, start, tmp_path):
    short = replace(demonstrations, actions=demonstrations.actions[:, :3], valid=demonstrations.valid[:, :3])
    with pytest.raises(ConfigError, match="predicts 6 actions, and the demonstrations have 3"):
        Training(tmp_path, Settings(str(start), parse_recipe("flow")), short)


def test_other_types_of_policies_are_refused(tmp_path):
    import families

    with pytest.raises(ConfigError, match="of type act; only smolvla"):
        Network(str(families.save_act(tmp_path / "act")), parse_recipe("flow"), "cpu", 0)
