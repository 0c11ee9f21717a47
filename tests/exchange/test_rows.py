"""`simeval export --to csv|parquet`: a table that other tools read, and from which the same numbers follow."""

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import call, refusal, toy_config

from simeval.analysis import success
from simeval.api import evaluate
from simeval.exchange.rows import DRIFT, table
from simeval.report.terminal.run import summarise
from simeval.store.run import Run

ROOT = Path(__file__).parents[2]
STORED = ROOT / "results" / "correlation"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """Twenty episodes of the toy suite: successes, failures and another instruction."""
    return evaluate(toy_config(tmp_path_factory.mktemp("rows") / "run"))


def exported(run: Run, out: Path, to: str, *words: object) -> pd.DataFrame:
    called = call("export", run.folder, "--to", to, "--out", out, *words)
    assert (called.code, called.err) == (0, ""), called
    assert called.out.startswith(f"{out}: ")
    return pd.read_csv(out) if to == "csv" else pd.read_parquet(out)


@pytest.mark.parametrize("to", ["csv", "parquet"])
@pytest.mark.parametrize("stored", [False, True])
def test_the_success_table_of_what_is_read_back_is_that_of_show(run, tmp_path, to, stored):
    source = Run.load(STORED) if stored else run
    rows = exported(source, tmp_path / f"rows.{to}", to)
    shown = {(row["suite"], row["condition"]): row for row in summarise(source)["rates"]}
    again = {(row.suite, row.condition): row for row in success.success_table(rows)}
    assert again.keys() == shown.keys()
    for key, row in again.items():
        assert (row.n, row.successes, row.errors) == tuple(shown[key][name] for name in ("n", "successes", "errors"))
        assert row.rate == pytest.approx(shown[key]["rate"], abs=1e-12)
        assert row.interval.low == pytest.approx(shown[key]["interval"]["low"], abs=1e-12)
        assert row.mean_steps == pytest.approx(shown[key]["mean_steps"], nan_ok=True)


def test_of_a_run_that_stopped_early_the_counted_rows_give_the_table_of_show(tmp_path):
    wanted = toy_config(
        tmp_path / "run", tasks="0-3", init_states="0-7", perturb=("instruction:empty", "noise:0.01"), until="decided"
    )
    done = evaluate(wanted)
    rows = exported(done, tmp_path / "rows.parquet", "parquet")
    assert not rows["counted"].all(), "else the test cannot fail"
    shown = {row["condition"]: (row["n"], row["successes"]) for row in summarise(done)["rates"]}
    again = success.success_table(rows[rows["counted"]])
    assert {row.condition: (row.n, row.successes) for row in again} == shown


def test_a_row_says_what_was_run_in_words_and_in_numbers(run, tmp_path):
    rows = exported(run, tmp_path / "rows.parquet", "parquet").set_index("id")
    noise = rows.loc["toy/2/init01/noise=0.3/r0"]
    assert (noise["axis"], noise["strength"], noise["camera"]) == ("noise", 0.3, "all")
    assert pd.isna(noise["word"])
    assert noise["task_name"] == noise["instruction"]
    assert noise["policy"] == "seeker"
    assert noise["image_psnr_db"] < 20
    assert rows.loc["toy/0/init00/occlusion=0.2@agentview/r0", "camera"] == "agentview"
    other = rows.loc["toy/0/init00/instruction=counterfactual/r0"]
    assert (other["axis"], other["word"]) == ("instruction", "counterfactual")
    assert other["task_name"] != other["instruction"]
    assert pd.isna(rows.loc["toy/0/init00/none/r0", "axis"])
    assert list(rows["success"]) == [outcome == "success" for outcome in rows["outcome"]]


def test_parquet_keeps_types_and_where_the_rows_are_from(run, tmp_path):
    rows = exported(run, tmp_path / "rows.parquet", "parquet")
    assert rows["success"].dtype == "boolean"
    assert rows["first_success"].dtype == "Int64"
    assert rows["steps"].dtype == "int64"
    assert list(rows["condition"].cat.categories) == run.manifest["conditions"]
    about = json.loads(pq.read_schema(tmp_path / "rows.parquet").metadata[b"simeval"])
    assert about["policy"]["name"] == "seeker"


