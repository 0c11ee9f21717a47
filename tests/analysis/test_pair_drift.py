"""The drift at the step at which twins diverge: of the last audited frame up to it, of this run's audit, or nothing."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from audits import write_audit
from helpers import call, toy_config

from simeval.analysis.pair_drift import START_ONLY, FrameDrift, PairDrift, audited_drift
from simeval.analysis.stage_counts import count_stages
from simeval.api import audit, evaluate
from simeval.config.audit import AuditConfig
from simeval.core.checksums import sealed_line
from simeval.core.types import EpisodeResult
from simeval.report.terminal.stages import remarks
from simeval.store.run import Run
from simeval.store.stages import EpisodeStage, read_stages, twin_digests, write_stages

NOISE, LIGHT = "noise:0.3", "light:0.1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Four pairs under two conditions; never written to."""
    return evaluate(toy_config(tmp_path_factory.mktemp("drift") / "run", perturb=(NOISE, LIGHT))).folder


@pytest.fixture
def run(finished, tmp_path) -> Run:
    return Run.load(shutil.copytree(finished, tmp_path / "run"))


def pairs(run: Run) -> list[str]:
    return list(dict.fromkeys(result.spec.pair_id for result in run.results))


def diverged(run: Run, steps: dict[tuple[str, str], int | None]) -> dict[str, EpisodeStage]:
    """Stages by hand: the step at which each perturbed episode diverged; the others were not compared."""
    twins = twin_digests(run.results)

    def stage(result: EpisodeResult) -> EpisodeStage:
        spec = result.spec
        key, twin = (spec.pair_id, spec.condition), "" if spec.condition == "none" else twins[spec.pair_id]
        about = {"id": spec.id, "digest": result.state_digest, "twin": twin, "stage": "success"}
        if key not in steps:
            return EpisodeStage(**about)
        apart = None if steps[key] is None else 0.06
        return EpisodeStage(**about, compared=True, divergence_step=steps[key], divergence_m=apart)

    return {result.spec.id: stage(result) for result in run.results}


def drift_of(run: Run):
    return audited_drift(run, twin_digests(run.results))


@pytest.mark.parametrize(
    ("step", "there"),
    [
        (7, None),
        (8, FrameDrift(8, 0.25)),
        (15, FrameDrift(8, 0.25)),
        (16, FrameDrift(16, 1.0)),
        (400, FrameDrift(24, 3.0)),
        (None, None),
    ],
)
def test_it_is_that_of_the_last_frame_up_to_the_step(step, there):
    """Two seeds at each frame; a later frame is never taken, however near."""
    measured = PairDrift((24, 8, 16, 24, 8, 16), (2.0, 0.2, 1.5, 4.0, 0.3, 0.5))
    assert measured.frames == (FrameDrift(8, 0.25), FrameDrift(16, 1.0), FrameDrift(24, 3.0))
    assert measured.at(step) == there
    assert measured.mean == pytest.approx(8.5 / 6)


def test_the_row_of_a_condition(run):
    """By hand: at 10 of [8, 16, 24], at 16 of [8, 16], at 4 of [8], which is too late; and one never."""
    a, b, c, d = pairs(run)
    measured = [
        *(
            (a, NOISE, 8, 0, 0.2),
            (a, NOISE, 16, 0, 0.9),
            (a, NOISE, 24, 0, 1.1),
            (b, NOISE, 8, 0, 0.1),
            (b, NOISE, 16, 0, 0.6),
        ),
        *((c, NOISE, 8, 0, 5.0), (d, NOISE, 8, 0, 7.0), (a, LIGHT, 8, 0, None)),
    ]
    write_audit(run, measured)
    steps = {(a, NOISE): 10, (b, NOISE): 16, (c, NOISE): 4, (d, NOISE): None, (a, LIGHT): 20, (b, LIGHT): 30}
    counts = count_stages(run.results, diverged(run, steps), drift_of(run))
    noise, light = (next(row for row in counts.divergences if row.condition == name) for name in (NOISE, LIGHT))
    assert (noise.pairs, noise.diverged, noise.median_step, noise.audited) == (4, 3, 10, 2)
    assert noise.median_frame_step == 12, "the middle of 8 and 16"
    assert noise.median_drift == pytest.approx(0.4), "the middle of 0.2 and 0.6"
    assert noise.median_drift_all == pytest.approx(0.6), "0.1, 0.2, 0.6, 0.9, 1.1; not c and d, which have none there"
    assert (light.diverged, light.audited, light.median_drift, light.median_drift_all) == (2, 0, None, None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "start"}, START_ONLY),
        ({"policy": {"name": "other", "n_action_steps": 1}}, "is an audit of another policy, 'other'"),
        ({"frames": {"source": "dataset"}}, "a dataset's frames, which belong to no episode"),
        ({"frames": {"source": "run", "sha256": "0" * 64}}, "is an audit of other episodes than the run has now"),
        ({"frames": {"source": "run", "plan": "0"}, "complete": False}, "other episodes than the run has now"),
        ({"policy": {"name": 3}}, "audit.json"),
    ],
)
def test_what_an_audit_lacks_is_said_and_nothing_is_guessed(run, change, says):
    a, *_ = pairs(run)
    write_audit(run, [(a, NOISE, 0, 0, 0.5)], **change)
    found = drift_of(run)
    assert says in found.note
    assert bool(found.pairs) == (says == START_ONLY)
    (folded,) = [
        row for row in remarks(count_stages(run.results, diverged(run, {(a, NOISE): 3}), found)) if "drift" in row
    ]
    assert says in folded


