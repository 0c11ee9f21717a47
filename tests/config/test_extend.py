"""A finished run takes more episodes; what it had stays."""

import json

import pytest
from helpers import call, lines, refusal, rows, toy_config, without_timings

from simeval.api import evaluate
from simeval.store.run import Run

SMALL = {"tasks": "0", "init_states": "0-1", "perturb": ("noise:0.3",)}


@pytest.fixture
def folder(tmp_path):
    """A finished run of four episodes."""
    return evaluate(toy_config(tmp_path / "run", **SMALL)).folder


def grow(folder, *argv):
    return call("run", "--resume", folder, "--grow", "--workers", 0, *argv)


def test_a_grown_run_has_the_rows_of_one_that_was_large_from_the_start(folder, tmp_path):
    had = lines(folder)
    assert grow(folder, "--init-states", "0-3", "--perturb", "occlusion:0.2").code == 0
    large = toy_config(tmp_path / "large", tasks="0", init_states="0-3", perturb=("noise:0.3", "occlusion:0.2"))
    assert {id_: without_timings(row) for id_, row in rows(folder).items()} == {
        id_: without_timings(row) for id_, row in rows(evaluate(large).folder).items()
    }
    assert lines(folder)[: len(had)] == had


def test_the_manifest_and_the_table_say_what_it_grew_from(folder):
    before = Run.load(folder).manifest
    assert "grown: 4 -> 8 episodes" in grow(folder, "--init-states", "0-3").out
    assert "grown: 4 -> 8 -> 12 episodes" in grow(folder, "--perturb", "light:0.5").out
    after = Run.load(folder).manifest
    assert [step["episodes"] for step in after["grown"]] == [4, 8]
    assert after["grown"][0]["plan"] == before["identity"]["plan"]
    assert after["created"] == before["created"]


def test_the_same_command_again_adds_nothing(folder):
    grow(folder, "--init-states", "0-3")
    first = (folder / "manifest.json").read_bytes(), lines(folder)
    assert grow(folder, "--init-states", "0-3").code == 0
    assert ((folder / "manifest.json").read_bytes(), lines(folder)) == first


def test_growing_goes_on_after_a_kill_with_plain_resume(folder):
    grow(folder, "--init-states", "0-3")
    path = folder / "episodes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    assert call("run", "--resume", folder, "--workers", 0).code == 0
    assert len(rows(folder)) == 8


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--init-states", "1-3"), "--init-states the run would lose 2 episodes, toy/0/init00/noise=0.3/r0 first"),
        (("--tasks", "1"), "would lose 4 episodes"),
        (("--seed", "1"), "--seed is settled by the run"),
        (("--policy", "zero"), "--policy is settled by the run"),
    ],
)
def test_what_is_not_growth_is_refused_and_changes_nothing(folder, argv, said):
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert said in refusal("run", "--resume", folder, "--grow", *argv)
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_grow_needs_a_run(tmp_path):
    assert "--grow: name the run with --resume" in refusal("run", "--suite", "toy", "--grow", "--out", tmp_path / "x")


def test_another_policy_file_is_refused_for_growth_too(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["identity"]["versions"]["mujoco"] = "0.0.1"
    path.write_text(json.dumps(manifest))
    assert 'versions.mujoco: "0.0.1"' in refusal("run", "--resume", folder, "--grow", "--init-states", "0-3")
