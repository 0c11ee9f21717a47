"""The stored reference runs: what they claim follows from their rows, and a sample of their episodes runs again."""

import json
import random
from pathlib import Path

import pytest

from envs.libero_files import resolve_assets
from simeval import provenance
from simeval.analysis import success_table, task_table
from simeval.audit.folder import Audit
from simeval.config import from_mapping, load_yaml
from simeval.findings import same_policy
from simeval.plan import make_plan
from simeval.policies.registry import PolicyChoice
from simeval.store import Run
from simeval.worker import EpisodeWorker, WorkerSetup

RESULTS = Path(__file__).parent.parent / "results"
SAMPLE = 4
IDENTITY = ("outcome", "steps", "first_success", "state_digest", "reached", "approached", "magnitude", "flags")


@pytest.fixture(scope="module")
def reference() -> Run:
    return Run.load(RESULTS / "reference")


@pytest.mark.parametrize("name", ["reference", "clean", "object"])
def test_every_planned_episode_ran(name):
    run = Run.load(RESULTS / name)
    assert len(run.results) == run.manifest["episodes"] == len(make_plan(from_mapping(run.manifest["config"])).episodes)
    assert {result.outcome for result in run.results} == {"success", "failure"}
    assert "not LIBERO results" in run.manifest["assets"]


def test_the_recipe_is_what_was_run(reference):
    recipe = from_mapping(load_yaml(str(RESULTS.parent / "configs" / "reference.yaml")))
    assert make_plan(recipe).episodes == make_plan(from_mapping(reference.manifest["config"])).episodes


@pytest.mark.parametrize("name", ["clean", "object"])
def test_the_bundled_policies_reach_their_target_on_the_published_initial_states(name):
    episodes = Run.load(RESULTS / name).episodes
    (overall,) = success_table(episodes)
    assert (overall.n, overall.tasks) == (500, 10)
    assert overall.rate >= 0.7
    assert min(row.rate for row in task_table(episodes)) > 0.3


def test_a_clean_episode_is_the_same_in_both_runs(reference):
    clean = {result.spec.id: result for result in Run.load(RESULTS / "clean").results}
    shared = [result for result in reference.results if result.spec.id in clean]
    assert len(shared) == 50
    for result in shared:
        assert result.state_digest == clean[result.spec.id].state_digest


def test_success_falls_with_light_and_occlusion(reference):
    rates = {row.condition: row.rate for row in success_table(reference.episodes)}
    for axis, strengths in {"light": (0.8, 0.6, 0.4), "occlusion": (0.1, 0.2, 0.4)}.items():
        curve = [rates["none"], *(rates[f"{axis}:{strength}"] for strength in strengths)]
        assert curve == sorted(curve, reverse=True)
    assert rates["noise:1"] < rates["noise:0.5"]
    assert rates["instruction:empty"] < 0.1


def test_the_audit_is_of_this_policy_and_reproduces_its_rollouts(reference):
    audit = Audit.load(reference.folder / "audit")
    assert same_policy(reference, audit)
    assert audit.complete
    assert {row.drift_exec for row in audit.rows if row.condition == "none"} == {0.0}
    facts = audit.manifest["facts"]["reproduces_rollout"]
    assert facts["equal"] == facts["compared"] == 50


def test_the_stored_summary_is_that_of_the_rows(reference):
    from simeval.api import summarise

    assert json.loads((reference.folder / "summary.json").read_text()) == json.loads(json.dumps(summarise(reference)))


@pytest.mark.parametrize("name", ["reference", "object"])
def test_a_sample_of_the_episodes_has_the_same_outcome_again(name):
    run = Run.load(RESULTS / name)
    here, there = provenance.cpu_model(), run.manifest["host"]["cpu"]
    if here != there:
        pytest.skip(f"libraries round by processor: this is {here}, the run was made on {there}")
    if (opengl := provenance.gl_renderer()) != run.manifest["identity"]["opengl"]:
        pytest.skip(f"renderers draw differently: this is {opengl}")
    sample = random.Random(0).sample(run.results, SAMPLE)
    assets = resolve_assets("bundled")
    assert provenance.folder_digest(assets) == run.manifest["identity"]["settings"]["assets"]
    worker = EpisodeWorker(WorkerSetup(PolicyChoice(run.manifest["identity"]["policy"]["name"]), assets, "none"))
    for stored in sorted(sample, key=lambda result: result.spec.task):
        again = worker.run(stored.spec).result
        for field in IDENTITY:
            assert getattr(again, field) == getattr(stored, field), (stored.spec.id, field)
