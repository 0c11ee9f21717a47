"""`simeval run --until decided`, as a user runs it: what stops, what is shown, and that nothing else changes it."""

import json

import pytest
from helpers import call, refusal

from simeval.analysis.sequential import sequential
from simeval.store.run import Run

HARMFUL, HARMLESS = "noise:0.9", "light:0.99"
FIXED = ("run", "--suite", "toy", "--policy", "zero", "--perturb", HARMFUL, "--workers", "0")
RUN = ("run", "--suite", "toy", "--policy", "seeker", "--perturb", HARMFUL, "--perturb", HARMLESS, "--until", "decided")


def said(text: str) -> str:
    return " ".join(text.split())


def rows(folder):
    return [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]


def drops(folder):
    shown = json.loads(call("show", folder, "--json").out)
    assert shown["inference"] == "anytime"
    return {row["condition"]: row for row in shown["drops"]}


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    folder = tmp_path_factory.mktemp("until") / "run"
    done = call(*RUN, "--workers", "0", "--out", folder)
    assert done.code == 0, done.err
    return folder, said(done.out)


def test_each_condition_stops_by_itself(decided):
    folder, shown = decided
    counts = {
        name: sum(row["id"].split("/")[3] == name.replace(":", "=") for row in rows(folder))
        for name in ("none", HARMFUL, HARMLESS)
    }
    assert counts[HARMFUL] < 30 < counts[HARMLESS] <= counts["none"] < 130
    assert f"{HARMFUL} on toy: drop, after" in shown
    assert f"{HARMLESS} on toy: costs less than 5 points, after 88 pairs" in shown
    assert f"drop: {HARMFUL} | costs less than 5.0 points (each at 5 % risk): {HARMLESS}" in shown
    assert "inference: anytime" in shown
    assert f"stopped when it was decided: {600 - len(rows(folder))} of 600 planned episodes were not needed" in shown


def test_what_is_shown_is_the_evidence_up_to_the_decision(decided):
    found = drops(decided[0])
    assert (found[HARMFUL]["verdict"], found[HARMLESS]["verdict"]) == ("drop", "within margin")
    assert found[HARMLESS]["pairs"] == 88
    assert found[HARMFUL]["missing"] == 0
    assert found[HARMFUL]["p_holm"] < 0.05 < found[HARMLESS]["p_holm"]
    assert found[HARMFUL]["interval"]["low"] > 0
    assert found[HARMFUL]["sensitivity"] is None  # that of other tests


def test_the_same_command_has_nothing_left_to_do(decided):
    folder, _ = decided
    before = (folder / "episodes.jsonl").read_bytes()
    again = call(*RUN, "--workers", "0", "--out", folder)
    assert (again.code, (folder / "episodes.jsonl").read_bytes()) == (0, before)


def test_workers_do_not_change_what_is_decided(decided, tmp_path):
    done = call(*RUN, "--workers", "2", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert drops(tmp_path / "run") == drops(decided[0])


def test_a_run_that_was_cut_short_goes_on_to_the_same_decisions(decided, tmp_path):
    folder, _ = decided
    call(*RUN, "--workers", "0", "--out", tmp_path / "run")
    lines = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "episodes.jsonl").write_text("".join(lines[:40]))
    shown = said(call("show", tmp_path / "run").out)
    assert "may still be needed for a decision" in shown
    assert call("run", "--resume", tmp_path / "run", "--workers", "0").code == 0
    assert drops(tmp_path / "run") == drops(folder)
    assert sorted(row["id"] for row in rows(tmp_path / "run")) == sorted(row["id"] for row in rows(folder))


def test_more_conditions_can_be_added_and_are_decided_too(decided, tmp_path):
    call(*RUN, "--workers", "0", "--out", tmp_path / "run")
    grown = call("run", "--resume", tmp_path / "run", "--grow", "--perturb", "noise:0.8", "--workers", "0")
    assert grown.code == 0, grown.err
    found = drops(tmp_path / "run")
    assert {name: row["verdict"] for name, row in found.items()} == {
        HARMFUL: "drop", HARMLESS: "within margin", "noise:0.8": "drop",
    }  # fmt: skip


