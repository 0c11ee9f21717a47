"""`simeval import`: results of other evaluators can be shown and compared, and are never paired."""

import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers import call, refusal, toy_config

import simeval
from envs.suites import tasks
from simeval.analysis.unpaired import compare_unpaired, difference
from simeval.api import evaluate
from simeval.exchange.lerobot_eval import read_lerobot_eval
from simeval.stats.intervals import wilson
from simeval.store.run import Run

SUITE = "libero_spatial"
STORED = Path(__file__).parents[2] / "results" / "spatial"
OUTCOMES = {SUITE: {0: [True, False, True, True], 3: [False, False, True, False]}, "pusht": {0: [True, False]}}


def eval_info(outcomes, monkeypatch) -> dict:
    """What lerobot-eval writes for these outcomes, put together by its own code."""
    from lerobot.scripts import lerobot_eval

    def eval_one(env, **_):
        rewards = [float(success) for success in env.successes]
        return {"sum_rewards": rewards, "max_rewards": rewards, "successes": env.successes, "video_paths": []}

    monkeypatch.setattr(lerobot_eval, "eval_one", eval_one)
    envs = {
        group: {task: SimpleNamespace(successes=part, close=lambda: None) for task, part in of_group.items()}
        for group, of_group in outcomes.items()
    }
    policy = SimpleNamespace(training=False, eval=lambda: None, train=lambda _: None)
    names = ("env_preprocessor", "env_postprocessor", "preprocessor", "postprocessor")
    return lerobot_eval.eval_policy_all(envs, policy, **dict.fromkeys(names), n_episodes=4, start_seed=1000)


