"""`simeval study`: from one file to runs, audits and a report, and on after whatever stopped it."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from helpers import call, lines, refusal

from examples.finetune.recipes import parse_recipe
from simeval.core.lock import LOCK, locked
from simeval.policies import bundled
from simeval.policies.scripted import SeekerPolicy
from simeval.report.study.rows import word
from simeval.rollout.trace import PackedTrace, Trace
from simeval.store.audit import Audit
from simeval.store.run import Run
from simeval.store.study import MANIFEST, Study

CONFIGS = Path(__file__).parents[2] / "configs"
COMMON = {
    "suite": "toy",
    "tasks": "0,2",
    "init_states": "0-5",
    "workers": 0,
    "perturb": ["noise:0.3", "instruction:counterfactual"],
    "baseline": "flow",
    "audit": {"frames": "start", "perturb": ["noise:0.3", "instruction:empty"]},
}
POLICIES = {
    "start": {"policy": "zero"},
    **{f"flow-{seed}": {"policy": "random", "group": "flow", "seed": seed} for seed in (0, 1, 2)},
    **{f"contrast-{seed}": {"policy": "seeker", "group": "contrast", "seed": seed} for seed in (0, 1, 2)},
}
BROKEN = "def make(**settings):\n    raise RuntimeError('no weights')\n"
EPISODES = 36
"""Of each policy: 2 tasks, 6 initial states, 3 conditions."""


def write(folder: Path, **changes: object) -> Path:
    file = folder / "study.yaml"
    given = {**COMMON, "policies": POLICIES, **changes}
    file.write_text(yaml.safe_dump({k: v for k, v in given.items() if v is not None}, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study that ran to its end, and what was printed."""
    folder = tmp_path_factory.mktemp("study")
    called = call("study", write(folder), "--out", folder / "out")
    return folder / "out", called


def test_one_command_runs_audits_and_reports_every_policy(done):
    out, called = done
    assert (called.code, called.err) == (0, "")
    study = Study.load(out)
    assert study.complete
    assert [one.member.name for one in study.policies] == list(POLICIES)
    assert {one.finished for one in study.policies} == {EPISODES}
    assert {one.audit.conditions for one in study.policies} == {("noise:0.3", "instruction:empty")}
    assert f"report: {out / 'report' / 'report.html'}" in called.out.replace("\n", "")


def test_its_runs_are_ordinary_ones(done):
    out, _ = done
    assert "flow-0" not in call("show", out / "flow-0").err
    assert call("show", out / "contrast-0").code == 0
    assert call("compare", out / "flow-0", out / "contrast-0").code == 0
    assert Audit.load(out / "contrast-1" / "audit").complete


def test_the_same_command_does_nothing_again_in_milliseconds(done):
    out, _ = done
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/episodes.jsonl")}
    again = call("study", out.parent / "study.yaml", "--out", out)
    assert again.code == 0
    assert "[1/" not in again.out
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/episodes.jsonl")} == kept


def test_a_dry_run_counts_and_starts_nothing(done, tmp_path):
    file = write(tmp_path)
    called = call("study", file, "--out", tmp_path / "out", "--dry-run")
    assert called.code == 0
    assert "flow-1 (flow, seed 1): random, 36 of 36 episodes left, then its audit" in called.out
    assert f"7 policies, {7 * EPISODES} episodes" in called.out
    assert not (tmp_path / "out").exists()
    told = json.loads(call("study", file, "--out", done[0], "--dry-run", "--json").out)
    assert {(one["finished"], one["audit_left"]) for one in told["policies"]} == {(EPISODES, False)}
    assert told["episodes"] == 7 * EPISODES


