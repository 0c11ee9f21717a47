"""The stored reference runs: what they claim follows from their rows, and a sample of their episodes runs again."""

import json
import random
from pathlib import Path

import pytest

from envs import numerics
from envs.libero.files import resolve_assets
from simeval.analysis.success import success_table, task_table
from simeval.config.evaluation import from_mapping
from simeval.config.options import load_yaml
from simeval.config.plan import make_plan
from simeval.core import provenance
from simeval.policies.registry import PolicyChoice
from simeval.runner.worker import EpisodeWorker, WorkerSetup
from simeval.store.audit import Audit, same_policy
from simeval.store.run import Run
from simeval.store.study import Study

RESULTS = Path(__file__).parent.parent / "results"
START = "study_finetune/start"
STORED = ("spatial", "object", "goal", "reference", "correlation", "quickstart", "latency", START)
SAMPLE = 4
OLDER = {"spatial": {"far_state", "far_action"}, "object": {"far_state", "far_action"}}
OLDER["correlation"] = OLDER["spatial"]
"""Flags that did not exist when these rows were made."""
IDENTITY = ("outcome", "steps", "first_success", "state_digest", "reached", "approached", "magnitude", "flags")


@pytest.fixture(scope="module")
def correlation() -> Run:
    return Run.load(RESULTS / "correlation")


@pytest.mark.parametrize("name", STORED)
def test_every_planned_episode_ran(name):
    run = Run.load(RESULTS / name)
    assert len(run.results) == run.manifest["episodes"] == len(make_plan(from_mapping(run.manifest["config"])).episodes)
    assert {result.outcome for result in run.results} == {"success", "failure"}
    assert "not LIBERO results" in run.manifest["assets"]


def test_the_recipe_is_what_was_run(correlation):
    recipe = from_mapping(load_yaml(str(RESULTS.parent / "configs" / "correlation.yaml")))
    stored = from_mapping(correlation.manifest["config"])
    assert make_plan(recipe).episodes == make_plan(stored).episodes


def test_the_study_is_whole_and_all_its_policies_ran_the_same_episodes():
    study = Study.load(RESULTS / "study_finetune")
    assert study.complete
    assert len(study.policies) == 16
    assert len({one.run.manifest["identity"]["plan"] for one in study.policies}) == 1
    assert len({one.run.manifest["identity"]["policy"]["sha256"] for one in study.policies}) == 16
    recipe = load_yaml(str(RESULTS.parent / "configs" / "study_finetune.yaml"))
    assert [one.member.name for one in study.policies] == list(recipe["policies"])
    assert {tuple(one.run.manifest["config"]["perturb"]) for one in study.policies} == {tuple(recipe["perturb"])}
    for one in study.policies:
        assert len(one.run.results) == 300
        assert {row.outcome for row in one.run.results} == {"success", "failure"}
        assert same_policy(one.run, one.audit)
        assert {row.frame for row in one.audit.rows} == {row.frame for row in study.policies[0].audit.rows}


@pytest.mark.parametrize(("name", "n"), [("spatial", 500), ("object", 500)])
def test_the_bundled_policies_reach_their_target_on_the_published_initial_states(name, n):
    episodes = Run.load(RESULTS / name).episodes
    clean = episodes[episodes["condition"] == "none"]
    (overall,) = success_table(clean)
    assert (overall.n, overall.tasks) == (n, 10)
    assert overall.rate >= 0.7
    assert min(row.rate for row in task_table(clean)) > 0.3


@pytest.mark.parametrize(
    ("name", "other", "shared"),
    [
        ("correlation", "spatial", 50),
        ("quickstart", "spatial", 20),
        ("reference", "spatial", 500),
        ("reference", "correlation", 650),
        ("latency", "spatial", 100),
        (START, "object", 100),
    ],
)
def test_an_episode_is_the_same_in_both_runs(name, other, shared):
    elsewhere = {result.spec.id: result.state_digest for result in Run.load(RESULTS / other).results}
    both = [result for result in Run.load(RESULTS / name).results if result.spec.id in elsewhere]
    assert len(both) == shared
    for result in both:
        assert result.state_digest == elsewhere[result.spec.id]


def test_success_falls_with_light_and_occlusion(correlation):
    rates = {row.condition: row.rate for row in success_table(correlation.episodes)}
    for axis, strengths in {"light": (0.8, 0.6, 0.4), "occlusion": (0.1, 0.2, 0.4)}.items():
        curve = [rates["none"], *(rates[f"{axis}:{strength}"] for strength in strengths)]
        assert curve == sorted(curve, reverse=True)
    assert rates["none"] > rates["noise:1"]
    assert rates["instruction:empty"] < 0.1


def test_told_the_other_bowl_it_takes_the_other_bowl(correlation):
    rows = correlation.episodes
    told = rows[rows["condition"] == "instruction:counterfactual"]
    assert (told["reached"] == "counterfactual").mean() > 5 * (told["reached"] == "original").mean()


def test_the_audit_is_of_this_policy_and_reproduces_its_rollouts(correlation):
    audit = Audit.load(correlation.folder / "audit")
    assert same_policy(correlation, audit)
    assert audit.complete
    assert {row.drift_exec for row in audit.rows if row.condition == "none"} == {0.0}
    facts = audit.manifest["facts"]["reproduces_rollout"]
    assert facts["equal"] == facts["compared"] == 50


def test_the_stored_summary_is_that_of_the_rows(correlation):
    from simeval.report.terminal.run import summarise

    run = correlation
    assert json.loads((run.folder / "summary.json").read_text()) == json.loads(json.dumps(summarise(run)))


@pytest.mark.parametrize("name", STORED)
def test_stored_rows_were_made_with_portable_numerics(name):
    identity = Run.load(RESULTS / name).manifest["identity"]
    assert identity["numerics"]["mode"] == "portable"
    assert (identity["numerics"]["OpenBLAS"], identity["numerics"]["NumPy"]) == ("Haswell", "AVX2")
    assert identity["policy"]["kernels"] == "ATen AVX2, MKL COMPATIBLE, oneDNN AVX2, linear layers by oneDNN"


@pytest.mark.skipif(numerics.level() != numerics.LEVEL, reason=f"the rows are for {numerics.LEVEL}")
@pytest.mark.parametrize("name", ["spatial", "object", "goal", "reference", "correlation", "latency", START])
def test_a_sample_of_the_episodes_runs_again_on_this_processor(name):
    run = Run.load(RESULTS / name)
    if (opengl := provenance.gl_renderer()) != run.manifest["identity"]["opengl"]:
        pytest.skip(f"renderers draw differently: this is {opengl}")
    sample = random.Random(0).sample(run.results, SAMPLE)
    assets = resolve_assets("bundled")
    assert provenance.folder_digest(assets) == run.manifest["identity"]["settings"]["assets"]
    worker = EpisodeWorker(WorkerSetup(PolicyChoice(run.manifest["identity"]["policy"]["name"]), assets, "none"))
    for stored in sorted(sample, key=lambda result: result.spec.task):
        again = worker.run(stored.spec).result
        for field in IDENTITY:
            value = getattr(again, field)
            if field == "flags":
                value = tuple(flag for flag in value if flag not in OLDER.get(name, ()))
            assert value == getattr(stored, field), (stored.spec.id, field)
