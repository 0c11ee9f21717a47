"""The benchmarks still run, at their smallest size. Nothing is said here about speed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "benchmarks"


def bench(script, out, *words) -> dict[str, list[dict]]:
    """The tables that a benchmark writes, by the first word of their titles."""
    command = [sys.executable, SCRIPTS / f"{script}.py", *map(str, words), "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    assert content["machine"]["versions"]["mujoco"]
    assert content["command"].startswith(f"python tests/benchmarks/{script}.py")
    return {table["title"].split()[0].rstrip(":,"): table["rows"] for table in content["tables"]}


def test_cost_breakdown_replays_what_the_harness_ran(tmp_path):
    words = ("--suite", "toy", "--policy", "seeker", "--tasks", "0", "--episodes", "2", "--workers", "0")
    tables = bench("cost_breakdown", tmp_path / "out.json", *words)
    (limit,), (measured,), (speed,) = tables["bare"], tables["measured"], tables["efficiency"]
    assert all(limit[part] > 0 for part in ("physics + settling", "render", "inference"))
    assert limit["total"] == pytest.approx(sum(limit[part] for part in ("physics + settling", "render", "inference")))
    parts = ("reset", "physics", "render", "perturb", "inference", "rest")
    assert measured["total"] == pytest.approx(sum(measured[part] for part in parts))
    assert speed["x one worker"] == 1


def test_startup_measures_a_folder_with_as_many_rows_as_it_says(tmp_path):
    rows = bench("startup", tmp_path / "out.json", "--quick", "--rounds", 1, "--rows", 300)["start-up"]
    assert [row["command"] for row in rows] == ["--help", "show, 300 rows", "run on toy, this process, first episode"]
    assert all(row["best s"] > 0 and row["target s"] > 0 for row in rows)


def test_error_rates_say_what_was_aimed_at(tmp_path):
    tables = bench("error_rates", tmp_path / "out.json", "--runs", 20, "--only", "of one task")
    (rows,) = tables.values()
    assert [row["nominal"] for row in rows] == [0.95] * 3
    assert all(row["runs"] == 20 and 0 < row["error"] < 0.2 for row in rows)


def test_error_rates_can_be_made_again_in_part(tmp_path):
    out = tmp_path / "out.json"
    words = ("--only", "of one task", "--only", "other tasks like")
    bench("error_rates", out, "--runs", 20, *words)
    before = json.loads(out.read_text())
    bench("error_rates", out, "--runs", 30, "--only", "other tasks like", "--merge")
    after = json.loads(out.read_text())
    assert {**after, "tables": []} == {**before, "tables": []}
    (kept, old), (still, new) = before["tables"], after["tables"]
    assert still == kept
    assert new["title"] == old["title"]
    assert [row["runs"] for row in new["rows"]] == [30]
    assert new["made"]["command"].endswith("--runs 30 --only other tasks like --merge --out out.json")
    assert new["made"]["machine"]["versions"]["mujoco"]


def test_a_change_of_task_is_in_the_same_scene_or_in_another(tmp_path):
    words = ("--suites", "libero_spatial,libero_object", "--tasks", 2)
    rows = bench("scene_change", tmp_path / "out.json", *words)["bundled"]
    assert [(row["suite"], row["to"], row["changes"]) for row in rows] == [
        ("libero_spatial", "same scene", 1), ("libero_object", "another scene", 1),
    ]  # fmt: skip
    assert all(row["build CPU s"] > 0 for row in rows)


def test_the_viewer_opens_every_page(tmp_path):
    (rows,) = bench("viewer", tmp_path / "out.json", "--runs", 2, "--each", 40, "--episodes", 4000).values()
    assert len(rows) == 6
    assert all(row["settled s"] >= row["first s"] > 0 and row["peak MB"] > 20 for row in rows)


@pytest.mark.slow
def test_policy_batch(tiny_smolvla, tmp_path):
    words = ("--policy", tiny_smolvla, "--device", "cpu", "--batches", "1,2", "--seconds", "0.1")
    tables = bench("policy_batch", tmp_path / "out.json", *words)
    assert [row["batch"] for row in tables["knee"]] in ([1], [2])


@pytest.mark.slow
def test_the_wire_is_compared_with_the_actor(tmp_path):
    words = ("--policy", "seeker", "--batch-size", "1", "--clients", "2", "--seconds", "0.3", "--messages", "5")
    tables = bench("wire", tmp_path / "out.json", *words)
    assert [row["bytes"] > 393_216 for row in tables["parts"]] == [True, False]
    assert [row[""] for row in tables["throughput"]] == ["wire", "actor"] * 2
    assert tables["ratio"][0]["ratio"] > 0


@pytest.mark.slow
def test_a_gpu_server_is_looked_at_while_it_works(tiny_smolvla, tmp_path, monkeypatch):
    told = tmp_path / "bin" / "nvidia-smi"
    told.parent.mkdir()
    told.write_text("#!/bin/sh\necho '37, 1000, [N/A]'\necho '61, 900, 200.5'\n")
    told.chmod(0o755)
    monkeypatch.setenv("PATH", f"{told.parent}:{os.environ['PATH']}")
    words = ("--policy", tiny_smolvla, "--device", "cpu", "--batches", "1,2", "--seconds", "0.1", "--workers", "2")
    tables = bench("gpu_server", tmp_path / "out.json", *words, "--chunks", "50", "--tasks", "0", "--states", "2")
    (row,) = tables["episodes"]
    assert (row["episodes"], row["batch"]) == (2, 2)
    assert (row["GPU"], row["GPU MB"], row["GPU W"]) == (pytest.approx(0.49), 950, 200.5)
    assert 0 < row["processors"] <= 1
    assert row["limit"]
    assert sum(row[part] for part in ("reset", "physics", "render", "policy")) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_lerobot_plays_the_same_episode(tmp_path):
    """One episode of both: equal outcome and length, and actions that agree before small differences can grow."""
    words = ("--case", "bundled-10", "--peer", "single", "--tasks", "2", "--episodes", "1", "--workers", "1")
    rows = bench("against_lerobot_eval", tmp_path / "out.json", *words)
    (episode,) = rows["bundled-10"]
    assert episode["simeval"] == episode["lerobot"] == "success"
    assert episode["steps"] == episode["lerobot steps"]
    assert episode["first difference"] < 1e-5
