"""`compare --gate`, `run --gate` and ranks, through the command line on runs of the toy suite."""

import json
import shutil
from dataclasses import dataclass, replace

import pytest
from helpers import Called, call, refusal, toy_config

from simeval.api import evaluate

PERTURB = ("noise:0.3", "light:0.9")


@dataclass(frozen=True)
class Spoken(Called):
    """What was printed, also as words with single blanks between them."""

    text: str


def spoken(*argv: object) -> Spoken:
    called = call(*argv)
    return Spoken(called.code, called.out, called.err, " ".join(called.out.split()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The toy suite with a policy that sees, one that draws its actions, and one that does nothing."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: evaluate(toy_config(folder / name, policy=name, tasks=None, init_states="0-14", perturb=PERTURB)).folder
        for name in ("seeker", "random", "zero")
    }


def test_a_worse_policy_is_a_regression(runs, tmp_path):
    paths = tmp_path / "gate.xml", tmp_path / "gate.md"
    called = spoken("compare", runs["seeker"], runs["random"], "--gate", "--junit", paths[0], "--markdown", paths[1])
    assert called.code == 3
    assert called.text.endswith("points there")
    assert "gate: regression (exit code 3): B is worse than A under none" in called.text
    assert "seeker" in paths[1].read_text()
    assert 'type="regression"' in paths[0].read_text()


def test_two_runs_of_one_policy_are_told_apart(runs, tmp_path):
    again = evaluate(toy_config(tmp_path / "again", policy="seeker", tasks=None, init_states="0-14", perturb=PERTURB))
    path = tmp_path / "gate.md"
    assert call("compare", runs["seeker"], again.folder, "--gate", "--markdown", path).code == 0
    assert "A: seeker \\(seeker\\), B: seeker \\(again\\)" in path.read_text()


def test_two_folders_of_one_name_are_told_apart_everywhere(runs, tmp_path, monkeypatch):
    for parent in ("p", "q"):
        shutil.copytree(runs["seeker"], tmp_path / parent / "run")
    monkeypatch.chdir(tmp_path / "p" / "run")
    for other, names in (
        ("../../q/run", ["seeker (.)", "seeker (../../q/run)"]),
        (".", ["seeker (run 1)", "seeker (run 2)"]),
    ):
        called = call("compare", ".", other, "--gate", "--json", "--junit", tmp_path / "gate.xml")
        record = json.loads(called.out)
        assert [record["a"], record["b"]] == [record["gate"]["a"], record["gate"]["b"]] == names
        written = (tmp_path / "gate.xml").read_text()
        assert all(f'value="{name}"' in written for name in names)
    monkeypatch.chdir(tmp_path / "p")
    assert json.loads(call("compare", "run", runs["random"], "--json").out)["a"] == "seeker"


def test_a_better_policy_passes(runs):
    called = call("compare", runs["random"], runs["seeker"], "--gate")
    assert called.code == 0
    assert "gate: better (exit code 0)" in called.out


def test_an_equal_policy_is_no_worse_with_enough_pairs_and_else_cannot_tell(runs):
    called = spoken("compare", runs["seeker"], runs["seeker"], "--gate")
    assert called.code == 0
    assert "gate: no worse (exit code 0)" in called.out
    called = spoken("compare", runs["seeker"], runs["seeker"], "--gate", "--margin", "4.5")
    assert called.code == 4
    assert "pairs per condition would settle it (now 60)" in called.text


def test_json_has_the_verdict_and_what_it_rests_on(runs):
    called = call("compare", runs["seeker"], runs["random"], "--gate", "--json")
    record = json.loads(called.out)
    assert called.code == record["gate"]["exit_code"] == 3
    assert record["gate"]["verdict"] == "regression"
    assert record["gate"]["margin"] == 0.05
    assert [row["evidence"]["condition"] for row in record["gate"]["conditions"]] == ["none", *PERTURB]
    assert record["suites"]
    assert "gate" not in json.loads(call("compare", runs["seeker"], runs["random"], "--json").out)


def test_without_a_gate_the_exit_code_is_0(runs):
    assert call("compare", runs["seeker"], runs["random"]).code == 0


def test_runs_that_do_not_start_alike_are_not_comparable(runs, tmp_path):
    other = evaluate(toy_config(tmp_path / "other", init_states="0", seed=1)).folder
    xml, text = tmp_path / "gate.xml", tmp_path / "gate.md"
    called = spoken("compare", runs["seeker"], other, "--gate", "--junit", xml, "--markdown", text)
    assert called.code == 5
    assert "do not start alike" in called.text
    assert 'errors="1"' in xml.read_text()
    assert "do not start alike" in text.read_text()
    record = json.loads(call("compare", runs["seeker"], other, "--gate", "--json").out)
    assert record["gate"]["verdict"] == "not comparable"


def test_a_candidate_that_lacks_episodes_does_not_pass(runs, tmp_path):
    """It would, on the others: it is the same policy."""
    part = tmp_path / "part"
    part.mkdir()
    (part / "manifest.json").write_bytes((runs["seeker"] / "manifest.json").read_bytes())
    rows = (runs["seeker"] / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (part / "episodes.jsonl").write_bytes(b"".join(row for i, row in enumerate(rows) if i % 20))
    called = spoken("compare", runs["seeker"], part, "--gate")
    assert called.code == 5
    assert "pairs are missing or broke" in called.text


def test_conditions_of_one_run_only_are_named(runs, tmp_path):
    less = evaluate(toy_config(tmp_path / "less", tasks=None, init_states="0-14", perturb=PERTURB[:1])).folder
    called = call("compare", runs["seeker"], less, "--gate")
    assert called.code == 0
    assert "not judged, only in A: light:0.9" in called.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--margin", "3"], "--margin 3: needs --gate"),
        (["--junit", "x.xml"], "--junit x.xml: needs --gate"),
        (["--markdown", "x.md"], "--markdown x.md: needs --gate"),
        (["--gate", "--margin", "0"], "--margin 0: must be above 0"),
        (["--gate", "--margin", "nan"], "--margin nan: must be above 0"),
        (["--gate", "--margin", "51"], "at most 50, in points"),
        (["--gate", "--junit", "/dev/null/x.xml"], "/dev/null is not a folder"),
        (["--gate", "--markdown", ""], "name a file"),
        (["--rank-by", "none"], "needs three or more runs"),
    ],
)
def test_options_that_cannot_be_are_refused(runs, options, said):
    assert said in refusal("compare", runs["seeker"], runs["random"], *map(str, options))


