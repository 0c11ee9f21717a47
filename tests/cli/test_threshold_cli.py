"""`simeval threshold`: what it prints and writes, that it resumes, and what it refuses; on the toy suite."""

import errno
import json
import shutil
from pathlib import Path

import pytest
from helpers import call, lines, refusal

from simeval import api
from simeval.core.files import replace_file
from simeval.core.types import CLEAN
from simeval.policies.scripted import SeekerPolicy
from simeval.store.run import RunWriter

TOY = ("--suite", "toy", "--init-states", "0-19", "--workers", "0")
VERB = ("threshold", *TOY)
SEARCH = (*VERB, "--perturb", "noise", "--perturb", "light", "--max-episodes", "70")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished search on two axes; never written to."""
    folder = tmp_path_factory.mktemp("threshold") / "run"
    called = call(*SEARCH, "--out", folder)
    assert called.code == 0, called.err
    (folder / "printed.txt").write_text(called.out)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def ids(folder: Path) -> list[str]:
    return [row["id"] for row in lines(folder)]


def test_one_line_per_axis_and_the_episodes_that_were_placed(finished):
    text = (finished / "printed.txt").read_text()
    assert "seeker on toy: strength at which success falls to 50 % of clean" in text
    assert "\nnoise 0." in text
    assert "\nlight 0." in text
    assert "noise, fraction" in text
    assert "placed where they tell most" in text


def test_the_result_is_stored(finished):
    result = json.loads((finished / "threshold.json").read_text())
    assert (result["policy"], result["suite"], result["level"]) == ("seeker", "toy", 0.5)
    noise, light = result["axes"]
    assert 0 < noise["low"] < noise["value"] < noise["high"] < 1
    assert 0 < light["low"] < light["value"] < light["high"] < 1
    assert noise["text"] in result["text"]
    assert result["clean_episodes"] + noise["episodes"] + light["episodes"] == len(lines(finished)) <= 70
    assert noise["curve"][0]["rate"] > noise["curve"][-1]["rate"]
    assert light["curve"][0]["value"] == 1
    assert (finished / "threshold.png").stat().st_size > 10_000
    assert (finished / "threshold.svg").read_text().startswith("<?xml")


def test_the_rows_are_those_of_a_run(finished, tmp_path):
    placed = {row["spec"]["condition"] for row in lines(finished) if row["spec"]["condition"].startswith("noise")}
    out = tmp_path / "plain"
    chosen = sorted(placed)[0]
    assert call("run", *TOY, "--perturb", chosen, "--out", out).code == 0
    plain = {row["id"]: row["state_digest"] for row in lines(out)}
    both = [row for row in lines(finished) if row["id"] in plain]
    assert both
    assert all(row["state_digest"] == plain[row["id"]] for row in both)


def test_the_same_command_does_nothing_more(run, idle):
    before = ids(run)
    called = call(*SEARCH, "--out", run)
    assert called.code == 0, called.err
    assert ids(run) == before
    assert "noise 0." in called.out


def test_an_episode_that_broke_is_named_and_tried_again(tmp_path, monkeypatch):
    enough = SeekerPolicy.act

    def act(self, inputs):
        if "init01" in inputs[0].pair_id:
            raise RuntimeError("no such luck")
        return enough(self, inputs)

    search = ("threshold", "--suite", "toy", "--init-states", "0-1", "--workers", "0", "--perturb", "noise")
    search += ("--max-episodes", "12", "--out", tmp_path / "run")
    monkeypatch.setattr(SeekerPolicy, "act", act)
    broke = call(*search)
    assert broke.code == 1
    (line,) = broke.err.splitlines()
    assert "of 12 episodes broke, the first (toy/" in line
    assert "/init01/" in line
    assert "in its policy phase: RuntimeError: no such luck; the same command tries them again" in line
    monkeypatch.undo()
    assert call(*search).code == 0
    assert all(row["outcome"] != "error" for row in lines(tmp_path / "run")[12:])
    assert len(set(ids(tmp_path / "run"))) == 12


@pytest.mark.parametrize("kept", [4, 25])
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(finished, run, kept):
    text = (run / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (run / "episodes.jsonl").write_bytes(b"".join(text[:kept]) + text[kept][:50])
    assert call("threshold", "--resume", run, "--workers", "0").code == 0
    assert ids(run) == ids(finished)
    assert (run / "threshold.json").read_bytes() == (finished / "threshold.json").read_bytes()


def test_another_level_goes_on_with_the_same_episodes(finished, run):
    called = call("threshold", "--resume", run, "--workers", "0", "--level", "0.8", "--max-episodes", "75", "--json")
    assert called.code == 0, called.err
    summary = json.loads(called.out.splitlines()[-1])
    before = json.loads((finished / "threshold.json").read_text())
    assert summary["level"] == 0.8
    assert summary["axes"][0]["value"] < before["axes"][0]["value"]
    assert ids(run)[: len(ids(finished))] == ids(finished)
    assert json.loads((run / "manifest.json").read_text())["threshold"]["level"] == 0.8
    assert "80 % of clean" in call("show", run).out


def test_show_prints_the_thresholds_and_no_rates_of_single_strengths(finished, run):
    shown = call("show", run)
    assert shown.code == 0
    assert "noise 0." in shown.out
    assert "drop vs none" not in shown.out
    assert "have not run" not in shown.out
    record = json.loads(call("show", run, "--json").out)
    assert record == json.loads((finished / "threshold.json").read_text())


def test_a_report_has_the_thresholds_and_the_clean_rate_alone(run):
    assert call("report", run).code == 0
    page = (run / "report" / "report.html").read_text()
    assert "Thresholds" in page
    assert "placed where they tell most" in page
    assert "Drop against none" not in page
    assert "Unfinished" not in page
    assert (run / "report" / "figures" / "threshold.svg").exists()
    (policy,) = json.loads((run / "report" / "summary.json").read_text())["policies"]
    assert [row["condition"] for row in policy["rates"]] == [CLEAN]
    assert policy["thresholds"]["axes"][0]["label"] == "noise"


def test_its_strengths_are_not_compared_one_by_one(run, idle):
    assert "made by `simeval threshold`, which chose its strengths" in refusal("compare", run, run)
    assert "made by `simeval threshold`" in refusal("run", "--resume", run)
    assert "made by `simeval threshold`" in refusal("run", "--resume", run, "--grow", "--init-states", "0-30")


def test_a_run_is_no_search(tmp_path, monkeypatch):
    out = tmp_path / "plain"
    assert call("run", *TOY, "--tasks", "0", "--perturb", "noise:0.1", "--out", out).code == 0
    monkeypatch.setattr(api, "open_runner", None)
    assert "made by `simeval run`" in refusal("threshold", "--resume", out)
    assert "made by `simeval run`" in refusal(*SEARCH, "--out", out)


def test_a_threshold_that_is_not_reached_is_said_so(tmp_path):
    called = call(*VERB, "--perturb", "noise:0..0.05", "--max-episodes", "60", "--out", tmp_path / "run")
    assert called.code == 0, called.err
    assert "noise not reached up to 0.05" in called.out
    (axis,) = json.loads((tmp_path / "run" / "threshold.json").read_text())["axes"]
    assert axis["beyond"] > 0.95
    assert axis["value"] is axis["low"] is axis["high"] is None


def test_a_threshold_before_the_weakest_strength_has_no_value(tmp_path):
    words = ("--policy", "seeker", "--suite", "toy", "--workers", 0, "--perturb", "noise:0.9..1", "--max-episodes", 40)
    called = call("threshold", *words, "--out", tmp_path / "run")
    assert "noise before 0.9, the weakest strength of the range" in called.out
    (axis,) = json.loads((tmp_path / "run" / "threshold.json").read_text())["axes"]
    assert axis["text"] == "noise before 0.9, the weakest strength of the range"
    assert (axis["value"], axis["low"], axis["high"], axis["is_reached"]) == (None, None, None, True)
    assert call("report", tmp_path / "run").code == 0


def test_a_policy_that_never_succeeds_has_no_threshold(tmp_path):
    called = call(*VERB, "--policy", "zero", "--perturb", "noise", "--out", tmp_path / "run", "--json")
    assert called.code == 2
    assert called.err.count("\n") == 1
    assert "none of 10 clean episodes succeeded" in called.err
    assert len(lines(tmp_path / "run")) == 10


def test_a_recipe_may_name_the_search(tmp_path, idle):
    recipe = tmp_path / "search.yaml"
    recipe.write_text("suite: toy\nperturb: [noise]\nlevel: 2\n")
    assert "--level 2" in refusal("threshold", "--config", recipe)
    recipe.write_text("suite: toy\nperturb: noise\nwidth: wide\n")
    assert "--width: 'wide' is not a number" in refusal("threshold", "--config", recipe)
    assert "--perturb instruction" in refusal(
        "threshold", "--config", recipe, "--width", "0.2", "--perturb", "instruction"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name an axis"),
        (("--perturb", "instruction"), "takes words"),
        (("--perturb", "noise:0..3"), "value must be in [0, 1]"),
        (("--perturb", "noise", "--level", "1"), "--level 1"),
        (("--perturb", "noise", "--level", "much"), "--level"),
        (("--perturb", "noise", "--width", "0"), "--width 0"),
        (("--perturb", "noise", "--max-episodes", "5"), "--max-episodes 5"),
        (("--perturb", "noise", "--suite", "libero_goal"), "one suite"),
        (("--perturb", "noise", "--until", "decided"), "--until"),
        (("--resume", "nowhere"), "nowhere: no such folder"),
        (("--resume", "nowhere", "--perturb", "noise"), "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line(idle, options, message):
    assert (
        message in refusal(*VERB, *options) if "--resume" not in options else message in refusal("threshold", *options)
    )


def test_what_a_search_is_about_is_settled_when_it_goes_on(run, idle):
    assert "--perturb is settled" in refusal("threshold", "--resume", run, "--perturb", "noise")
    assert "--seed is settled" in refusal("threshold", "--resume", run, "--seed", "1")


def test_a_worker_of_ray_places_the_same_episodes(finished, tmp_path):
    search = [word if word != "0" else "1" for word in SEARCH]
    assert search[search.index("--workers") + 1] == "1"
    assert call(*search, "--out", tmp_path / "run").code == 0
    assert ids(tmp_path / "run") == ids(finished)


def test_several_workers_place_as_many_as_they_may(tmp_path):
    search = [
        *VERB[:-1],
        "2",
        "--perturb",
        "noise",
        "--width",
        "0.01",
        "--max-episodes",
        "25",
        "--out",
        tmp_path / "run",
    ]
    assert call(*search).code == 0
    assert len(set(ids(tmp_path / "run"))) == 25


def test_a_gate_says_what_a_search_is_and_what_to_compare(run):
    called = call("compare", run, run, "--gate")
    assert called.code == 5
    said = " ".join(called.out.split())
    assert f"{run}: is a search for thresholds, made by `simeval threshold`" in said
    assert "give both policies `simeval run` with the same --perturb and compare those folders" in said


def test_a_second_process_is_refused(run):
    manifest = json.loads((run / "manifest.json").read_text())
    with RunWriter(run, manifest):
        said = refusal(*SEARCH, "--width", "0.01", "--max-episodes", "80", "--out", run)
    assert said == f"--out {run}: another simeval is writing to this run"


def test_files_that_may_not_be_written_are_bad_input(run, monkeypatch):
    def denied(path, data):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(f"{replace_file.__module__}.replace_file", denied)
    monkeypatch.setattr("simeval.store.run.replace_file", denied)
    called = call(*SEARCH, "--out", run)
    assert called.code == 2
    assert called.err.count("\n") == 1
    assert "Permission denied; what was finished is safe" in called.err
