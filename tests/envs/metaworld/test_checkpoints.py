"""lerobot checkpoints that were trained on Meta-World, as its training saves them."""

import json
import shutil

import pytest
import tiny_smolvla
from helpers import call, refusal
from lerobot.configs import FeatureType, PolicyFeature

from envs.metaworld.catalog import INTERFACE
from simeval.core.errors import ConfigError
from simeval.policies.bundled.architecture import build, save
from simeval.policies.checkpoint.read import read
from simeval.store.run import Run

# Order of magnitude of the dataset lerobot/metaworld_mt50, whose actions are those of the experts, not clipped.
STATS = {
    "observation.state": {"mean": [0.0, 0.66, 0.15, 0.7], "std": [0.08, 0.1, 0.08, 0.3]},
    "action": {"mean": [0.0, 0.3, -0.2, 0.2], "std": [2.0, 2.0, 2.5, 0.6]},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """One camera, four actions, four states, and the state of the environment that all of the dataset's have."""
    out = tmp_path_factory.mktemp("policies") / "tiny_metaworld"
    features = {
        "observation.image": PolicyFeature(FeatureType.VISUAL, (3, 480, 480)),
        "observation.state": PolicyFeature(FeatureType.STATE, (4,)),
        "observation.environment_state": PolicyFeature(FeatureType.ENV, (39,)),
    }
    sizes = {"chunk_size": 250, "n_action_steps": 250, "num_steps": 2, "max_state_dim": 32, "max_action_dim": 32}
    policy = build(
        out / "vlm",
        shape=tiny_smolvla.SHAPE,
        input_features=features,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (4,))},
        **sizes,
    )
    save(policy, out, STATS)
    return out


def changed(checkpoint, tmp_path, kind, **features):
    """A copy of another type and with other input features."""
    copy = shutil.copytree(checkpoint, tmp_path / "other")
    config = json.loads((copy / "config.json").read_text())
    features = {f"observation.{name}": feature for name, feature in features.items()}
    (copy / "config.json").write_text(json.dumps(config | {"type": kind, "input_features": features}))
    return str(copy)


def test_it_runs(checkpoint, tmp_path):
    few = ("--tasks", 3, "--init-states", 0, "--workers", 0, "--device", "cpu")
    done = call("run", "--suite", "metaworld_mt10", "--policy", checkpoint, *few, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    run = Run.load(tmp_path / "run")
    (row,) = run.results
    assert row.outcome == "failure"
    assert (row.steps, row.counts.policy_calls, row.counts.renders) == (500, 2, 2)
    assert run.trace(row).actions.shape == (500, 4)


def test_its_one_camera_is_the_fixed_one(checkpoint):
    found = read(str(checkpoint), interface=INTERFACE)
    assert found.cameras == {"agentview": "observation.image"}
    assert (found.image_size, found.only_size) == ((480, 480), None)


def test_it_does_not_fit_libero_and_liberos_do_not_fit_it(checkpoint, tiny_smolvla, tmp_path):
    line = "policy 'tiny_metaworld' does not fit: its state has size 4, the suites' has 8"
    assert line in refusal("run", "--suite", "libero_spatial", "--policy", checkpoint)
    for policy in ("bundled", tiny_smolvla):
        done = call("run", "--suite", "metaworld_mt10", "--policy", policy, "--out", tmp_path / "run")
        assert done.code == 2
        assert "does not fit: its state has size 8, the suites' has 4" in done.err
    assert not (tmp_path / "run" / "episodes.jsonl").exists()


IMAGE, STATE = {"type": "VISUAL", "shape": [3, 480, 480]}, {"type": "STATE", "shape": [4]}


def test_a_camera_on_the_hand_is_refused(checkpoint, tmp_path):
    folder = changed(checkpoint, tmp_path, "act", **{"images.top": IMAGE, "images.wrist": IMAGE, "state": STATE})
    with pytest.raises(ConfigError, match="the suites offer agentview, and 'act' cannot do without"):
        read(folder, interface=INTERFACE)


def test_types_that_read_the_state_of_the_environment_are_refused(checkpoint, tmp_path):
    world = {"type": "ENV", "shape": [39]}
    folder = changed(checkpoint, tmp_path, "act", image=IMAGE, state=STATE, environment_state=world)
    with pytest.raises(ConfigError, match=r"it wants observation\.environment_state, which no suite offers"):
        read(folder, interface=INTERFACE)


def test_an_audit_says_that_drift_is_not_defined_for_it(checkpoint, tmp_path):
    few = ("--tasks", 3, "--init-states", 0, "--workers", 0)
    assert call("run", "--suite", "metaworld_mt10", "--policy", "zero", *few, "--out", tmp_path / "run").code == 0
    line = refusal("audit", tmp_path / "run", "--policy", checkpoint, "--perturb", "noise:0.1", "--device", "cpu")
    assert "drift is defined for LIBERO's 7 and 8" in line


def test_the_doctor_knows_it(checkpoint):
    done = call("doctor", "--only", "checkpoint", "--policy", checkpoint)
    assert "tiny_metaworld is here" in done.out + done.err
