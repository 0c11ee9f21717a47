"""Rows of another run are not counted as this one's, whoever put them there."""

import json
import re
import shutil

import pytest
from helpers import call, refusal, toy_config

from simeval.api import evaluate
from simeval.core.errors import ConfigError
from simeval.store.run import Run

SETTINGS = {"tasks": "0-1", "init_states": "0-2", "perturb": ("noise:0.3",)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return evaluate(toy_config(tmp_path_factory.mktemp("runs") / "run", **SETTINGS)).folder


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 5}, r"toy/./init0./.*/r0 has seed 5, the run 0"),
        ({"protocol": "lerobot"}, r"toy/./init0./.*/r0 does not start as its pair does"),
        ({"tasks": "2"}, r"toy/2/init0./.*/r0 is not in the run's plan"),
        ({"init_states": "1-3"}, r"toy/./init03/.*/r0 is not in the run's plan"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_rows_of_another_run_are_refused(folder, tmp_path, changes, said):
    other = evaluate(toy_config(tmp_path / "other", **SETTINGS | changes))
    with (folder / "episodes.jsonl").open("ab") as file:
        file.write((other.folder / "episodes.jsonl").read_bytes())
    for verb in ("show", "report"):
        line = refusal(verb, folder)
        assert re.search(f"episodes.jsonl: has a row of another run: {said}", line)
    with pytest.raises(ConfigError, match="of another run"):
        _ = Run.load(folder).results


def test_a_row_whose_limits_were_edited_is_refused(folder):
    text = (folder / "episodes.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    rows[-1]["spec"]["max_steps"] += 1
    del rows[-1]["crc"]
    (folder / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "does not start as its pair does (seed, limits or image size)" in refusal("show", folder)


def test_the_same_episodes_twice_and_those_of_a_grown_run_belong_to_it(folder):
    stored = (folder / "episodes.jsonl").read_bytes()
    (folder / "episodes.jsonl").write_bytes(stored + stored)
    before = len(Run.load(folder).results)
    grown = call("run", "--resume", folder, "--grow", "--init-states", "0-4", "--tasks", "0-2", "--workers", "0")
    assert (grown.code, grown.err) == (0, "")
    assert before == 12
    assert len(Run.load(folder).results) == 30


def test_a_run_of_an_older_version_without_a_layout_is_read(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["layout"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert len(Run.load(folder).results) == 12