def test_a_gate_of_three_runs_is_refused(runs):
    assert "--gate: judges RUN_B against RUN_A; 3 runs" in refusal("compare", *runs.values(), "--gate")


def test_a_study_is_no_run_and_has_some(runs, tmp_path):
    (tmp_path / "study.json").write_text("{}")
    said = f"{tmp_path}: is a study of several policies; name a policy's folder in it, which is a run"
    assert refusal("compare", runs["seeker"], tmp_path, "--gate") == said
    assert refusal("compare", tmp_path, runs["seeker"]) == said
    assert refusal("export", tmp_path, "--to", "csv") == said


def test_a_file_is_no_run(runs):
    rows = runs["seeker"] / "episodes.jsonl"
    for command in (("compare", runs["seeker"], rows), ("show", rows), ("report", rows)):
        assert refusal(*command) == f"{rows}: is a file; name the folder of a run"


def test_what_is_no_run_is_bad_input_and_no_verdict(runs, tmp_path):
    assert "no run here" in refusal("compare", runs["seeker"], tmp_path, "--gate")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_bytes((runs["seeker"] / "manifest.json").read_bytes())
    (broken / "episodes.jsonl").write_bytes(b"{]\n" * 3)
    assert "broken" in refusal("compare", runs["seeker"], broken, "--gate")


def test_the_summary_of_a_github_job_is_appended_to(runs, tmp_path, monkeypatch):
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    call("compare", runs["seeker"], runs["random"], "--gate", "--markdown", summary)
    assert not summary.read_text().startswith("before")
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    call("compare", runs["seeker"], runs["random"], "--gate", "--markdown", summary)
    assert summary.read_text().startswith("before\n###")


def resumed(folder, *options):
    return spoken("run", "--resume", folder, "--gate", *options)


