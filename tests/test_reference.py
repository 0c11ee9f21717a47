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


@pytest.fixture(scope="module")
def correlation() -> Run:
    return Run.load(RESULTS / "correlation")


@pytest.mark.parametrize("name", ["reference", "correlation", "object", "goal"])
def test_every_planned_episode_ran(name):
    run = Run.load(RESULTS / name)
    assert len(run.results) == run.manifest["episodes"] == len(make_plan(from_mapping(run.manifest["config"])).episodes)
    assert {result.outcome for result in run.results} == {"success", "failure"}
    assert "not LIBERO results" in run.manifest["assets"]


@pytest.mark.parametrize("name", ["reference", "correlation"])
def test_the_recipe_is_what_was_run(name):
    recipe = from_mapping(load_yaml(str(RESULTS.parent / "configs" / f"{name}.yaml")))
    stored = from_mapping(Run.load(RESULTS / name).manifest["config"])
    assert make_plan(recipe).episodes == make_plan(stored).episodes


@pytest.mark.parametrize("name", ["reference", "object"])
def test_the_bundled_policies_reach_their_target_on_the_published_initial_states(name):
    episodes = Run.load(RESULTS / name).episodes
    clean = episodes[episodes["condition"] == "none"]
    (overall,) = success_table(clean)
    assert (overall.n, overall.tasks) == (500, 10)
    assert overall.rate >= 0.7
    assert min(row.rate for row in task_table(clean)) > 0.3


def test_an_episode_is_the_same_in_both_runs(reference, correlation):
    elsewhere = {result.spec.id: result for result in correlation.results}
    shared = [result for result in reference.results if result.spec.id in elsewhere]
    assert len(shared) == 50 * len(reference.manifest["conditions"])
    for result in shared:
        assert result.state_digest == elsewhere[result.spec.id].state_digest


def test_success_falls_with_light_and_occlusion(reference, correlation):
    few = {row.condition: row.rate for row in success_table(correlation.episodes)}
    for axis, strengths in {"light": (0.8, 0.6, 0.4), "occlusion": (0.1, 0.2, 0.4)}.items():
        curve = [few["none"], *(few[f"{axis}:{strength}"] for strength in strengths)]
        assert curve == sorted(curve, reverse=True)
    many = {row.condition: row.rate for row in success_table(reference.episodes)}
    assert many["none"] > many["light:0.8"] > many["light:0.6"]
    assert many["none"] > many["occlusion:0.2"] > many["occlusion:0.4"]
    assert many["none"] > many["noise:0.5"] > many["noise:1"]
    assert many["instruction:empty"] < 0.1


def test_told_the_other_bowl_it_takes_the_other_bowl(reference):
    rows = reference.episodes
    told = rows[rows["condition"] == "instruction:counterfactual"]
    assert (told["reached"] == "counterfactual").mean() > 5 * (told["reached"] == "original").mean()


def test_the_audit_is_of_this_policy_and_reproduces_its_rollouts(correlation):
    audit = Audit.load(correlation.folder / "audit")
    assert same_policy(correlation, audit)
    assert audit.complete
    assert {row.drift_exec for row in audit.rows if row.condition == "none"} == {0.0}
    facts = audit.manifest["facts"]["reproduces_rollout"]
    assert facts["equal"] == facts["compared"] == 50


@pytest.mark.parametrize("name", ["reference", "correlation"])
def test_the_stored_summary_is_that_of_the_rows(name):
    from simeval.summary import summarise

    run = Run.load(RESULTS / name)
    assert json.loads((run.folder / "summary.json").read_text()) == json.loads(json.dumps(summarise(run)))


@pytest.mark.parametrize("name", ["reference", "object", "goal"])
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