@pytest.fixture
def info(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "eval_info.json"
    path.write_text(json.dumps(eval_info(OUTCOMES, monkeypatch), indent=2))
    return path


SCHEMA = """
CREATE TABLE eval_metadata (eval_id TEXT PRIMARY KEY, safe_name TEXT, metadata TEXT);
CREATE TABLE eval_shards (eval_id TEXT, shard_id INTEGER, num_shards INTEGER, complete INTEGER);
CREATE TABLE episode_results (
    sid TEXT, eid TEXT, eval_id TEXT, task_name TEXT, episode_id INTEGER, status TEXT, metrics TEXT, steps INTEGER,
    elapsed_sec REAL, context TEXT, jsonl_path TEXT, failure_reason TEXT, failure_detail TEXT, PRIMARY KEY (sid, eid)
);
"""
"""As vla-eval 0.8 has them; its own `RecordingStore` was read once by hand."""


def recording(path: Path, episodes, *, shards: int = 1) -> Path:
    """Episodes as (evaluation, suite, task, number, status, steps, task's text or `None` for simeval's)."""
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        metadata = json.dumps({"benchmark": "libero", "harness_version": "0.8.0"})
        for evaluation in {episode[0] for episode in episodes}:
            connection.execute("INSERT INTO eval_metadata VALUES (?, 'libero', ?)", (evaluation, metadata))
            connection.execute("INSERT INTO eval_shards VALUES (?, 0, ?, 1)", (evaluation, shards))
        for number, (evaluation, suite, task, episode, status, steps, text) in enumerate(episodes):
            name = text or tasks(suite)[task].instruction
            context = json.dumps({"name": name, "suite": suite, "task_id": task, "episode_idx": episode})
            reason = ("timeout", "timeout=60s:\nno answer") if status == "error" else (None, None)
            values = ("s", str(number), evaluation, name, episode, status, "{}", steps, 1.0, context, "x", *reason)
            connection.execute(f"INSERT INTO episode_results VALUES ({','.join('?' * 13)})", values)
    connection.close()
    return path


def imported(file: Path, source: str, out: Path, *words: object) -> Run:
    called = call("import", file, "--from", source, "--out", out, *words)
    assert called.code == 0, called
    assert called.out.startswith(f"{out}: ")
    return Run.load(out)


def test_lerobot_eval_becomes_a_run_with_its_successes(info, tmp_path):
    run = imported(info, "lerobot-eval", tmp_path / "run", "--policy", "smolvla")
    found = {(r.spec.suite, r.spec.task, r.spec.init_state): r.outcome == "success" for r in run.results}
    assert found == {
        (suite, task, number): success
        for suite, of_suite in OUTCOMES.items()
        for task, successes in of_suite.items()
        for number, success in enumerate(successes)
    }
    shown = json.loads(call("show", run.folder, "--json").out)
    assert shown["policy"] == "smolvla"
    assert [(row["suite"], row["n"], row["rate"]) for row in shown["rates"]] == [(SUITE, 8, 0.5), ("pusht", 2, 0.5)]
    table = call("show", run.folder)
    assert table.code == 0
    assert "nothing proves that its episodes began as others did" in table.out
    before = (run.folder / "episodes.jsonl").read_bytes()
    imported(info, "lerobot-eval", run.folder, "--policy", "smolvla")
    assert (run.folder / "episodes.jsonl").read_bytes() == before


def test_vla_eval_keeps_steps_and_texts_and_its_errors_are_no_failures(tmp_path):
    episodes = [("e", SUITE, 2, 0, "success", 80, None), ("e", SUITE, 2, 1, "fail", 220, None)]
    episodes += [("e", SUITE, 2, 2, "error", 0, None), ("e", SUITE, 2, 3, "error", 0, None)]
    episodes += [("e", SUITE, 2, 3, "success", 90, None)]
    file = recording(tmp_path / "recording-1.sqlite", episodes, shards=2)
    called = call("import", file, "--from", "vla-eval", "--out", tmp_path / "run")
    assert called.code == 0
    notes = called.err.splitlines()
    assert notes[1:] == [
        "note: 1 episodes were recorded again; the last attempt counts",
        "note: 1 episodes broke: vla-eval counts them as failures, here they are errors",
        "note: the evaluation is unfinished: a shard is missing",
    ]
    run = Run.load(tmp_path / "run")
    assert [r.outcome for r in run.results] == ["success", "failure", "error", "success"]
    assert [r.steps for r in run.results] == [80, 220, 0, 90]
    assert run.results[0].instruction == tasks(SUITE)[2].instruction
    assert run.results[2].error_text == "vla-eval: timeout: timeout=60s: no answer"
    assert run.manifest["identity"]["versions"] == {"vla-eval": "0.8.0"}
    (rate,) = json.loads(call("show", run.folder, "--json").out)["rates"]
    assert (rate["n"], rate["errors"], rate["mean_steps"]) == (3, 1, 85.0)


def test_more_episodes_than_initial_states_are_named(tmp_path, monkeypatch):
    path = tmp_path / "eval_info.json"
    path.write_text(json.dumps(eval_info({SUITE: {0: [True] * 51, 1: [True] * 50}}, monkeypatch)))
    run = imported(path, "lerobot-eval", tmp_path / "run")
    assert "more episodes than the 50 initial states" in run.manifest["notes"][-1]
    path.write_text(json.dumps(eval_info({SUITE: {0: [True] * 50}}, monkeypatch)))
    assert len(imported(path, "lerobot-eval", tmp_path / "other").manifest["notes"]) == 1


def test_compare_gives_the_unpaired_difference_over_common_tasks(info, tmp_path):
    theirs, ours = imported(info, "lerobot-eval", tmp_path / "run"), Run.load(STORED)
    called = call("compare", ours.folder, theirs.folder, "--json")
    assert called.code == 0
    record = json.loads(called.out)
    assert record["paired"] is False
    (row,) = record["rates"]
    rows = ours.episodes
    clean = rows[(rows["condition"] == "none") & rows["task"].isin([0, 3])]
    assert (row["suite"], row["tasks"], row["n_a"], row["n_b"]) == (SUITE, 2, len(clean), 8)
    assert row["b"] == 0.5
    assert row["a"] == pytest.approx((clean["outcome"] == "success").groupby(clean["task"]).mean().mean())
    assert row["gain"] == pytest.approx(row["b"] - row["a"])
    assert row["interval"]["low"] < row["gain"] < row["interval"]["high"]
    assert "p" not in row
    assert any(note.startswith("not paired: ") for note in record["notes"])
    text = call("compare", theirs.folder, ours.folder)
    assert text.code == 0
    assert "not paired" in text.out


def test_the_interval_is_newcombes():
    """His example: 56 of 70 against 48 of 80; Statistics in Medicine 17 (1998), table II, method 10."""
    interval = difference((48 / 80, wilson(48, 80)), (56 / 70, wilson(56, 70)))
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_equal_names_of_episodes_never_pair(info, tmp_path):
    """Imported rows have the names of simeval's own episodes, so every reader that pairs must refuse them."""
    theirs, ours = imported(info, "lerobot-eval", tmp_path / "run"), Run.load(STORED)
    assert {r.spec.id for r in theirs.results} & {r.spec.id for r in ours.results}
    with pytest.raises(simeval.ConfigError, match="cannot be paired"):
        simeval.compare(ours, theirs)
    with pytest.raises(simeval.ConfigError, match="imported from lerobot-eval"):
        simeval.report_data([ours, theirs])
    with pytest.raises(ValueError, match="in pairs"):
        compare_unpaired(ours, ours)


@pytest.mark.parametrize("words", [("run", "--resume"), ("audit",), ("audit", "--policy", "bundled"), ("report",)])
def test_what_needs_an_initial_state_refuses(info, tmp_path, words):
    run = imported(info, "lerobot-eval", tmp_path / "run")
    assert "can only be shown, compared and exported" in refusal(*words[:1], *words[1:], run.folder)


def test_an_export_leaves_out_what_is_not_known(info, tmp_path):
    run = imported(info, "lerobot-eval", tmp_path / "run")
    assert call("export", run.folder, "--to", "csv", "--out", tmp_path / "rows.csv").code == 0
    columns = set(pd.read_csv(tmp_path / "rows.csv").columns)
    assert {"suite", "task", "success", "policy"} <= columns
    assert not {"init_state", "max_steps", "steps", "seconds_reset", "root_seed"} & columns


def test_runs_without_a_common_task_are_refused(info, tmp_path):
    run = imported(info, "lerobot-eval", tmp_path / "run")
    toy = evaluate(toy_config(tmp_path / "toy", tasks="0", init_states="0", perturb=()))
    assert "no suite, task and condition is in both" in refusal("compare", toy.folder, run.folder)


def _changed(info: Path, change) -> Path:
    value = json.loads(info.read_text())
    change(value)
    info.write_text(json.dumps(value))
    return info


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda v: v["overall"].update(pc_success=70.0),
            "contradicts itself: overall has 10 episodes with 70 % success",
        ),
        (lambda v: v["per_task"][0]["metrics"]["successes"].pop(), "contradicts itself"),
        (lambda v: v["per_task"].append(v["per_task"][0]), "contradicts itself"),
        (lambda v: v["per_task"][0]["metrics"].update(successes=["yes"]), "not an eval_info.json"),
        (lambda v: (v.pop("per_task"), v.update(aggregated={})), "of a lerobot before 0.4"),
        (lambda v: v["per_task"][0].update(task_id=10), "has no task 10"),
        (lambda v: v["per_task"][2].update(task_id=-1), "pusht has no task -1"),
        (lambda v: v["per_task"][2].update(task_id=10**30), "pusht has no task 1000"),
        (lambda v: v["per_task"][2].update(task_group="\ud800"), "contradicts itself"),
    ],
)
def test_a_file_of_lerobot_eval_that_is_wrong_is_one_line(info, tmp_path, change, reason):
    line = refusal("import", _changed(info, change), "--from", "lerobot-eval", "--out", tmp_path / "run")
    assert reason in line
    assert not (tmp_path / "run").exists()


