"""The stages of a whole run, through the front door: computed once, from traces alone, and shown everywhere."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import CONDITIONS, call, refusal, roll_out, toy_config, toy_spec
from msgspec import structs

from envs.motion import sampled
from envs.toy.env import BLOCK_SIDE, ToyEnv, block_poses
from envs.toy.tasks import TOY_COLORS
from simeval.analysis import staging
from simeval.analysis.stage_counts import count_stages
from simeval.analysis.stages import STRIDE, classify
from simeval.analysis.staging import stages_of
from simeval.api import evaluate
from simeval.policies.base import PolicySpec
from simeval.report.terminal.stages import render_stages
from simeval.store import stages as s
from simeval.store.run import Run, trace_path
from simeval.store.stages import read_stages, stages_path

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Twenty episodes; never written to."""
    return evaluate(toy_config(tmp_path_factory.mktemp("staging") / "run")).folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_episode_has_a_stage_and_a_success_is_one(folder):
    run, before = Run.load(folder), contents(folder)
    stages = stages_of(run)
    assert [stage.id for stage in stages] == [result.spec.id for result in run.results]
    for stage, result in zip(stages, run.results, strict=True):
        assert (stage.stage == s.SUCCESS) == (result.outcome == "success")
        assert stage.stage is not None
        assert not stage.reason
    assert len({stage.stage for stage in stages}) > 1
    after = contents(folder)
    assert after.pop(s.STAGES_FILE)
    assert after == before, "nothing else in the folder changes"


def test_divergence_is_of_perturbed_episodes(folder):
    stages = stages_of(Run.load(folder))
    clean = [stage for stage in stages if "/none/" in stage.id]
    assert all(stage.divergence_step is None and not stage.twin for stage in clean)
    away = [stage for stage in stages if stage.divergence_step is not None]
    assert away
    assert all(0 < stage.divergence_step <= 60 and 0.05 < stage.divergence_m < 0.5 for stage in away)


def test_the_second_call_reads_no_states(folder, monkeypatch):
    first = stages_of(Run.load(folder))
    written = stages_path(folder).stat().st_mtime_ns
    monkeypatch.setattr(staging, "_computed", None)
    assert stages_of(Run.load(folder)) == first
    assert stages_path(folder).stat().st_mtime_ns == written


def test_only_new_rows_are_computed(tmp_path):
    small = toy_config(tmp_path / "run", init_states="0-0")
    evaluate(small)
    first = stages_of(Run.load(tmp_path / "run"))
    evaluate(toy_config(tmp_path / "run", init_states="0-1"), grow=True)
    asked = []
    both = stages_of(Run.load(tmp_path / "run"), lambda count: (asked.append(count), lambda: None)[1])
    clean = sum("/none/" in stage.id and stage.stage == s.SUCCESS for stage in both) // 2
    assert asked == [len(both) - len(first) - clean], "an unperturbed success needs no states"
    assert set(first) < set(both)


def test_workers_do_not_matter(finished, folder, tmp_path):
    stages_of(Run.load(folder))
    other = evaluate(toy_config(tmp_path / "ray", workers=2)).folder
    stages_of(Run.load(other))
    assert stages_path(other).read_bytes() == stages_path(folder).read_bytes()


def test_without_traces_it_says_so_and_stores_nothing(tmp_path):
    run = Run.load(evaluate(toy_config(tmp_path / "run", traces="none")).folder)
    stages = stages_of(run)
    assert {stage.stage for stage in stages} <= {None, s.SUCCESS}
    assert all(stage.reason == staging.NO_TRACE for stage in stages if stage.stage is None)
    assert not stages_path(run.folder).exists()


def test_traces_that_come_later_are_read(folder, tmp_path):
    trace = next((folder / "traces").rglob("noise=0.3/*.npz"))
    trace.rename(tmp_path / "kept")
    before = {stage.id: stage for stage in stages_of(Run.load(folder))}
    (tmp_path / "kept").rename(trace)
    after = {stage.id: stage for stage in stages_of(Run.load(folder))}
    assert [before[name].reason for name in before if before[name] != after[name]] == [staging.NO_TRACE]


