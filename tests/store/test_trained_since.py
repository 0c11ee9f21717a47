"""A checkpoint that was trained again in its folder: the rows of its old weights are not taken for its own."""

import shutil

import tiny_smolvla as tiny
from helpers import call, refusal

TOY = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0", "--device", "cpu")


def test_a_finished_run_is_refused_after_another_training(tiny_smolvla, tmp_path):
    policy, out = tmp_path / "tuned", tmp_path / "out"
    shutil.copytree(tiny_smolvla, policy)
    command = ("run", *TOY, "--policy", policy, "--out", out)
    assert call(*command).code == 0
    rows = (out / "episodes.jsonl").read_bytes()
    assert call(*command).code == 0, "the same weights: nothing is left to do"
    shutil.rmtree(policy)
    tiny.build(policy, seed=1)
    assert "holds a different run (policy_weights: " in refusal(*command)
    assert (out / "episodes.jsonl").read_bytes() == rows
