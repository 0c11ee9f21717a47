"""How far tables can be trusted: what is said of an unfinished run, of a grown one, and of a whole suite."""

import json

import pytest
from helpers import call

TOY = ("--suite", "toy", "--tasks", "0", "--policy", "seeker", "--workers", "0", "--perturb", "noise:0.3")


def said(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def folder(tmp_path):
    assert call("run", *TOY, "--init-states", "0-3", "--out", tmp_path / "run").code == 0
    return tmp_path / "run"


def test_a_finished_run_needs_no_caution(folder):
    shown = said(call("show", folder).out)
    assert not any(word in shown for word in ("unfinished", "grown", "deterministic"))


def test_p_of_an_unfinished_run_is_not_final(folder):
    rows = folder / "episodes.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:5]))
    caution = (
        "nfinished: 3 of 8 episodes have not run; rates, drops and p are over the initial states that have, and not"
    )
    assert caution in said(call("show", folder).out)
    assert caution in json.loads(call("show", folder, "--json").out)["cautions"][0]
    assert call("report", folder).code == 0
    assert caution in said((folder / "report" / "report.html").read_text())


def forget_layouts(folder):
    """Make a manifest one of an older version, which did not say what a run grew from."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for step in (manifest, *manifest["grown"]):
        del step["layout"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_grown_run_has_inference_that_holds_at_any_look(folder):
    grown = said(call("run", "--resume", folder, "--grow", "--init-states", "0-4", "--workers", "0").out)
    assert "inference: anytime. Drops, their 95 % intervals and p hold however often one looks" in grown
    assert "too optimistic" not in grown
    assert call("report", folder).code == 0
    page = said((folder / "report" / "report.html").read_text())
    assert "inference: anytime" in page
    assert "too optimistic" not in page


def test_an_older_run_that_grew_says_that_looking_was_not_free(folder):
    call("run", "--resume", folder, "--grow", "--init-states", "0-4", "--workers", "0")
    forget_layouts(folder)
    caution = (
        "rown: 8 -> 10 episodes; grown after looking: p and intervals are too optimistic (false alarms 2 to 5 times"
    )
    assert caution in said(call("show", folder).out)
    assert call("report", folder).code == 0
    assert caution in said((folder / "report" / "report.html").read_text().replace("-&gt;", "->"))


def test_without_perturbations_there_is_no_p_to_warn_of(tmp_path):
    alone = ("--suite", "toy", "--tasks", "0", "--policy", "seeker", "--workers", "0")
    call("run", *alone, "--init-states", "0", "--out", tmp_path / "run")
    call("run", "--resume", tmp_path / "run", "--grow", "--init-states", "0-1", "--workers", "0")
    forget_layouts(tmp_path / "run")
    shown = said(call("show", tmp_path / "run").out)
    assert "grown: 1 -> 2 episodes; grown after looking: intervals are too optimistic run folder" in shown


def test_when_every_initial_state_ran_nothing_was_sampled(tmp_path):
    shown = said(call("run", *TOY[:-2], "--init-states", "0-49", "--out", tmp_path / "run").out)
    assert "toy: all 50 initial states of these 1 tasks have run: of a deterministic policy the numbers" in shown


def test_a_condition_that_changes_the_start_is_no_other_start(tmp_path):
    perturb = ("--perturb", "robot.qpos:0.1", "--perturb", "light:0.5")
    call("run", *TOY[:-2], *perturb, "--init-states", "0-1", "--out", tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()]
    starts = {row["id"]: row.get("start_digest") for row in rows}
    moved = [name for name in starts if "qpos" in name]
    assert len(moved) == 2
    assert [name for name, start in starts.items() if start is None] == moved
    assert len({start for start in starts.values() if start}) == 2
    assert "start alike" not in call("show", tmp_path / "run").out


def test_rows_without_the_digest_of_their_start_are_read(folder):
    rows = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    for row in rows:
        assert row.pop("start_digest")
        del row["crc"]
    (folder / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "start alike" not in call("show", folder).out