def test_without_the_twins_states_nothing_is_compared_until_they_come(folder, tmp_path):
    traces = [*(folder / "traces").rglob("none/*.npz")]
    for number, trace in enumerate(traces):
        trace.rename(tmp_path / f"{number}")
    alone = count_stages(Run.load(folder).results, {stage.id: stage for stage in stages_of(Run.load(folder))})
    assert alone.divergences == ()
    for number, trace in enumerate(traces):
        (tmp_path / f"{number}").rename(trace)
    stages = {stage.id: stage for stage in stages_of(Run.load(folder))}
    compared = count_stages(Run.load(folder).results, stages)
    assert sum(row.pairs for row in compared.divergences) == 16
    assert sum(row.diverged for row in compared.divergences) > 0


def test_a_damaged_trace_costs_its_own_stage_only(folder):
    run = Run.load(folder)
    broken = next(result for result in run.results if result.outcome == "failure")
    trace_path(folder, broken.spec).write_bytes(b"not a trace")
    stages = {stage.id: stage for stage in stages_of(run)}
    assert stages[broken.spec.id].reason == staging.DAMAGED
    assert sum(stage.stage is None for stage in stages.values()) == 1


def test_an_environment_that_cannot_tell_is_named(folder, monkeypatch):
    monkeypatch.setattr(staging, "TellsMotion", int)
    stages = stages_of(Run.load(folder))
    assert {stage.reason for stage in stages if stage.stage is None} == {staging.CANNOT_TELL.format("toy")}


def test_an_old_run_without_states(tmp_path):
    copy = shutil.copytree(REFERENCE, tmp_path / "reference")
    shown = json.loads(call("show", copy, "--stages", "--json").out)
    stages = shown["stages"]
    failures = sum(result.outcome == "failure" for result in Run.load(copy).results)
    assert stages["untold"] == [[staging.NO_TRACE, failures]]
    assert sum(row["count"] for row in stages["counts"]) == stages["failures"] == failures
    assert not stages_path(copy).exists()


def test_the_table_counts_every_failure(folder):
    shown = call("show", folder, "--stages")
    assert shown.code == 0, shown.err
    won = sum(r.spec.condition == "none" and r.outcome == "success" for r in Run.load(folder).results)
    assert shown.err == f"reading the states of {20 - won} episodes\n"
    for text in ("how far failures got", "never approached", "diverged from the unperturbed twin"):
        assert text in shown.out
    again = call("show", folder, "--stages", "--json")
    assert again.err == ""
    found = json.loads(again.out)
    assert found["policy"] == "seeker", "the tables of the run come as well"
    results = Run.load(folder).results
    for condition in ("none", *CONDITIONS):
        failed = sum(r.outcome == "failure" for r in results if r.spec.condition == condition)
        rows = [row for row in found["stages"]["counts"] if row["condition"] == condition]
        assert sum(row["count"] for row in rows) == failed
        assert all(row["failures"] == failed for row in rows)


def test_the_report_has_a_chapter_only_where_stages_are_stored(folder):
    assert call("report", folder).code == 0
    assert "How far failures got" not in (folder / "report" / "report.html").read_text()
    call("show", folder, "--stages")
    assert call("report", folder).code == 0
    page = (folder / "report" / "report.html").read_text()
    assert "How far failures got" in page
    assert "Failures on toy by how far they got" in page
    assert (folder / "report" / "figures" / "toy-stages.svg").exists()
    rows = list(csv.DictReader((folder / "report" / "data" / "stages.csv").open()))
    assert sum(int(row["count"]) for row in rows) == sum(r.outcome == "failure" for r in Run.load(folder).results)


def test_exported_rows_have_the_columns_once_they_are_computed(folder, tmp_path):
    def exported() -> list[dict[str, str]]:
        assert call("export", folder, "--to", "csv", "--out", tmp_path / "rows.csv").code == 0
        return list(csv.DictReader((tmp_path / "rows.csv").open()))

    assert "stage" not in exported()[0]
    call("show", folder, "--stages")
    rows = exported()
    assert all((row["stage"] == s.SUCCESS) == (row["success"] == "True") for row in rows)
    assert any(float(row["divergence_cm"] or 0) > 5 for row in rows)


def spoil_an_entry(folder: Path) -> None:
    """Another stage in the third entry, which is as good an entry as it was."""
    call("show", folder, "--stages")
    lines = stages_path(folder).read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"stage":"', b'"stage":"x', 1)
    stages_path(folder).write_bytes(b"".join(lines))


