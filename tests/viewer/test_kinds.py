"""Every kind of run has a page: searches, runs that stop early, imported ones, stored ones, and those just begun."""

import html
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from helpers import call
from viewers import open_viewer

STORED = Path(__file__).parents[2] / "results"
TOY = ("--suite", "toy", "--workers", "0", "--policy", "seeker")
RUNS = {
    "threshold": ("threshold", *TOY, "--init-states", "0-9", "--perturb", "noise", "--max-episodes", "60"),
    "worst": ("worst", *TOY, "--perturb", "light:..0.4", "--budget", "60", "--confirm", "10"),
    "decided": ("run", *TOY, "--perturb", "noise:0.9", "--until", "decided"),
}


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("kinds") / "results"
    for name, words in RUNS.items():
        called = call(*words, "--out", made / name)
        assert called.code == 0, called.err
    return made


@pytest.mark.parametrize("name", RUNS)
def test_it_says_what_show_says(folder, name, tmp_path):
    client = open_viewer(folder, tmp_path)
    page = client.settled(f"/run?run={name}")
    assert page.status_code == 200
    record = json.loads(call("show", folder / name, "--json").out)
    shown = text_of(page.text)
    for line in record["text"].split(", ") if "text" in record else record["cautions"]:
        assert line[1:] in shown
    planned = json.loads((folder / name / "manifest.json").read_text())["episodes"]
    said = re.search(r"(\d[\d,]*)(?: of (\d[\d,]*))? episodes, (\w+)", shown)
    assert (said[2] is None) == (name != "decided"), "a search has no plan to be at the end of"
    os.utime(folder / name / "episodes.jsonl", (1, 1))
    later = text_of(client.get(f"/run?run={name}").text)
    assert (" episodes, ended" in later) == (name != "decided")
    assert said[2] is None or int(said[2].replace(",", "")) == planned
    assert client.get(f"/episodes?run={name}").status_code == 200


@pytest.mark.parametrize("name", [path.parent.name for path in sorted(STORED.glob("*/manifest.json"))])
def test_stored_runs_are_shown(name, tmp_path):
    client = open_viewer(STORED, tmp_path)
    page = client.settled(f"/run?run={name}")
    assert page.status_code == 200
    assert "clean" in text_of(page.text)
    listed = client.get(f"/episodes?run={name}")
    first = html.unescape(re.search(r'href="(/episode\?[^"]+)"', listed.text)[1])
    episode = client.get(first)
    assert episode.status_code == 200
    assert "its trace was not kept" in episode.text


def test_the_notes_of_a_run_are_shown(results, tmp_path):
    """That of an imported one says that nothing proves what its episodes began with."""
    folder = tmp_path / "results" / "toy"
    shutil.copytree(results / "toy", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    changes = {"imported": {"from": "lerobot-eval"}, "notes": ["imported from lerobot-eval: nothing proves"]}
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    page = open_viewer(tmp_path / "results", tmp_path).settled("/run?run=toy")
    assert "Note: imported from lerobot-eval: nothing proves" in text_of(page.text)


def test_a_run_that_has_just_begun_or_whose_suite_is_not_here_has_its_page(results, tmp_path):
    folder = tmp_path / "results" / "toy"
    shutil.copytree(results / "toy", folder)
    client = open_viewer(tmp_path / "results", tmp_path)
    rows = (folder / "episodes.jsonl").read_text()
    (folder / "episodes.jsonl").write_text("")
    for address in ("/", "/run?run=toy", "/episodes?run=toy"):
        assert client.settled(address).status_code == 200
    assert "no episode has run yet" in client.settled("/run?run=toy").text
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["suite"] = ["my_suite"]
    manifest["layout"] = {"my_suite": manifest["layout"]["toy"]}
    manifest["identity"]["plugins"] = {"my_suite.py": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    made = [json.loads(line.replace("toy/", "my_suite/")) for line in rows.splitlines()]
    for row in made:
        row.pop("crc")
        row["spec"]["suite"] = "my_suite"
    (folder / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    client = open_viewer(tmp_path / "results", tmp_path)
    assert "20 of 20 episodes" in client.settled("/run?run=toy").text
    assert client.get("/episode?run=toy&id=my_suite/0/init00/none/r0").status_code == 200


def test_a_folder_whose_name_is_not_utf_8_does_not_hide_the_others(results, tmp_path):
    shutil.copytree(results / "toy", tmp_path / "results" / "toy")
    odd = os.fsencode(tmp_path / "results") + b"/bad\xffname"
    shutil.copytree(os.fsencode(results / "toy"), odd)
    client = open_viewer(tmp_path / "results", tmp_path)
    page = client.get("/")
    assert page.status_code == 200
    assert "/run?run=toy" in page.text
    assert "not UTF-8" in page.text
    assert client.get("/run?run=tox").status_code == 404