def test_show_and_json_tell_what_the_study_found(done):
    out, _ = done
    shown = call("show", out)
    assert (shown.code, shown.err) == (0, "")
    text = " ".join(shown.out.split())
    assert "toy, clean success, mean over training seeds: start 0.0 %, flow" in text
    assert "contrast 100.0 %. toy: contrast is better than flow: success (none, noise:0.3" in text
    assert re.search(r"toy: no recipe was shown to differ from flow over training seeds, in [a-z ,]+\.", text)
    for part in ("toy, policies", "over their training seeds", "gain over flow", "start"):
        assert part in text
    (suite,) = json.loads(call("show", out, "--json").out)["suites"]
    assert suite["group_ranks"][0] == ["contrast", "1"]
    (clean,) = [
        row
        for row in suite["groups"]
        if (row["group"], row["measure"], row["condition"]) == ("contrast", "success", "none")
    ]
    assert clean["values"]["by_seed"] == [1.0, 1.0, 1.0]
    assert clean["gain"]["by_seed"] == pytest.approx([1.0, 1.0, 1.0], abs=0.35)
    assert "is a study" in refusal("show", out, "--by-task")


def test_the_small_audits_of_all_policies_are_in_one_table(done):
    (mini,) = json.loads(call("show", done[0], "--json").out)["mini_audit"]
    (cell,) = [
        cell
        for cell in mini["recipes"]
        if (cell["group"], cell["condition"], cell["measure"]) == ("flow", "noise:0.3", "l2_raw")
    ]
    assert [seed for seed, _ in cell["by_seed"]] == [0, 1, 2]
    assert cell["mean"] == pytest.approx(sum(value for _, value in cell["by_seed"]) / 3)


def test_the_report_has_a_table_and_a_dot_plot_per_condition(done, tmp_path):
    out, _ = done
    page = (out / "report" / "report.html").read_text()
    for name in POLICIES:
        assert name in page
    for text in (
        "Policies side by side",
        "Ranks of recipes",
        "over seeds",
        "instruction followed",
        "drift of the action",
    ):
        assert text in page
    assert len(list((out / "report" / "figures").glob("success-*.svg"))) == 3
    gains = (out / "report" / "data" / "gains.csv").read_text().splitlines()
    assert len(gains) == 1 + 4 * (3 + 1 + 1 + 2)  # success, robustness, following, drift of the four others
    seeds = (out / "report" / "data" / "seeds.csv").read_text()
    assert "success,none,contrast,2,1.0" in seeds
    mini = (out / "report" / "data" / "mini-audit.csv").read_text().splitlines()
    policies, conditions, recipes, measures = len(POLICIES), 3, 3, 4  # noise, empty, another sampling noise
    assert len(mini) == 1 + (policies + recipes) * conditions * measures
    assert "The small audit, before and after" in page
    again = tmp_path / "again"
    assert call("report", out, "--out", again).code == 0
    assert (again / "report.html").read_bytes() == (out / "report" / "report.html").read_bytes()
    assert "reported alone" in refusal("report", out, out / "flow-0", "--out", tmp_path / "x")


@pytest.mark.parametrize(
    ("direction", "measure", "expected"),
    [
        ("better", "success", "better"),
        ("no difference shown", "success", ""),
        ("better", "drift of the action", "drifts less"),
        ("worse", "drift of the action", "drifts more"),
    ],
)
def test_less_drift_is_not_called_better(direction, measure, expected):
    assert word(direction, measure) == expected


def test_drift_in_own_rollouts_is_shown_and_not_compared(tmp_path):
    policies = {"a": {"policy": "random"}, "b": {"policy": "seeker"}}
    audit = {"frames": "replay", "per_episode": 1, "perturb": ["noise:0.3"]}
    file = write(tmp_path, policies=policies, baseline=None, audit=audit, init_states="0-1")
    assert call("study", file, "--out", tmp_path / "out").code == 0
    told = json.loads(call("show", tmp_path / "out", "--json").out)
    (suite,) = told["suites"]
    assert [[name for name, _ in one["drift"]] for one in suite["policies"]] == [["noise:0.3"]] * 2
    assert suite["gains"][0]["drift"] == []
    assert any("drift is not compared" in note for note in told["notes"])