def test_a_file_of_vla_eval_that_is_wrong_is_one_line(tmp_path):
    def line(name: str, *episodes) -> str:
        file = recording(tmp_path / name, [("e", SUITE, 0, 0, "success", 80, None), *episodes])
        return refusal("import", file, "--from", "vla-eval", "--out", tmp_path / "run")

    assert "is 'push the plate' there" in line("a", ("e", SUITE, 1, 0, "fail", 220, "push the plate"))
    assert f"two evaluations of {SUITE} (e, f)" in line("b", ("f", SUITE, 1, 0, "fail", 220, None))
    assert "lacks its suite, task or status (KeyError 'done')" in line("c", ("e", SUITE, 1, 0, "done", 9, None))
    assert "episode 2 has -5 steps" in line("d", ("e", SUITE, 1, 0, "fail", -5, None))
    sqlite3.connect(tmp_path / "other").executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1);").close()
    assert "no such table" in refusal("import", tmp_path / "other", "--from", "vla-eval")
    assert not (tmp_path / "run").exists()


def test_bad_input_is_one_line(info, tmp_path):
    assert "did you mean 'lerobot-eval'?" in refusal("import", info, "--from", "lerobot")
    assert "not SQLite" in refusal("import", info, "--from", "vla-eval")
    assert "No such file" in refusal("import", tmp_path / "gone.json", "--from", "lerobot-eval")
    assert "is empty" in refusal("import", info, "--from", "lerobot-eval", "--policy", " ")
    (tmp_path / "text.json").write_text("{")
    assert "not JSON" in refusal("import", tmp_path / "text.json", "--from", "lerobot-eval")
    taken = imported(info, "lerobot-eval", tmp_path / "run")
    other = tmp_path / "other.json"
    other.write_text(info.read_text() + "\n")
    assert "holds a different run" in refusal("import", other, "--from", "lerobot-eval", "--out", taken.folder)


def test_nan_of_an_empty_group_is_read(info):
    value = json.loads(info.read_text())
    value["per_group"]["empty"] = {"n_episodes": 0, "pc_success": float("nan")}
    info.write_text(json.dumps(value))
    assert len(read_lerobot_eval(info).episodes) == 10
