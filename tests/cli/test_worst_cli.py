"""`simeval worst`: what it prints and writes, that it resumes, and what it refuses; on the toy suite."""

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from helpers import call, lines, refusal

from simeval import api
from simeval.core.types import CLEAN
from simeval.policies.scripted import SeekerPolicy
from simeval.report.figures.style import NARROW, WIDE
from simeval.report.figures.worst import plot_worst
from simeval.report.terminal.worst import worst_of
from simeval.store.run import Run

TOY = ("--suite", "toy", "--workers", "0")
VERB = ("worst", *TOY)
SEARCH = (*VERB, "--perturb", "light:..0.4", "--perturb", "noise:..0.3", "--budget", "120", "--confirm", "20")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "worst-case.md"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished search on two axes; never written to."""
    folder = tmp_path_factory.mktemp("worst") / "run"
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


def result_of(folder: Path) -> dict:
    return json.loads((folder / "worst.json").read_text())


def test_it_prints_the_find_beside_the_mean_and_the_clean_rate(finished):
    text, found = (finished / "printed.txt").read_text(), result_of(finished)
    assert re.search(rf"worst found +{re.escape(found['condition'])}\n", text)
    assert re.search(r"success there .*\(20 fresh pairs\)", text)
    assert re.search(r"clean +100.0 %", text)
    assert re.search(r"success at random conditions +\d", text)
    assert re.search(r"in the search, biased +\d+ of \d+ succeeded", text)
    assert "Worst found, not the worst there is" in text
    assert "; worst so far " in text


def test_it_is_worse_than_the_mean(finished):
    found = result_of(finished)
    assert found["confirmation"]["rate"]["high"] < found["uniform"]["low"]
    assert found["confirmation"]["low"] > 0
    assert (found["policy"], found["suite"], found["is_complete"]) == ("seeker", "toy", True)


def test_the_budget_is_kept_and_all_rows_are_accounted_for(finished):
    rows, found = lines(finished), result_of(finished)
    assert len(rows) == 120
    clean = sum(row["spec"]["condition"] == CLEAN for row in rows)
    assert (clean, found["searched"], found["confirmation"]["pairs"]) == (30, 70, 20)


def test_the_rows_are_those_of_a_run(finished, tmp_path):
    condition = result_of(finished)["condition"]
    out = tmp_path / "plain"
    assert call("run", *TOY, "--perturb", condition, "--init-states", "0-4", "--out", out).code == 0
    plain = {row["id"]: row["state_digest"] for row in lines(out)}
    both = [row for row in lines(finished) if row["id"] in plain]
    assert both
    assert all(row["state_digest"] == plain[row["id"]] for row in both)


def test_the_same_command_does_nothing_more(run, idle):
    before = ids(run)
    called = call(*SEARCH, "--out", run)
    assert called.code == 0, called.err
    assert ids(run) == before
    assert "worst found" in called.out


@pytest.mark.parametrize("kept", [4, 60, 95])
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(finished, run, kept):
    text = (run / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (run / "episodes.jsonl").write_bytes(b"".join(text[:kept]) + text[kept][:50])
    assert call("worst", "--resume", run, "--workers", "0").code == 0
    assert ids(run) == ids(finished)
    assert (run / "worst.json").read_bytes() == (finished / "worst.json").read_bytes()


def test_an_episode_that_broke_is_named_and_tried_again(tmp_path, monkeypatch):
    enough = SeekerPolicy.act

    def act(self, inputs):
        if "init01" in inputs[0].pair_id:
            raise RuntimeError("no such luck")
        return enough(self, inputs)

    search = (*VERB, "--init-states", "0-9", "--perturb", "noise", "--budget", "60", "--confirm", "10")
    search += ("--out", tmp_path / "run")
    monkeypatch.setattr(SeekerPolicy, "act", act)
    broke = call(*search)
    assert broke.code == 1
    assert "/init01/" in broke.err
    assert "the same command tries them again" in broke.err
    monkeypatch.undo()
    assert call(*search).code == 0
    assert result_of(tmp_path / "run")["errors"] == 0


def test_show_and_json_give_the_stored_result(run):
    assert "worst found" in call("show", run).out
    assert json.loads(call("show", run, "--json").out) == result_of(run)


def test_a_report_has_the_find_and_the_rates_of_the_fresh_pairs_alone(run):
    assert call("report", run).code == 0
    page = (run / "report" / "report.html").read_text()
    assert "Worst found" in page
    assert "not the worst there is" in page
    assert "Unfinished" not in page
    (policy,) = json.loads((run / "report" / "summary.json").read_text())["policies"]
    found = result_of(run)
    assert {row["condition"]: row["n"] for row in policy["rates"]} == {CLEAN: 20, found["condition"]: 20}
    assert policy["worst"]["condition"] == found["condition"]
    assert policy["drops"][0]["drop"] == found["confirmation"]["drop"]


def test_a_report_of_a_search_that_is_not_confirmed_says_how_far_it_is(run):
    rows = (run / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (run / "episodes.jsonl").write_bytes(b"".join(rows[:60]))
    assert call("report", run).code == 0
    page = " ".join((run / "report" / "report.html").read_text().split())
    assert "<h1>seeker on toy</h1>" in page
    assert re.search(r"seeker on toy: \d+ of \d+ conditions of light, noise tried in 50 episodes; not confirmed", page)
    for wrong in ("no episode ran", "has no episodes", "Diamond"):
        assert wrong not in page


def test_a_report_draws_every_condition_that_was_tried(run):
    assert call("report", run).code == 0
    found = worst_of(Run.load(run))
    assert len(found.seen) == found.tried > len(found.listed)
    assert found.seen[0].condition == found.condition
    assert sum(row.episodes for row in found.seen) == found.searched
    with (run / "report" / "data" / "tried.csv").open() as file:
        assert [row["condition"] for row in csv.DictReader(file)] == [row.condition for row in found.seen]
    for canvas in (WIDE, NARROW):
        panels = plot_worst(found, canvas).axes
        assert [panel.get_title() for panel in panels] == list(found.labels)
        for axis, panel in enumerate(panels):
            drawn = Counter(
                (*line.get_xydata()[0], line.get_markerfacecolor() == "none")
                for line in panel.lines
                if line.get_marker() == "o"
            )
            changed = [row for row in found.seen if row.condition.find(found.labels[axis]) >= 0]
            assert drawn == Counter((row.shares[axis], row.suggested, "+" in row.condition) for row in changed)
            finds = [tuple(line.get_xydata()[0]) for line in panel.lines if line.get_marker() == "D"]
            share = found.seen[0].shares[axis]
            assert finds == ([(share, found.confirmation.rate.rate)] if share else [])


def test_json_has_a_line_for_every_episode_and_the_result(tmp_path):
    called = call(*VERB, "--perturb", "noise", "--budget", "60", "--confirm", "10", "--out", tmp_path / "run", "--json")
    events = [json.loads(line) for line in called.out.splitlines()]
    assert [event["event"] for event in events] == ["start", *["episode"] * 60, "summary"]
    assert events[0]["episodes"] == 60
    assert events[-1]["condition"].startswith("noise:")


def test_its_conditions_are_not_compared(run, idle):
    assert "made by `simeval worst`, which chose its conditions" in refusal("compare", run, run)
    called = call("compare", run, run, "--gate")
    assert called.code == 5
    assert "is a search for a bad condition" in " ".join(called.out.split())
    assert "give both policies `simeval run` with the same --perturb and compare those folders" in called.out
    assert "made by `simeval worst`" in refusal("run", "--resume", run)
    assert "made by `simeval worst`" in refusal("threshold", "--resume", run)
    assert "made by `simeval worst`" in refusal("run", "--resume", run, "--grow", "--init-states", "0-30")


def test_another_run_is_no_search(tmp_path, monkeypatch):
    out = tmp_path / "plain"
    assert call("run", *TOY, "--tasks", "0", "--init-states", "0", "--perturb", "noise:0.1", "--out", out).code == 0
    monkeypatch.setattr(api, "open_runner", None)
    assert "made by `simeval run`" in refusal("worst", "--resume", out)
    assert "made by `simeval run`" in refusal(*SEARCH, "--out", out)


def test_a_policy_that_never_succeeds_has_no_bad_condition(tmp_path):
    called = call(*VERB, "--policy", "zero", "--perturb", "noise", "--out", tmp_path / "run")
    assert called.code == 2
    assert "none of 10 clean episodes succeeded" in called.err
    assert len(lines(tmp_path / "run")) == 10


def test_what_the_rows_are_for_is_settled(run, idle):
    other = [word if word != "120" else "160" for word in SEARCH]
    assert "--budget 160: the search in" in refusal(*other, "--out", run)
    assert "--budget is settled" in refusal("worst", "--resume", run, "--budget", "160")
    assert "--perturb is settled" in refusal("worst", "--resume", run, "--perturb", "noise")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name an axis"),
        (("--perturb", "instruction"), "takes words"),
        (("--perturb", "noise:0..3"), "value must be in [0, 1]"),
        (("--perturb", "noise", "--budget", "50"), "--budget 50"),
        (("--perturb", "noise", "--budget", "much"), "--budget"),
        (("--perturb", "noise", "--confirm", "0"), "--confirm 0"),
        (("--perturb", "noise", "--combine", "9"), "--combine 9"),
        (("--perturb", "noise", "--init-states", "0-3"), "--confirm 50: needs"),
        (("--perturb", "noise", "--suite", "libero_goal"), "one suite"),
        (("--perturb", "noise", "--until", "decided"), "--until"),
        (("--resume", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line(idle, options, message):
    assert message in (refusal("worst", *options) if "--resume" in options else refusal(*VERB, *options))


def test_a_recipe_may_name_the_search(tmp_path, idle):
    recipe = tmp_path / "search.yaml"
    recipe.write_text("suite: toy\nperturb: [noise]\nbudget: 40\n")
    assert "--budget 40" in refusal("worst", "--config", recipe)
    recipe.write_text("suite: toy\nperturb: noise\nbudget: 200.5\n")
    assert "--budget 200.5: must be a whole number" in refusal("worst", "--config", recipe)


def test_a_worker_of_ray_places_the_same_episodes(finished, tmp_path):
    search = [word if word != "0" else "1" for word in SEARCH]
    assert call(*search, "--out", tmp_path / "run").code == 0
    assert ids(tmp_path / "run") == ids(finished)


def test_several_workers_keep_the_budget_and_wait_before_they_confirm(tmp_path):
    search = [word if word != "0" else "3" for word in SEARCH]
    called = call(*search, "--out", tmp_path / "run")
    assert called.code == 0, called.err
    assert len(set(ids(tmp_path / "run"))) == 120
    found = result_of(tmp_path / "run")
    assert found["is_complete"]
    assert found["confirmation"]["pairs"] == 20


def test_the_page_prints_what_the_command_prints(tmp_path):
    """The example of the page, word by word, without the lines that name folders."""
    command, printed = re.findall(r"```(?:bash|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2]
    called = call(*command.split()[1:], "--workers", "0", "--out", tmp_path / "run")
    assert called.code == 0, called.err
    assert " ".join(printed.split()) in " ".join(called.out.split())