def test_an_audit_of_motions_that_ran_again_since_does_not_count(run):
    a, b, *_ = pairs(run)
    write_audit(run, [(a, NOISE, 0, 0, 0.5), (b, NOISE, 0, 0, 0.5)])
    assert drift_of(run).pairs
    assert not audited_drift(run, twin_digests(run.results) | {b: "0" * 16}).pairs


def test_an_unfinished_audit_has_the_frames_that_were_measured(run):
    a, b, *_ = pairs(run)
    folder = write_audit(run, [(a, NOISE, 0, 0, 0.5), (b, NOISE, 0, 0, 0.7)], complete=False)
    lines = (folder / "drift.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "drift.jsonl").write_bytes(lines[0] + lines[1][:40])
    assert list(drift_of(run).pairs) == [(a, NOISE)]


def test_without_an_audit_a_line_says_how_to_get_one(run):
    a, *_ = pairs(run)
    counts = count_stages(run.results, diverged(run, {(a, NOISE): 3}), drift_of(run))
    assert [line for line in remarks(counts) if "drift" in line] == [
        "drift at the divergence: nothing was audited up to that step (simeval audit RUN --frames replay)."
    ]


def test_a_damaged_audit_is_a_line(run):
    a, *_ = pairs(run)
    folder = write_audit(run, [(a, NOISE, 0, 0, 0.5)])
    for line in (sealed_line({"pair_id": a}), b"{}\n", b"\xff\n"):
        (folder / "drift.jsonl").write_bytes(line)
        assert "line 1 is not a row of an audit" in drift_of(run).note


def test_the_table_the_json_the_report_and_the_export_have_it(run):
    a, b, *_ = pairs(run)
    write_audit(run, [(a, NOISE, 8, 0, 0.25), (a, NOISE, 16, 0, 0.75), (b, NOISE, 24, 0, 0.5)])
    assert call("show", run.folder, "--stages").code == 0
    never = dict.fromkeys(((pair, condition) for pair in pairs(run) for condition in (NOISE, LIGHT)), None)
    steps = never | {(a, NOISE): 17, (b, NOISE): 20}
    write_stages(run.folder, diverged(run, steps).values())
    shown = call("show", run.folder, "--stages")
    row = next(line for line in shown.out.splitlines() if line.startswith(NOISE) and line.split()[-1] == "0.5")
    assert row.split()[1:] == ["4", "2", "18.5", "1", "16", "0.75", "0.5"]
    found, other = json.loads(call("show", run.folder, "--stages", "--json").out)["stages"]["divergences"]
    assert (found["audited"], found["median_frame_step"], found["median_drift"]) == (1, 16, 0.75)
    assert (other["condition"], other["diverged"], other["median_drift"]) == (LIGHT, 0, None)
    assert call("report", run.folder).code == 0
    row, _ = csv.DictReader((run.folder / "report" / "data" / "divergences.csv").open())
    assert (row["median_step"], row["median_drift"], row["median_drift_all"]) == ("18.5", "0.75", "0.5")
    assert call("export", run.folder, "--to", "csv", "--out", run.folder / "rows.csv").code == 0
    rows = {row["id"]: row for row in csv.DictReader((run.folder / "rows.csv").open())}
    columns = ("divergence_step", "divergence_frame_step", "divergence_drift_exec")
    ids = {r.spec.pair_id: r.spec.id for r in run.results if r.spec.condition == NOISE}
    assert [rows[ids[a]][name] for name in columns] == ["17.0", "16.0", "0.75"]
    assert [rows[ids[b]][name] for name in columns] == ["20.0", "", ""], "audited only later"
    others = [row for id_, row in rows.items() if id_ not in (ids[a], ids[b])]
    assert not any(row[name] for row in others for name in columns)


def test_a_real_audit_is_found_for_every_twin_that_diverged(run):
    """Replayed frames begin with the first, so there is always one up to the step."""
    audit(AuditConfig(run=str(run.folder), frames="replay", workers=0))
    assert call("show", run.folder, "--stages").code == 0
    counts = count_stages(run.results, read_stages(run.folder), drift_of(run))
    assert not counts.drift_note
    assert sum(row.diverged for row in counts.divergences) > 0
    for row in counts.divergences:
        assert row.audited == row.diverged
        assert row.median_frame_step is None or row.median_frame_step <= row.median_step