def test_a_run_is_judged_against_its_clean_episodes(runs, tmp_path):
    path = tmp_path / "new" / "run.xml"
    called = resumed(runs["seeker"], "--junit", path)
    assert called.code == 3
    assert "less success than clean under noise:0.3" in called.text
    assert 'tests="2" failures="1"' in path.read_text()


def test_the_margin_of_a_run_of_fixed_size_is_the_gates(runs):
    called = resumed(runs["seeker"], "--margin", "50")
    assert called.code == 0
    assert "each of 2 conditions is shown to lose less than 50.0 points" in called.text
    assert resumed(runs["seeker"], "--margin", "1").code == 3


def test_json_of_a_run_ends_with_its_verdict(runs):
    called = resumed(runs["seeker"], "--json")
    last = json.loads(called.out.splitlines()[-1])
    assert (last["event"], last["kind"], last["exit_code"]) == ("gate", "run", called.code)


def test_a_run_without_a_perturbed_condition_is_refused_before_it_starts(tmp_path):
    options = ["--suite", "toy", "--policy", "seeker", "--out", str(tmp_path / "run")]
    assert "--gate: needs a condition" in refusal("run", *options, "--gate")
    assert not (tmp_path / "run").exists()
    assert "--junit x.xml: needs --gate" in refusal("run", *options, "--junit", "x.xml")
    assert "needs --until decided" in refusal("run", *options, "--perturb", "noise:0.3", "--margin", "3")


def test_a_run_that_stops_is_judged_by_its_own_decisions(tmp_path):
    config = toy_config(tmp_path / "until", tasks=None, init_states="0-19", perturb=PERTURB)
    folder = evaluate(replace(config, until="decided", margin=20)).folder
    called = resumed(folder)
    assert called.code == 3
    assert "Verdicts of --until decided" in called.text
    assert "margin of 20.0 points" in called.out
    assert "settled by the run" in refusal("run", "--resume", folder, "--gate", "--margin", "3")


def test_three_runs_are_ranked(runs, tmp_path):
    called = call("compare", *runs.values(), "--markdown", tmp_path / "ranks.md")
    assert called.code == 0
    assert "toy: seeker is better than all others." in called.out
    assert max(map(len, called.out.splitlines())) <= 80
    assert "| 1 | seeker |" in (tmp_path / "ranks.md").read_text()
    record = json.loads(call("compare", *runs.values(), "--json").out)
    (suite,) = record["ranking"]["suites"]
    ranks = {row["policy"]: row["rank"] for row in suite["policies"]}
    assert ranks["seeker"] == "1"
    assert len(suite["differences"]) == 3
    assert len(record["comparisons"]) == 2


def test_policies_are_ranked_by_a_chosen_condition(runs):
    record = json.loads(call("compare", *runs.values(), "--rank-by", "light:0.9", "--json").out)
    assert record["ranking"]["suites"][0]["score"] == "success under light:0.9"
    assert "did you mean 'light:0.9'" in refusal("compare", *runs.values(), "--rank-by", "light:0.8")


def test_runs_of_the_same_policy_share_all_ranks_and_have_names_of_their_own(runs):
    record = json.loads(call("compare", *[runs["seeker"]] * 3, "--json").out)
    policies = record["ranking"]["suites"][0]["policies"]
    assert [row["rank"] for row in policies] == ["1-3"] * 3
    assert len({row["policy"] for row in policies}) == 3


def test_a_change_that_did_not_reach_the_actions_is_noticed(runs):
    said = "all 180 common episodes went through the same states in both runs"
    assert said in spoken("compare", runs["seeker"], runs["seeker"], "--gate").text
    assert said not in spoken("compare", runs["seeker"], runs["random"], "--gate").text


def test_a_run_that_grew_is_judged_for_the_margin_of_the_gate(tmp_path):
    folder = evaluate(toy_config(tmp_path / "grown", tasks=None, init_states="0-9", perturb=PERTURB[1:])).folder
    called = spoken(
        *("run", "--resume", folder, "--grow", "--init-states", "0-19", "--workers", "0"),
        *("--gate", "--margin", "30"),
    )
    assert called.code == 0, called
    assert "inference: anytime" in called.text
    assert "the one condition is shown to lose less than 30.0 points" in called.text
