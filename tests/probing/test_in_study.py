"""A study's report with what was found inside its policies."""

import csv
import json

import inside
import pytest
import tiny_smolvla as tiny
import yaml
from helpers import call, refusal

from simeval.core.errors import ConfigError
from simeval.probing import session
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


def looked_into(folder, tiny_smolvla, **changes):
    policies = {"idle": {"policy": "zero"}, "start": {"policy": str(tiny_smolvla)}}
    tuned = tiny.build(folder / "tuned", seed=1)
    settings = {"tasks": "0-3", "init_states": "0-2", "device": "cpu"}
    given = {**STUDY, **settings, "policies": {**policies, "tuned": {"policy": str(tuned)}}, **changes}
    del given["perturb"]
    (folder / "study.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    return folder / "study.yaml", folder / "out"


def test_a_study_may_look_inside_its_policies_and_does_so_once(tmp_path, tiny_smolvla):
    inside = {"max_frames": 12, "per_episode": 1, "device": "cpu", "perturb": ["noise:0.3"]}
    file, out = looked_into(tmp_path, tiny_smolvla, representation=inside)
    assert "then a look inside the policies" in call("study", file, "--out", out, "--dry-run").out
    called = call("study", file, "--out", out)
    assert (called.code, called.err) == (0, "")
    assert "representation: tuned under noise:0.3" in called.out
    found = read_results(out / "representation")
    assert found.policies == ("start", "tuned")
    assert found.conditions == ("none", "noise:0.3")
    assert "What can be read" in (out / "report" / "report.html").read_text()
    before = (out / "representation" / FILE).stat().st_mtime_ns
    assert "look inside" not in call("study", file, "--out", out, "--dry-run").out
    assert call("study", file, "--out", out).code == 0
    assert (out / "representation" / FILE).stat().st_mtime_ns == before

    (out / "representation" / FILE).unlink()
    assert json.loads(call("study", file, "--out", out, "--dry-run", "--json").out)["representation_left"]
    assert call("study", file, "--out", out).code == 0
    assert read_results(out / "representation").policies == found.policies


def test_what_no_look_inside_can_do_is_refused_before_anything_starts(study, tmp_path, tiny_smolvla):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**STUDY, "representation": {}}))
    said = refusal("study", tmp_path / "study.yaml", "--out", tmp_path / "out", "--dry-run")
    assert said.endswith("representation: no policy of this study exposes its layers: only smolvla does")
    file, out = looked_into(tmp_path, tiny_smolvla, representation={"perturb": ["nois:0.2"]})
    said = refusal("study", file, "--out", out)
    assert "representation: --perturb: unknown perturbation 'nois'; did you mean 'noise'?" in said
    assert not list(out.rglob("episodes.jsonl"))


def test_a_look_inside_that_fails_is_told_and_costs_nothing_else(tmp_path, tiny_smolvla, monkeypatch):
    def broken(*_):
        raise ConfigError("frame 3: damaged")

    monkeypatch.setattr(session, "write_results", broken)
    inside = {"max_frames": 4, "per_episode": 1, "device": "cpu", "perturb": []}
    file, out = looked_into(tmp_path, tiny_smolvla, representation=inside, tasks="0", init_states="0-1")
    called = call("study", file, "--out", out)
    assert called.code == 1
    assert "simeval: representation: frame 3: damaged; the same command tries again" in called.err
    assert (out / "report" / "report.html").is_file()
    assert Study.load(out).complete
    monkeypatch.undo()
    assert call("study", file, "--out", out).code == 0
    assert read_results(out / "representation").policies == ("start", "tuned")