def test_most_pairs_and_margin(tmp_path):
    done = call(*RUN, "--workers", "0", "--max-pairs", "12", "--margin", "20", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    found = drops(tmp_path / "run")
    assert "toy, seeker: at most 36 episodes, 3 conditions" in said(done.out)
    assert (found[HARMFUL]["verdict"], found[HARMLESS]["verdict"]) == ("drop", "undecided")
    assert found[HARMLESS]["pairs"] == 12
    assert "costs less than 20.0 points" not in said(done.out)
    assert f"ended undecided ({HARMLESS}) at --max-pairs 12: " in said(done.out)
    assert "stopped when it was decided" not in said(done.out)
    assert "cannot tell: light:0.99" in said(done.out)


def test_the_report_says_how_it_was_decided(decided):
    folder, _ = decided
    assert call("report", folder).code == 0
    page = said((folder / "report" / "report.html").read_text())
    assert "inference: anytime" in page
    assert "topped when it was decided" in page
    assert "the paired drop with an interval that holds at any number of pairs" in page
    assert "or that grew, drops, their intervals and p hold at any number of pairs" in page
    for words in ("would be found in", "with Bonett and Price", "too few pairs", "Tango"):
        assert words not in page


def test_a_comparison_says_that_its_p_takes_the_size_for_fixed(decided, tmp_path):
    fixed = (*FIXED, "--init-states", "0-2")
    assert call(*fixed, "--out", tmp_path / "fixed").code == 0
    compared = call("compare", tmp_path / "fixed", decided[0])
    assert compared.code == 0, compared.err
    assert f"the size of {decided[0]} depended on its outcomes; p and intervals take it" in said(compared.out)
    assert f"the size of {tmp_path}" not in said(compared.out)


def test_a_comparison_counts_what_the_decision_counts(decided, tmp_path):
    """What ran beyond a decision depends on the number of workers."""
    fixed = (*FIXED, "--init-states", "0-9")
    assert call(*fixed, "--out", tmp_path / "fixed").code == 0
    (suite,) = json.loads(call("compare", tmp_path / "fixed", decided[0], "--json").out)["suites"]
    counts = {row["condition"]: row["n"] for row in suite["change"]["success"]}
    ran = sum(row["id"].split("/")[3] == HARMFUL.replace(":", "=") for row in rows(decided[0]))
    assert counts[HARMFUL] == drops(decided[0])[HARMFUL]["pairs"] < ran


def test_errors_that_no_decision_hangs_on_are_not_tried_again(decided):
    """An error beyond the decision of its condition changes nothing; one of the clean arm may change all."""
    run = Run.load(decided[0])
    whole = sequential(run.manifest, run.episodes)
    later = ~run.episodes.index.isin(whole.counted.index) & (run.episodes["condition"] == HARMFUL)
    assert later.any()
    assert len(sequential(run.manifest, with_error(run.episodes, later)).broken) == 0
    first = whole.counted.index[whole.counted["condition"] == "none"][0]
    broken = sequential(run.manifest, with_error(run.episodes, run.episodes.index == first)).broken
    assert list(broken.index) == [first]


def with_error(episodes, which):
    outcome = episodes["outcome"].astype(str).where(~which, "error")
    return episodes.assign(outcome=outcome)


@pytest.mark.parametrize("cap", ["6", "60"])
def test_the_plan_speaks_of_these_tests(cap):
    planned = said(call("plan", *RUN[1:], "--max-pairs", cap, "--drop", "40").out)
    assert f"at most {3 * int(cap)} episodes: toy, seeker" in planned
    assert f"at most {cap} pairs per condition; each stops as soon as it is decided" in planned
    earliest = "9 pairs that are all harmed"
    if cap == "6":
        assert f"no drop can be called: that takes at least {earliest}" in planned
        assert "a true drop of 40 points is called in hardly any such runs" in planned
    else:
        assert f"a drop is called at the earliest after {earliest}" in planned
        assert "a true drop of 40 points is called in 9 of 10 such runs, and takes 31 pairs on average" in planned
    assert "would be found" not in planned


def test_json_tells_of_decisions_while_it_runs(tmp_path):
    done = call(*RUN, "--workers", "0", "--json", "--out", tmp_path / "run")
    events = [json.loads(line) for line in done.out.splitlines()]
    decided = {event["condition"]: event["text"] for event in events if event["event"] == "decided"}
    assert set(decided) == {HARMFUL, HARMLESS}
    assert decided[HARMLESS] == "costs less than 5 points, after 88 pairs"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--margin", "3"), "--margin 3: needs --until decided"),
        (("--max-pairs", "30"), "--max-pairs 30: needs --until decided"),
        (("--until", "decided"), "--until decided: needs a condition to decide about; name one with --perturb"),
        (("--until", "now"), "--until: no 'now'; known: decided"),
        (("--until", "decided", "--perturb", "noise:0.1", "--margin", "0"), "--margin 0: must be in [1, 50]"),
    ],
)
def test_mistakes_are_one_line(words, line, tmp_path):
    assert line in refusal("run", "--suite", "toy", *words, "--out", tmp_path / "run")
