"""A study's report with what was found inside its policies."""

import csv
import json

import inside
import pytest
import yaml
from helpers import call, refusal

from simeval.probing.results import FILE, read_results, write_results
from simeval.store.study import Study

STUDY = {
    "suite": "toy",
    "tasks": "0",
    "init_states": "0-1",
    "workers": 0,
    "perturb": ["noise:0.1", "noise:0.3"],
    "policies": {name: {"policy": policy} for name, policy in (("start", "seeker"), ("p0", "random"), ("p1", "zero"))},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    assert call("study", folder / "study.yaml", "--out", folder / "out").code == 0
    return folder / "out"


def test_what_was_found_is_in_the_report_beside_success(study):
    found, _ = inside.world(2, 2, planted=inside.KEPT)
    (study / "representation").mkdir()
    write_results(study / "representation", found)
    assert read_results(study / "representation") == found
    assert call("report", study).code == 0
    page = (study / "report" / "report.html").read_text()
    for text in ("Does what is kept inside predict success?", "cannot tell", "What can be read", "p1"):
        assert text in page
    rivals = list(csv.DictReader((study / "report" / "data" / "rivals.csv").open()))
    assert {row["says"] for row in rivals} == {"cannot tell"}
    assert any("too few policies" in row["reason"] for row in rivals)
    points = list(csv.DictReader((study / "report" / "data" / "rival-points.csv").open()))
    lost = {(row["policy"], row["condition"]): row["loss"] for row in points}
    assert lost["p1", "none"] == "1.0", "the seeker succeeds, the idle policy never does"
    summary = json.loads((study / "report" / "summary.json").read_text())
    assert summary["representation"]["start"] == "start"
    assert len(summary["rivals"][0]["rivals"]) == 7
    assert call("show", study).code == 0


def test_a_study_without_readable_policies_is_refused(study):
    assert "no policy of this study exposes its layers" in refusal("represent", study)
    assert Study.load(study).complete


def test_a_damaged_file_is_one_line(study):
    home = study / "representation"
    home.mkdir(exist_ok=True)
    before = (home / FILE).read_bytes() if (home / FILE).exists() else b""
    for text, complaint in (("{", "not what"), ('{"schema_version": 9}', "has schema 9")):
        (home / FILE).write_text(text)
        assert complaint in refusal("report", study)
    (home / FILE).write_bytes(before)