def test_a_policy_that_fails_does_not_stop_the_others_and_is_tried_again(tmp_path):
    maker = tmp_path / "mine.py"
    maker.write_text(BROKEN)
    policies = {"good": {"policy": "seeker"}, "bad": {"policy": f"{maker}:make"}, "last": {"policy": "zero"}}
    file = write(tmp_path, policies=policies, baseline=None, audit=None)
    out = tmp_path / "out"
    assert "the policy is code" in refusal("study", file, "--out", out)
    command = ("study", file, "--out", out, "--policy", f"{maker}:make")
    called = call(*command)
    assert called.code == 1
    assert "bad: " in called.err
    assert "no weights" in called.err
    assert "not in the numbers: bad: " in called.out
    study = Study.load(out)
    assert [(one.finished, bool(one.member.failed)) for one in study.policies] == [(36, False), (0, True), (36, False)]
    assert "no weights" in (out / "report" / "report.html").read_text()
    policies["bad"] = {"policy": "random"}
    write(tmp_path, policies=policies, baseline=None, audit=None)
    assert call("study", file, "--out", out).code == 0
    assert Study.load(out).complete


def test_a_killed_study_goes_on_where_it_was(done, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "simeval.cli", "study", str(write(tmp_path)), "--out", str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        for _ in range(6000):
            rows = out / "flow-1" / "episodes.jsonl"
            if rows.exists() and rows.read_bytes().count(b"\n") >= 3:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = {name: (out / name / "episodes.jsonl").read_bytes() for name in ("start", "flow-0", "flow-1")}
    assert not Study.load(out).complete
    shown = call("show", out)
    assert shown.code == 0
    assert "contrast-0: has not begun" in " ".join(shown.out.split())
    assert call("study", tmp_path / "study.yaml", "--out", out).code == 0
    for name, before in kept.items():
        whole = before[: before.rfind(b"\n") + 1]
        assert (out / name / "episodes.jsonl").read_bytes().startswith(whole)
    for name in POLICIES:
        assert lines(out / name) == lines(done[0] / name)
        assert Audit.load(out / name / "audit").rows == Audit.load(done[0] / name / "audit").rows


def test_mistakes_are_refused_before_anything_starts(tmp_path):
    out = tmp_path / "out"
    missing = {**POLICIES, "gone": {"policy": "./no/such/folder"}}
    text = refusal("study", write(tmp_path, policies=missing), "--out", out)
    assert "policies.gone: policy './no/such/folder': no such folder" in text
    assert "study.yaml: polices: no such setting" in refusal("study", write(tmp_path, polices=1), "--out", out)
    (tmp_path / "list.yaml").write_text("- 1\n")
    assert "must hold" in refusal("study", tmp_path / "list.yaml")
    assert "cannot read" in refusal("study", tmp_path / "none.yaml")
    assert "a plugin is code" in refusal("study", write(tmp_path, plugin=["x.py"]))
    for key in ("audit", "perturb", "policies"):
        lines = [f"{key}:", *(f"{name}: 1" for name in ("seed", "workers"))]
        (tmp_path / "empty.yaml").write_text("\n".join(lines))
        text = refusal("study", tmp_path / "empty.yaml", "--out", out)
        assert f"empty.yaml line 1: '{key}' has no value; write one, or leave it out" in text
    file = write(tmp_path)
    assert "--workers 5000: must be in [0, 1024]" in refusal("study", file, "--workers", 5000, "--out", out)
    assert "--workers -1: must be in [0, 1024]" in refusal("study", file, "--workers", -1, "--out", out)
    assert not out.exists()


def test_a_changed_file_is_refused_before_anything_starts(done, tmp_path):
    out, _ = done
    before = (out / MANIFEST).read_bytes()
    text = refusal("study", write(tmp_path, seed=3), "--out", out)
    assert "policies.start: " in text
    assert "seed: 0 -> 3" in text
    audit = {**COMMON["audit"], "perturb": ["noise:0.1"]}
    text = refusal("study", write(tmp_path, audit=audit), "--out", out)
    assert "policies.start: audit.perturb: " in text
    assert (out / MANIFEST).read_bytes() == before


def test_the_study_of_fine_tuned_policies_is_as_the_sweep_names_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep").mkdir()
    for recipe in ("flow", "flow+contrast", "flow+consistency", "flow+contrast+consistency", "flow+augment"):
        for seed in (0, 1, 2):
            name = f"{parse_recipe(recipe).file_name}-{seed}"
            (tmp_path / "sweep" / name).symlink_to(Path(bundled.__file__).parent / "checkpoint")
    called = call("study", CONFIGS / "study_finetune.yaml", "--dry-run", "--json")
    assert called.code == 0, called.err
    planned = json.loads(called.out)
    assert planned["episodes"] == 16 * 300
    assert planned["folder"] == "results/study_finetune"
    groups = [(one["group"], one["seed"]) for one in planned["policies"]]
    assert len(set(groups)) == 16
    assert groups[0] == ("start", None)
    assert groups[-1] == ("flow+augment", 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not a manifest of a study"),
        (b'{"schema_version": 9, "simeval": "", "baseline": "", "policies": []}', "has schema 9"),
        (
            b'{"schema_version": 1, "simeval": "", "baseline": "", "policies": [{"name": "../x", "group": "", "seed": '
            b'null, "policy": "", "audited": false}]}',
            "outside",
        ),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, content, words):
    (tmp_path / MANIFEST).write_bytes(content)
    for verb in ("show", "report"):
        text = refusal(verb, tmp_path)
        assert words in text
        assert "delete this file and give the `simeval study` command again" in text


TWO = {"policies": {"a": {"policy": "zero"}, "b": {"policy": "seeker"}}, "baseline": None, "audit": None}
SMALL = {**TWO, "tasks": "0", "init_states": "0-1", "perturb": None}


def test_a_damaged_manifest_is_written_anew_as_its_message_says(tmp_path):
    file, out = write(tmp_path, **SMALL), tmp_path / "out"
    assert call("study", file, "--out", out).code == 0
    kept = {name: (out / name / "episodes.jsonl").read_bytes() for name in "ab"}
    whole = (out / MANIFEST).read_bytes()
    (out / MANIFEST).write_bytes(whole[: len(whole) // 2])
    assert "delete this file" in refusal("study", file, "--out", out)
    (out / MANIFEST).unlink()
    assert call("study", file, "--out", out).code == 0
    assert (out / MANIFEST).read_bytes() == whole
    assert {name: (out / name / "episodes.jsonl").read_bytes() for name in "ab"} == kept


def test_two_processes_do_not_share_a_study(tmp_path):
    file, out = write(tmp_path, **SMALL), tmp_path / "out"
    with locked(out, "study"):
        assert refusal("study", file, "--out", out) == f"--out {out}: another simeval is writing to this study"
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert call("study", file, "--out", out).code == 0


@pytest.mark.parametrize("place", ["", "report", "a/audit"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_starts(tmp_path, monkeypatch, place):
    audit = {"perturb": ["noise:0.3"]}
    file, out = write(tmp_path, **{**SMALL, "audit": audit}), tmp_path / "out"
    (out / place).mkdir(parents=True)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out / place and real(path, mode))
    text = refusal("study", file, "--out", out)
    assert text.endswith(f"{out / place} cannot be written")
    assert not list(out.rglob("*.json*"))


def test_a_full_disk_ends_a_study_and_names_the_folder_and_what_is_free(tmp_path, monkeypatch):
    file, out = write(tmp_path, **SMALL), tmp_path / "out"

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(PackedTrace, "save", lambda self, path: full(path))
        patched.setattr(Trace, "save", lambda self, path: full(path))
        called = call("study", file, "--out", out)
    assert called.code == 1
    assert f"{out / 'a'}" in called.err
    assert re.search(r"No space left on device \([0-9.]+ MB free in /.*\); what was finished is safe", called.err)
    assert call("study", file, "--out", out).code == 0


def test_ctrl_c_that_a_library_turned_into_another_exception_ends_a_study(tmp_path, monkeypatch):
    file, out = write(tmp_path, **SMALL), tmp_path / "out"

    def interrupted(*_, **__):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ImportError("numpy._core.multiarray failed to import")

    monkeypatch.setattr(SeekerPolicy, "act", interrupted)
    assert call("study", file, "--out", out).code == 130
    monkeypatch.undo()
    assert call("study", file, "--out", out).code == 0
    assert {one.finished for one in Study.load(out).policies} == {2}


def test_two_policies_without_recipes_are_compared_as_they_are(tmp_path):
    file = write(tmp_path, policies={"a": {"policy": "zero"}, "b": {"policy": "seeker"}}, baseline=None, audit=None)
    called = call("study", file, "--out", tmp_path / "out")
    assert called.code == 0
    text = " ".join(called.out.split())
    assert "gain over a" in text
    assert "toy: b is better than a: success (none, noise:0.3" in text
    assert "over their training seeds" not in text
    assert Run.load(tmp_path / "out" / "b").manifest["episodes"] == EPISODES


def test_a_run_and_a_study_do_not_take_each_others_folder(done, tmp_path):
    out, _ = done
    run = ("run", "--suite", "toy", "--policy", "zero", "--tasks", 0, "--init-states", 0, "--workers", 0, "--out")
    assert call(*run, tmp_path / "run").code == 0
    before = sorted(tmp_path.joinpath("run").iterdir())
    for words in ((), ("--dry-run",)):
        assert refusal("study", write(tmp_path), "--out", tmp_path / "run", *words) == (
            f"{tmp_path / 'run'}: holds a run; a study needs another --out"
        )
    assert sorted(tmp_path.joinpath("run").iterdir()) == before
    assert refusal(*run, out) == f"{out}: holds a study, whose folders are runs; `simeval run` needs another --out"
    assert not (out / "manifest.json").exists()


LONG = "flow_consistency"


@pytest.mark.parametrize("seeds", [("",), ("-0", "-1", "-2")], ids=["policies", "recipes"])
def test_long_names_and_conditions_can_be_read_at_80_columns(tmp_path, monkeypatch, seeds):
    """They broke in the middle of words."""
    monkeypatch.setenv("COLUMNS", "80")
    recipes = {"start": "zero", "flow": "random", LONG: "seeker"}
    policies = {
        f"{name}{seed}": {"policy": policy} | ({"group": name, "seed": int(seed[1:])} if seed else {})
        for name, policy in recipes.items()
        for seed in seeds
    }
    called = call("study", write(tmp_path, policies=policies, audit=None), "--out", tmp_path / "out")
    assert called.code == 0
    printed = call("show", tmp_path / "out").out
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    named = [line for line in printed.splitlines() if line.split()[:1] and line.split()[0].startswith(LONG)]
    assert len(named) >= 1 + 3 + 1 + 1  # its policies, and its gains in success, robustness and following
    assert {line.split()[0] for line in named} <= {LONG, *policies}
    assert "instruction:" in printed
    assert "counterfactual" in printed
    assert "unterfactual" not in printed.replace("counterfactual", "")


def test_a_policy_that_never_succeeds_is_not_called_robust(tmp_path):
    """It has nothing to lose. A p-value of the points alone was left over where the share kept is not known."""
    changes = {"audit": None, "baseline": None, "perturb": ["noise:0.3", "light:0.1"]}
    policies = {"seeker": {"policy": "seeker"}, "never": {"policy": "zero"}}
    file = write(tmp_path, **changes, policies=policies)
    called = call("study", file, "--out", tmp_path / "out")
    assert called.code == 0
    assert "is better" not in called.out
    (suite,) = json.loads(call("show", tmp_path / "out", "--json").out)["suites"]
    (gain,) = suite["gains"][0]["robustness"]
    assert (gain["p"], gain["p_holm"], gain["direction"]) == (None, None, "no difference shown")
    assert "kept is not known" in gain["reason"]
    assert gain["interval"]["low"] > 0, "in points alone it would be called better"
