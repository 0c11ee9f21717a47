"""The policy in the package: small, ordinary, the default, and able to do what its card says."""

import pytest

from simeval import EvalConfig, evaluate
from simeval.config.plan import make_plan
from simeval.policies import bundled
from simeval.policies.registry import PolicyChoice, load_policy


@pytest.mark.parametrize("name", bundled.POLICIES)
def test_it_is_small_and_carries_all_its_files(name):
    sizes = {file.name: file.stat().st_size for file in bundled.POLICIES[name].folder.rglob("*") if file.is_file()}
    assert sizes["model.safetensors"] <= 25e6
    assert {"config.json", "policy_preprocessor.json", "policy_postprocessor.json", "tokenizer.json"} <= sizes.keys()


@pytest.mark.parametrize("name", bundled.POLICIES)
def test_it_is_lerobots_own_class_and_knows_its_scaling(name):
    policy = load_policy(PolicyChoice(name, device="cpu"))
    fingerprint = dict(policy.spec.fingerprint)
    assert fingerprint["type"] == "smolvla"
    assert fingerprint["checkpoint"] == name
    assert policy.spec.state_std is not None
    assert len(policy.spec.state_std) == 8
    assert not policy.truncated("pick up the black bowl on the cookie box and place it on the plate")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Nobody says which policy or which scenes."""
    out = tmp_path_factory.mktemp("bundled") / "run"
    wanted = ("light:0.1", "instruction:counterfactual")
    return evaluate(EvalConfig(tasks="2,7", init_states="0", perturb=wanted, workers=0, out=str(out)))


def test_it_succeeds_by_default_and_offline(run):
    assert run.manifest["config"]["suite"] == ["libero_spatial"]
    clean = [result for result in run.results if result.spec.condition == "none"]
    assert [result.outcome for result in clean] == ["success", "success"]


def test_darkness_changes_what_it_does(run):
    by_condition = {(r.spec.task, r.spec.condition): r for r in run.results}
    for task in (2, 7):
        dark, clean = by_condition[task, "light:0.1"], by_condition[task, "none"]
        assert dark.state_digest != clean.state_digest
        assert dark.outcome == "failure"


def test_it_goes_for_the_bowl_that_it_is_told(run):
    """Task 2's other bowl: the gripper first closes at it."""
    by_condition = {(r.spec.task, r.spec.condition): r for r in run.results}
    assert by_condition[2, "none"].approached == "akita_black_bowl_1"
    assert by_condition[2, "instruction:counterfactual"].approached == "akita_black_bowl_2"


def test_each_suite_gets_the_one_that_knows_it(tmp_path):
    wanted = ("instruction:counterfactual",)
    config = EvalConfig(
        suite=("libero_object",), tasks="9", init_states="0", perturb=wanted, workers=0, out=str(tmp_path)
    )
    assert config.policy_name == "bundled-object"
    clean, told_other = evaluate(config).results
    assert clean.outcome == "success"
    assert clean.approached == "orange_juice_1"
    assert told_other.approached != "orange_juice_1"


def test_a_suite_that_none_knows_gets_the_default_and_a_note():
    config = EvalConfig(suite=("libero_object", "libero_goal"))
    assert config.policy_name == "bundled"
    assert any("trained on libero_spatial alone" in note for note in make_plan(config).notes)