def test_the_drift_of_an_audit_in_the_run_folder_is_a_column():
    rows = table(Run.load(STORED)).rows
    audit = [json.loads(line) for line in (STORED / "audit" / "drift.jsonl").read_text().splitlines()]
    one = next(row for row in audit if row["condition"] == "blur.gaussian:3")
    same = [r for r in audit if (r["pair_id"], r["condition"]) == (one["pair_id"], one["condition"])]
    expected = sum(row["drift_exec"] for row in same) / len(same)
    found = rows[(rows["pair_id"] == one["pair_id"]) & (rows["condition"] == one["condition"])]
    assert found[DRIFT].item() == pytest.approx(expected)


def test_only_what_was_asked_for(run, tmp_path):
    failed = next(r.spec.condition for r in run.results if r.outcome == "failure")
    rows = exported(run, tmp_path / "a.csv", "csv", "--only", "failures", "--conditions", failed)
    assert set(rows["condition"]) == {failed}
    assert set(rows["outcome"]) == {"failure"}
    both = exported(run, tmp_path / "b.csv", "csv", "--conditions", "noise:.3", "--conditions", "none")
    assert set(both["condition"]) == {"none", "noise:0.3"}
    swept = exported(Run.load(STORED), tmp_path / "c.csv", "csv", "--conditions", "blur.gaussian:1,3")
    assert set(swept["condition"]) == {"blur.gaussian:1", "blur.gaussian:3"}


def _copy(run: Run, folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text((run.folder / "manifest.json").read_text())
    (folder / "episodes.jsonl").write_text(text)
    return folder


def test_an_unfinished_run_gives_what_is_there_with_one_line(run, tmp_path):
    lines = (run.folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    folder = _copy(run, tmp_path / "part", "".join(lines[:7]) + lines[7][:40])
    called = call("export", folder, "--to", "csv")
    assert called.code == 0
    assert called.err == "note: the run is unfinished: 7 of 20 episodes are there\n"
    assert len(pd.read_csv(folder / "export" / "episodes.csv")) == 7


def test_a_damaged_run_gives_the_other_rows_with_one_line_and_exit_code_1(run, tmp_path):
    lines = (run.folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    lines[4] = lines[4].replace('"outcome":"', '"outcome":"x')
    folder = _copy(run, tmp_path / "broken", "".join(lines))
    called = call("export", folder, "--to", "csv")
    assert called.code == 1
    first, *others = called.err.splitlines()
    assert re.match(r"note: 1 damaged lines are left out \(.*line 5 ", first)
    assert others == ["note: the run is unfinished: 19 of 20 episodes are there"]
    assert len(pd.read_csv(folder / "export" / "episodes.csv")) == 19


def test_every_column_is_on_the_page(run):
    page = (ROOT / "docs" / "how-to" / "export.md").read_text()
    described = set(re.findall(r"`([a-z_]+)`", page))
    assert [name for name in table(run).rows.columns if name not in described] == []


def test_bad_input_is_one_line(run, tmp_path):
    assert "did you mean 'csv'?" in refusal("export", run.folder, "--to", "cvs")
    assert "did you mean 'failures'?" in refusal("export", run.folder, "--to", "csv", "--only", "failure")
    assert "has no 'noise:0.4'" in refusal("export", run.folder, "--to", "csv", "--conditions", "noise:0.4")
    assert "--size: is for --to lerobot" in refusal("export", run.folder, "--to", "csv", "--size", 128)
    assert "is a folder" in refusal("export", run.folder, "--to", "csv", "--out", tmp_path)
    assert "no run here" in refusal("export", tmp_path, "--to", "csv")
    assert "no episode has run" in refusal("export", _copy(run, tmp_path / "empty", ""), "--to", "parquet")
