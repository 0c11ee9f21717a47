"""`simeval export --to lerobot`: lerobot itself loads it, sees what the policy saw, and trains on it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import call, refusal, toy_config

from envs.base import CAMERAS
from simeval.api import evaluate
from simeval.core.errors import ConfigError
from simeval.exchange.lerobot_dataset import KEYS, DatasetOptions, write_dataset
from simeval.exchange.whole_folder import whole_folder
from simeval.policies.scripted import SeekerPolicy
from simeval.store.run import Run, trace_path

CONDITION = "noise:0.1+occlusion:0.2@agentview"


class Watching:
    """The seeker, and the observations it got, by episode and step."""

    spec = replace(SeekerPolicy.spec, name="watching", cameras=CAMERAS)

    def __init__(self):
        self.seen = {}

    def act(self, inputs):
        for item in inputs:
            self.seen[item.episode_id, item.observation.step] = item.observation
        return SeekerPolicy().act(inputs)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Three episodes: a clean success, a perturbed one, and a failure without instruction."""
    policy, out = Watching(), tmp_path_factory.mktemp("dataset") / "run"
    wanted = toy_config(
        out, tasks="0", init_states="0", perturb=(CONDITION, "instruction:empty"), policy=None, protocol="openvla"
    )
    return evaluate(wanted, policy=policy), policy.seen


@pytest.fixture(scope="module")
def lossless(watched, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("png") / "dataset"
    called = call("export", watched[0].folder, "--to", "lerobot", "--out", out, "--lossless")
    assert (called.code, called.err) == (0, "")
    return out


def load(folder: Path, **options):
    from lerobot.datasets import LeRobotDataset

    return LeRobotDataset("simeval/test", root=folder, video_backend="pyav", **options)


def pixels(image: torch.Tensor) -> np.ndarray:
    return np.rint(255 * image.permute(1, 2, 0).numpy()).astype(np.uint8)


def test_frames_are_what_the_policy_saw(watched, lossless):
    run, seen = watched
    dataset = load(lossless)
    assert dataset.meta.info.codebase_version == "v3.0"
    assert dataset.num_episodes == 3
    assert len(dataset) == sum(result.steps for result in run.results)
    checked, start = 0, 0
    for result in run.results:
        trace = run.trace(result)
        for step in range(result.steps):
            row = dataset[start + step]
            assert torch.equal(row["action"], torch.from_numpy(trace.actions[step]))
            assert bool(row["policy_looked"]) == ((result.spec.id, step) in seen)
            if bool(row["policy_looked"]):
                observation = seen[result.spec.id, step]
                assert torch.equal(row["observation.state"], torch.from_numpy(observation.state))
                for camera, key in KEYS.items():
                    np.testing.assert_array_equal(pixels(row[key]), observation.images[camera])
                checked += 1
        start += result.steps
    assert checked == len(seen)


def test_a_frame_says_what_happened_and_under_what(watched, lossless):
    run, _ = watched
    dataset, start = load(lossless), 0
    for number, result in enumerate(run.results):
        first, last = dataset[start], dataset[start + result.steps - 1]
        start += result.steps
        success = result.outcome == "success"
        assert (first["episode_index"].item(), first["task"]) == (number, result.instruction)
        assert (first["condition"], first["success"].item()) == (result.spec.condition, success)
        assert (first["next.done"].item(), first["next.success"].item()) == (False, False)
        assert (last["next.done"].item(), last["next.success"].item()) == (True, success)
        assert last["next.reward"].item() == float(success)
    perturbed = dataset[run.results[0].steps]
    assert perturbed["perturbation.axis"] == "noise+occlusion"
    assert perturbed["perturbation.value"] == "0.1+0.2@agentview"
    rows = pd.read_parquet(lossless / "meta" / "simeval_episodes.parquet")
    assert list(rows["episode_index"]) == [0, 1, 2]
    assert list(rows["id"]) == [result.spec.id for result in run.results]
    about = json.loads((lossless / "meta" / "simeval.json").read_text())
    assert (about["policy"]["name"], about["view"]) == ("watching", "policy")
    assert about["differing_episodes"] == 0


def test_as_video_it_is_close_and_every_choice_is_kept(watched, tmp_path):
    run, _ = watched
    out = tmp_path / "dataset"
    words = ("--only", "successes", "--conditions", CONDITION, "--cameras", "wrist", "--size", 96, "--fps", 10)
    called = call("export", run.folder, "--to", "lerobot", "--out", out, "--view", "clean", *words)
    assert (called.code, called.err) == (0, "")
    perturbed = run.results[1]
    assert called.out == f"{out}: 1 episodes, {perturbed.steps} frames\n"
    dataset = load(out)
    assert (dataset.fps, dataset.meta.camera_keys) == (10, [KEYS["wrist"]])
    assert dataset.meta.shapes[KEYS["wrist"]] == (96, 96, 3)
    write_dataset(run, DatasetOptions(conditions=("none",), size=96, lossless=True), tmp_path / "exact")
    exact = load(tmp_path / "exact")
    first = [pixels(each[0][KEYS["wrist"]]).astype(int) for each in (dataset, exact)]
    assert abs(first[0] - first[1]).mean() < 3, "the perturbed episode began like the clean one"


def test_lerobots_own_policy_makes_a_training_step_on_it(lossless):
    from lerobot.configs import FeatureType
    from lerobot.policies import get_policy_class, make_pre_post_processors
    from lerobot.policies.factory import make_policy_config
    from lerobot.utils.feature_utils import dataset_to_policy_features

    dataset = load(lossless, delta_timestamps={"action": [step / 20 for step in range(4)]})
    features = dataset_to_policy_features(dataset.meta.features)
    outputs = {key: feature for key, feature in features.items() if feature.type is FeatureType.ACTION}
    inputs = {key: feature for key, feature in features.items() if key not in outputs}
    assert set(outputs) == {"action"}
    assert set(inputs) == {*KEYS.values(), "observation.state"}
    config = make_policy_config(
        "act", input_features=inputs, output_features=outputs, device="cpu", pretrained_backbone_weights=None,
        chunk_size=4, n_action_steps=4, dim_model=32, n_heads=2, dim_feedforward=32, n_encoder_layers=1,
        n_vae_encoder_layers=1, latent_dim=4,
    )  # fmt: skip
    policy = get_policy_class("act")(config)
    preprocess, _ = make_pre_post_processors(config, dataset_stats=dataset.meta.stats)
    optimizer = torch.optim.SGD(policy.parameters(), lr=1e-3)
    policy.train()
    (batch,) = [next(iter(torch.utils.data.DataLoader(dataset, batch_size=3)))]
    losses = []
    for _ in range(2):
        loss, _ = policy.forward(preprocess(dict(batch)))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]