def test_damaged_stages_are_computed_again_with_one_line(folder):
    call("show", folder, "--stages")
    sound, shown = stages_path(folder).read_bytes(), call("show", folder, "--stages").out
    spoil_an_entry(folder)
    again = call("show", folder, "--stages")
    assert (again.code, again.out) == (0, shown)
    said = f"simeval: {stages_path(folder)}: line 4 is damaged; what is lost is computed again"
    assert again.err.splitlines() in ([said], [said, "reading the states of 1 episodes"])
    assert stages_path(folder).read_bytes() == sound
    stages_path(folder).write_bytes(b"x" + sound)
    assert call("show", folder, "--stages").out == shown
    assert stages_path(folder).read_bytes() == sound, "without its first line nothing of it counts"


def test_a_report_and_an_export_go_on_with_what_is_sound(folder, tmp_path):
    spoil_an_entry(folder)
    problem = f"{stages_path(folder)}: line 4 is damaged; simeval show {folder} --stages computes again what is missing"
    made = call("report", folder)
    assert (made.code, made.err) == (0, f"simeval: {problem}\n")
    page = (folder / "report" / "report.html").read_text()
    assert "ow far failures got is not complete" in page
    assert "Failures on toy by how far they got" in page
    exported = call("export", folder, "--to", "csv", "--out", tmp_path / "rows.csv")
    assert (exported.code, problem in exported.err) == (0, True)
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert sum(row["stage"] != "" for row in rows) == len(rows) - 1
    stages_path(folder).write_bytes(b"\xff")
    made = call("report", folder)
    assert (made.code, len(made.err.splitlines())) == (0, 1)
    assert "line 1 is damaged, which says what the others are" in made.err


def test_a_study_is_refused_in_one_line(tmp_path):
    (tmp_path / "study.json").write_text('{"schema_version":1,"simeval":"0","baseline":"a","policies":[]}')
    assert refusal("show", tmp_path, "--stages") == f"--stages: {tmp_path} is a study; name a run"


def test_nothing_is_told_of_a_run_without_failures(folder):
    won = [result for result in Run.load(folder).results if result.outcome == "success"]
    counts = count_stages(won, read_stages(folder))
    assert counts.failures == 0
    assert "no episode failed" in str([getattr(part, "plain", "") for part in render_stages(counts).renderables])


class Aimed:
    """Moves the tip to a point at a speed; privileged, as the toy scene's poses are known."""

    spec = PolicySpec("aimed", n_action_steps=1, cameras=())

    def __init__(self, target: np.ndarray, speed: float = 1.0) -> None:
        self._target, self._speed = target, speed

    def act(self, inputs):
        off = [(self._target - request.observation.state[:3]) / 0.01 for request in inputs]
        return [np.array([[*np.clip(move, -1, 1) * self._speed, 0, 0, 0, -1]], np.float32) for move in off]


@pytest.mark.parametrize(
    ("target", "speed", "steps", "stage"),
    [
        (lambda own, other: own, 1.0, 60, s.SUCCESS),
        (lambda own, other: np.array([0, 0, 0.15]), 1.0, 60, s.NEVER_APPROACHED),
        (lambda own, other: other, 1.0, 60, s.WRONG_OBJECT),
        (lambda own, other: own + np.array([0, 0, BLOCK_SIDE / 2 + 0.023]), 1.0, 60, s.BESIDE),
        (lambda own, other: own, 0.1, 40, s.OUT_OF_TIME),
    ],
)
def test_toy_episodes_that_fail_on_purpose(target: Callable, speed: float, steps: int, stage: str):
    env, spec = ToyEnv(0, 32), toy_spec(max_steps=steps, settle_steps=0, resolution=32)
    points = [np.array([x, y, BLOCK_SIDE / 2]) for x, y, _ in block_poses(0, 0)]
    far = max(points[1:], key=lambda point: float(np.linalg.norm(point - points[0])))
    result, trace = roll_out(spec, env, Aimed(np.asarray(target(points[0], far), float), speed))
    if stage == s.SUCCESS:
        assert result.outcome == "success", result.error_text
        return
    assert result.outcome == "failure", result.error_text
    env.reset(structs.replace(spec, settle_steps=0))
    at = sampled(len(trace.states), STRIDE)
    verdict = classify(env.motion([trace.states[i] for i in at], at, env.task.goal), np.zeros(len(at), bool))
    assert verdict.stage == stage
    assert verdict.object == (f"{TOY_COLORS[0]}_block" if stage != s.WRONG_OBJECT else verdict.object)
