"""Audits of policies that look at several observations, or remember earlier requests."""

import numpy as np
import pytest
from helpers import call, refusal, toy_config

from perturbations.spec import parse
from simeval import evaluate
from simeval.drift.frames.from_run import RunFrames
from simeval.policies.registry import choose, load_policy
from simeval.store.audit import Audit
from simeval.store.run import Run

TEXT = """
from dataclasses import replace

import numpy as np

from simeval.policies.scripted import SeekerPolicy


class Mine(SeekerPolicy):
    spec = replace(SeekerPolicy.spec, name="mine", n_obs_steps=3)

    def act(self, inputs):
        chunks = super().act(inputs)
        assert all(len(item.past) == 2 for item in inputs)
        seen = [np.mean([one.images["agentview"].mean() for one in item.past]) for item in inputs]
        return [chunk + np.float32(mean / 1000) for chunk, mean in zip(chunks, seen)]


class Remembers(SeekerPolicy):
    spec = replace(SeekerPolicy.spec, name="remembers", memory=True)
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "mine.py"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def run(mine, tmp_path_factory) -> Run:
    return evaluate(
        toy_config(
            tmp_path_factory.mktemp("history") / "run", policy=f"{mine}:Mine", perturb=("noise:0.3", "light:0.5")
        )
    )


@pytest.mark.parametrize("condition", ["none", "noise:0.3", "light:0.5"])
def test_at_a_start_frame_it_predicts_what_it_predicted_in_the_rollout(run, mine, condition):
    policy = load_policy(choose(f"{mine}:Mine"))
    source = RunFrames.open(run, None, policy=policy.spec)
    views = list(source.views(source.frames(), parse(condition), 0))
    source.close()
    rollouts = {f"{r.spec.pair_id}@0": r.spec for r in run.results if r.spec.condition == condition}
    assert len(views) == len(rollouts) == 4
    for view in views:
        assert np.array_equal(policy.act([view.request])[0], run.trace(rollouts[view.frame.id]).chunks[0])
        assert [one is view.request.observation for one in view.request.past] == [True, True]


def test_its_start_frames_are_audited(run, mine, tmp_path):
    words = ("audit", run.folder, "--policy", f"{mine}:Mine", "--perturb", "noise:0.3", "--out", tmp_path / "audit")
    assert call(*words).code == 0
    assert Audit.load(tmp_path / "audit").manifest["facts"]["reproduces_rollout"] == {"equal": 4, "compared": 4}


def test_frames_without_the_observations_before_them_are_refused(run, mine, dataset, tmp_path):
    words = ("--policy", f"{mine}:Mine", "--perturb", "noise:0.3", "--out", tmp_path / "audit")
    replayed = refusal("audit", run.folder, "--frames", "replay", *words)
    assert "--frames replay: policy 'mine' predicts from 3 observations" in replayed
    assert replayed.endswith("use --frames start")
    stored = refusal("audit", "--dataset", dataset, *words)
    assert "--dataset: policy 'mine' predicts from 3 observations" in stored
    assert not (tmp_path / "audit").exists()


def test_a_policy_that_remembers_is_refused(run, mine, tmp_path):
    words = ("--policy", f"{mine}:Remembers", "--perturb", "noise:0.3", "--out", tmp_path / "audit")
    said = refusal("audit", run.folder, *words)
    assert "--policy remembers: it remembers the earlier requests of an episode (spec.memory)" in said
    assert not (tmp_path / "audit").exists()
