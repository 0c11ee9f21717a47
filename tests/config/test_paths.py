"""A run that names a folder goes on from anywhere, and says what it misses if the folder is gone."""

import json
import shutil

import pytest
from helpers import call, refusal, rows

from simeval.config.paths import absolute, located

RUN = ("run", "--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0", "--n-action-steps", "50")


@pytest.fixture
def started(tiny_smolvla, tmp_path, monkeypatch):
    """A folder in which a run of a checkpoint beside it was started, and another one to go on from."""
    here = tmp_path / "here"
    shutil.copytree(tiny_smolvla, here / "ck" / "act")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here)
    called = call(*RUN, "--policy", "ck/act", "--out", "runs/r")
    assert called.code == 0, called
    return here


def change(manifest, edit):
    content = json.loads(manifest.read_text())
    edit(content)
    manifest.write_text(json.dumps(content))


def test_a_run_goes_on_from_another_folder(started, monkeypatch):
    monkeypatch.chdir(started / "elsewhere")
    for words, episodes in (
        (("run", "--resume", "../runs/r"), 1),
        (("run", "--resume", "../runs/r", "--grow", "--init-states", "0-1"), 2),
        (("run", "--resume", "../runs/r"), 2),
        (("audit", "../runs/r", "--perturb", "noise:0.1", "--max-frames", "1", "--workers", "0"), 2),
        (("video", "../runs/r", "--limit", "1", "--size", "64"), 2),
        ((*RUN[:5], "--init-states", "0-1", *RUN[7:], "--policy", "../ck/act", "--out", "../runs/r"), 2),
    ):
        called = call(*words)
        assert called.code == 0, (words, called)
        assert len(rows(started / "runs" / "r")) == episodes
    monkeypatch.chdir(started)
    assert call("run", "--resume", "runs/r").code == 0
    assert call(*RUN[:5], "--init-states", "0-1", *RUN[7:], "--policy", "ck/act", "--out", "runs/r").code == 0


def test_the_same_command_gets_the_same_folder_wherever_it_is_said(started):
    """The name is a digest of what was said; that the folder is known by its whole path must not change it."""
    manifest = json.loads((started / "runs" / "r" / "manifest.json").read_text())
    assert manifest["config"]["policy"] == manifest["identity"]["settings"]["policy"] == "ck/act"
    assert manifest["started_in"] == str(started)
    called = call(*RUN, "--policy", "ck/act")
    assert called.code == 0
    assert [path.name for path in (started / "results").iterdir()] == ["toy-act-19bf34e2"]


def test_a_checkpoint_that_is_gone_is_asked_for(started, monkeypatch):
    monkeypatch.chdir(started / "elsewhere")
    moved = started / "moved" / "act"
    moved.parent.mkdir()
    (started / "ck" / "act").rename(moved)
    said = (
        f"../runs/r: was started in {started} with --policy ck/act, and that folder is not there; say where it is: "
        "--policy PATH"
    )
    assert refusal("run", "--resume", "../runs/r") == said
    assert refusal("run", "--resume", "../runs/r", "--grow", "--init-states", "0-1") == said
    assert refusal("audit", "../runs/r", "--perturb", "noise:0.1") == said
    more = ("--grow", "--init-states", "0-1")
    called = call("run", "--resume", "../runs/r", *more, "--policy", "../moved/act")
    assert called.code == 0, called
    assert len(rows(started / "runs" / "r")) == 2


def test_another_checkpoint_is_not_taken_for_the_one_that_is_gone(started):
    other = started / "other" / "act"
    shutil.copytree(started / "ck" / "act", other)
    with (other / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    before = (started / "runs" / "r" / "episodes.jsonl").read_bytes()
    for words in (("run", "--resume", "runs/r"), (*RUN, "--out", "runs/r")):
        line = refusal(*words, "--policy", "other/act")
        assert "holds a different run (" in line
        assert "policy.sha256: " in line
    assert (started / "runs" / "r" / "episodes.jsonl").read_bytes() == before


def test_a_manifest_of_before_that_does_not_say_where_it_was_started(started, monkeypatch):
    change(started / "runs" / "r" / "manifest.json", lambda content: content.pop("started_in"))
    assert call("run", "--resume", "runs/r").code == 0
    assert call("show", "runs/r").code == 0
    monkeypatch.chdir(started / "elsewhere")
    assert refusal("run", "--resume", "../runs/r") == (
        "../runs/r: was started elsewhere with --policy ck/act, and that folder is not there; say where it is: "
        "--policy PATH"
    )
    assert call("run", "--resume", "../runs/r", "--policy", "../ck/act").code == 0


@pytest.mark.parametrize("word", ["seeker", "bundled", "expert", "org/model", None, 3, "", "a\0b", "~nobody-at-all/x"])
def test_what_names_no_folder_stays_as_it_is(tmp_path, word):
    (tmp_path / "seeker").mkdir()
    (tmp_path / "bundled").mkdir()
    assert absolute("policy", word, str(tmp_path)) == word


def test_assets_are_known_by_their_whole_path_too(tmp_path):
    (tmp_path / "scenes").mkdir()
    manifest = {"config": {"policy": "seeker", "assets": "scenes"}, "started_in": str(tmp_path)}
    assert located(manifest) == {"policy": "seeker", "assets": str(tmp_path / "scenes")}