def test_a_state_changed_in_units_that_the_run_does_not_store_is_the_robots_own(tmp_path):
    wanted = toy_config(tmp_path / "run", tasks="0", init_states="0", perturb=("proprio.noise:1",), policy=None)
    policy = Watching()
    policy.spec = replace(policy.spec, state_std=(2.0,) * 8)
    run = evaluate(wanted, policy=policy)
    out, scripted = tmp_path / "dataset", tmp_path / "scripted"
    words = ("--lossless", "--cameras", "wrist", "--size", 64, "--conditions", "proprio.noise:1")
    called = call("export", run.folder, "--to", "lerobot", "--out", out, *words)
    assert called.code == 0
    assert called.err.startswith("note: observation.state is the robot's own under proprio.noise:1: ")
    seen = policy.seen["toy/0/init00/proprio.noise=1/r0", 0].state
    assert abs(load(out)[0]["observation.state"].numpy() - seen).max() > 0.5
    run = evaluate(replace(wanted, policy="seeker", out=str(tmp_path / "seeker")))
    called = call("export", run.folder, "--to", "lerobot", "--out", scripted, *words)
    assert (called.code, called.err) == (0, "")
    assert load(scripted)[0]["observation.state"][5:].abs().max() > 1e-4, "its units are the default ones"


def test_an_episode_with_a_damaged_trace_is_left_out_and_named(watched, tmp_path):
    run = Run.load(shutil.copytree(watched[0].folder, tmp_path / "run"))
    broken = trace_path(run.folder, run.results[1].spec)
    broken.write_bytes(broken.read_bytes()[:100])
    called = call(
        "export", run.folder, "--to", "lerobot", "--lossless", "--cameras", "wrist", "--conditions", CONDITION
    )
    assert called.code == 2
    assert called.err.startswith("simeval: no trace can be read: ")
    assert not (run.folder / "export" / "lerobot").exists()
    called = call("export", run.folder, "--to", "lerobot", "--lossless", "--cameras", "wrist", "--size", 64)
    assert called.code == 1
    assert called.err.startswith("note: 1 episodes with a damaged trace are left out (")
    assert called.err.count("\n") == 1
    rows = pd.read_parquet(run.folder / "export" / "lerobot" / "meta" / "simeval_episodes.parquet")
    assert list(rows["id"]) == [run.results[0].spec.id, run.results[2].spec.id]
    assert load(run.folder / "export" / "lerobot").num_episodes == 2


def test_nothing_half_is_left_under_the_final_name(watched, tmp_path):
    run, _ = watched
    out = tmp_path / "dataset"
    there = []

    def interrupted():
        there.append(out.exists())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(run, DatasetOptions(lossless=True), out, lambda _: interrupted)
    assert there == [False]
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_removed_by_the_next_export(tmp_path):
    left = tmp_path / ".dataset.4194400.part"  # above the highest process id
    left.mkdir()
    running = tmp_path / ".dataset.1.part"
    running.mkdir()
    with whole_folder(tmp_path / "dataset") as partial:
        partial.mkdir()
        (partial / "file").write_text("whole")
        assert not (tmp_path / "dataset").exists()
    assert not left.exists()
    assert running.exists()
    assert (tmp_path / "dataset" / "file").read_text() == "whole"
    with pytest.raises(ConfigError, match="is there already"), whole_folder(tmp_path / "dataset"):
        pass


def test_bad_input_is_one_line(watched, tmp_path):
    run, _ = watched
    refused = lambda *words: refusal("export", run.folder, "--to", "lerobot", "--out", tmp_path / "new", *words)  # noqa: E731
    assert "did you mean 'wrist'?" in refused("--cameras", "wirst")
    assert "must be an even number in [64, 1024]" in refused("--size", 63)
    assert "must be in [1, 1000]" in refused("--fps", 0)
    assert "did you mean 'clean'?" in refused("--view", "clear")
    assert "no 'noise:0.7'" in refused("--conditions", "noise:0.7")
    assert "is there already" in refused("--out", tmp_path)
    assert "no traces were kept" in refusal("export", "results/quickstart", "--to", "lerobot")
    assert not (tmp_path / "new").exists()
