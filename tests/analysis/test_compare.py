"""Two policies on the same episodes, through the command line."""

import json
import shutil

import pytest
from helpers import call, refusal, toy_config

from simeval.analysis.compare import compare
from simeval.api import evaluate
from simeval.core.drift_row import DriftRow
from simeval.report.terminal.compare import render_comparison
from simeval.stats.drift import VARIANTS
from simeval.stats.resampling import Resampling
from simeval.store.audit import AuditWriter
from simeval.store.run import Run

QUICK = Resampling(n_resamples=99, n_permutations=199)
PERTURB = ("noise:0.3", "occlusion:0.4", "instruction:counterfactual")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The toy suite with a policy that sees, and with one that draws its actions."""
    folder = tmp_path_factory.mktemp("runs")
    return tuple(
        evaluate(toy_config(folder / name, policy=name, init_states="0-5", perturb=PERTURB))
        for name in ("seeker", "random")
    )


def test_a_policy_that_sees_beats_one_that_does_not(runs):
    seeker, blind = runs
    found = compare(blind, seeker, resampling=QUICK)
    (suite,) = found.suites
    clean = suite.change.success[0]
    assert clean.direction == "better"
    assert clean.n == 12
    assert (found.a, found.b) == ("random", "seeker")


def test_the_numbers_are_those_of_the_rows(runs):
    seeker, blind = runs
    (suite,) = compare(seeker, blind, resampling=QUICK).suites
    for gain in suite.change.success:
        outcomes = [run.episodes.set_index("id")["outcome"].eq("success") for run in (seeker, blind)]
        mine = seeker.episodes.loc[seeker.episodes["condition"] == gain.condition, "id"]
        a, b = (outcome.loc[mine] for outcome in outcomes)
        assert (gain.a, gain.b) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
        assert (gain.only_a, gain.only_b) == ((a & ~b).sum(), (b & ~a).sum())


def test_a_run_against_itself_shows_nothing_and_names_the_folders(runs):
    found = compare(runs[0], runs[0], resampling=QUICK)
    assert {gain.direction for gain in found.suites[0].change.success} == {"no difference shown"}
    assert found.a.startswith("seeker (")
    assert found.notes == ()


def test_unequal_tasks_are_said_to_weigh_episodes(runs, tmp_path):
    seeker, _ = runs
    shutil.copytree(seeker.folder, tmp_path / "part")
    rows = (tmp_path / "part" / "episodes.jsonl").read_text().splitlines(keepends=True)
    gone = [row for row in rows if not (json.loads(row)["spec"]["task"] == 2 and json.loads(row)["spec"]["init_state"])]
    (tmp_path / "part" / "episodes.jsonl").write_text("".join(gone))
    (note,) = (note for note in compare(Run.load(tmp_path / "part"), seeker, resampling=QUICK).notes if "weigh" in note)
    assert note.startswith("tasks have unequal numbers of common episodes; rates and gains weigh every episode equally")


def test_episodes_that_start_elsewhere_are_said(runs, tmp_path):
    seeker, blind = runs
    shutil.copytree(seeker.folder, tmp_path / "moved")
    rows = [json.loads(row) for row in (tmp_path / "moved" / "episodes.jsonl").read_text().splitlines()]
    rows[0]["start_digest"] = "0" * 16
    for row in rows:
        del row["crc"]
    (tmp_path / "moved" / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    notes = compare(Run.load(tmp_path / "moved"), blind, resampling=QUICK).notes
    assert [note[:60] for note in notes] == ["1 of 48 common episodes start from other states in the other"]


def test_another_version_of_simeval_is_said_and_is_not_resumed(tmp_path):
    run = evaluate(toy_config(tmp_path / "run", policy="zero", init_states="0-1"))
    other = tmp_path / "other"
    shutil.copytree(run.folder, other)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"simeval": "0.0.1"}))
    found = compare(run, Run.load(other), resampling=QUICK)
    (note,) = [note for note in found.notes if note.startswith("made with different software")]
    assert note == f'made with different software: simeval: "{manifest["simeval"]}" -> "0.0.1"'
    rows = (other / "episodes.jsonl").read_text().splitlines(keepends=True)
    (other / "episodes.jsonl").write_text("".join(rows[:-1]))
    said = refusal("run", "--resume", other, "--workers", 0)
    assert f'holds a different run (simeval: "0.0.1" -> "{manifest["simeval"]}")' in said


def test_only_common_episodes_count_and_the_rest_is_said(runs, tmp_path):
    small = evaluate(toy_config(tmp_path / "small", policy="zero", init_states="3-7", perturb=("noise:0.3",)))
    found = compare(runs[0], small, resampling=QUICK)
    (suite,) = found.suites
    assert [gain.condition for gain in suite.change.success] == ["none", "noise:0.3"]
    assert {gain.n for gain in suite.change.success} == {6}
    assert [note.split(" ", 1)[0] for note in found.notes] == ["36", "8"]


@pytest.mark.parametrize("changes", [{"seed": 1}, {"protocol": "lerobot"}])
def test_episodes_that_do_not_start_alike_are_refused(runs, tmp_path, changes):
    other = evaluate(toy_config(tmp_path / "other", init_states="0", **changes))
    said = refusal("compare", runs[0].folder, other.folder)
    assert "do not start alike" in said
    assert next(iter(changes)) in said


def with_plugin(run, folder, text: str):
    """A copy of a run that was made with a plugin of this digest."""
    shutil.copytree(run.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["identity"]["plugins"] = {"mine.py": text * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_runs_with_different_texts_of_a_plugin_are_refused(runs, tmp_path):
    one, same = (with_plugin(run, tmp_path / name, "a") for run, name in zip(runs, ("one", "same"), strict=True))
    other = with_plugin(runs[1], tmp_path / "other", "b")
    said = refusal("compare", one, other)
    assert "made with different texts of the plugin mine.py" in said
    assert call("compare", one, other, "--gate").code == 5
    assert call("compare", one, same).code == 0
    assert call("compare", one, runs[1].folder).code == 0, "one of them needs no plugin"


def test_an_audit_of_another_policy_is_refused(runs, tmp_path):
    audits = []
    for run in runs:
        policy = run.manifest["identity"]["policy"]
        audits.append(tmp_path / policy["name"])
        frames = {"source": "run", "kind": "start", "frames": 8}
        identity = {"frames": frames, "policy": policy, "conditions": ["noise:0.3"], "seeds": [0]}
        about = {"schema_version": 1, "frames": 8, "rows": 8, "identity": identity, "complete": False}
        about |= {"sigma_source": "1 per dimension", "left_out": [], "notes": []}
        written = drift_rows(0.2)
        with AuditWriter(audits[-1], about, [row.key for row in written]) as writer:
            writer.write(written)
            writer.finish({"drift_floor": 0.0})
    a, b = (run.folder for run in runs)
    assert call("compare", a, b, "--audit-a", audits[0], "--audit-b", audits[1]).code == 0
    for first, second in ((1, 0), (0, 0), (1, 1)):
        said = refusal("compare", a, b, "--audit-a", audits[first], "--audit-b", audits[second])
        assert "an audit of policy" in said


def test_runs_without_a_common_episode_are_refused(runs, tmp_path):
    other = evaluate(toy_config(tmp_path / "other", init_states="20"))
    assert "no episode is in both" in refusal("compare", runs[0].folder, other.folder)


def drift_rows(drift: float, source: str = "start") -> list[DriftRow]:
    return [
        DriftRow(
            frame=f"toy/0/init0{state}/r0@0",
            source=source,
            cluster=f"toy/0/init0{state}/r0",
            step=0,
            suite="toy",
            task=0,
            pair_id=f"toy/0/init0{state}/r0",
            condition="noise:0.3",
            seed=0,
            **dict.fromkeys(VARIANTS, drift + 0.01 * state),
            mean_abs=1.0,
            psnr=None,
            instruction="go",
        )
        for state in range(8)
    ]


def test_drift_is_compared_on_start_frames_and_not_on_each_ones_own_rollouts(runs):
    found = compare(*runs, drift=(drift_rows(0.5), drift_rows(0.2)), resampling=QUICK)
    (gain,) = found.suites[0].drift
    assert gain.gain == pytest.approx(0.3)
    assert gain.direction == "better"
    assert gain.units == 8
    found = compare(*runs, drift=(drift_rows(0.5, "replay"), drift_rows(0.2, "replay")), resampling=QUICK)
    assert found.suites[0].drift == ()
    assert "drift is not compared" in found.notes[-1]


def test_the_table_says_what_changed_in_words(runs):
    from rich.console import Console

    console = Console(width=80, record=True)
    console.print(render_comparison(compare(*runs, drift=(drift_rows(0.5), drift_rows(0.2)), resampling=QUICK)))
    text = console.export_text()
    assert "toy: B worse than A clean" in text
    assert "nan" not in text.lower()
    assert "None" not in text
    assert "offline action drift" in text


def test_compare_prints_a_table_or_json(runs):
    plain = call("compare", runs[1].folder, runs[0].folder)
    assert plain.code == 0
    assert "A: random" in plain.out
    record = json.loads(call("compare", runs[1].folder, runs[0].folder, "--json").out)
    assert record["schema_version"] == 1
    assert record["suites"][0]["change"]["success"][0]["direction"] == "better"
