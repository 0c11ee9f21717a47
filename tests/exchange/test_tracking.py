"""`simeval run --track`, with the real packages in their offline modes."""

import json
import sqlite3
import struct

import pytest
from helpers import call, refusal, rows

RUN = ("run", "--suite", "toy", "--policy", "seeker", "--perturb", "noise:0.9", "--init-states", "0-1", "--workers", 0)
EPISODES = 16
"""Of `RUN`: four tasks, two initial states, clean and perturbed."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory whose trackers store everything in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path / "trackio")
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "trackio")
    return tmp_path


def ids(folder):
    return json.loads((folder / "trackers.json").read_text())


def shown_success(folder):
    shown = json.loads(call("show", folder, "--json").out)
    return {row["condition"]: row["rate"] for row in shown["rates"]}


def wandb_records(path):
    """The records of an offline run: a log in LevelDB's format behind a header of 7 bytes, 32 KiB a block."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts, records = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            records.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return records


def test_wandb_gets_curves_settings_and_final_numbers(place):
    assert call(*RUN, "--out", "r", "--track", "wandb", "--track-project", "robots").code == 0
    (path,) = place.glob("wandb/offline-run-*/*.wandb")
    records = wandb_records(path)
    (run,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (run.project, run.display_name, run.run_id) == ("robots", "r", ids(place / "r")["wandb"])
    assert json.loads(next(item.value_json for item in run.config.update if item.key == "perturb")) == ["noise:0.9"]
    points = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    success = shown_success("r")
    assert points[-1]["_step"] == points[-1]["episodes/finished"] == EPISODES
    assert {name: points[-1][f"success/{name}"] for name in success} == success
    summary = {
        item.key or ".".join(item.nested_key): json.loads(item.value_json)
        for record in records
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    assert {name: summary[f"final/toy/{name}/success"] for name in success} == success


def test_mlflow_goes_on_with_the_same_run_when_a_run_is_grown(place):
    from mlflow import MlflowClient

    assert call(*RUN, "--out", "r", "--track", "mlflow").code == 0
    first = ids(place / "r")
    grown = ("run", "--resume", "r", "--grow", "--init-states", "0-2", "--workers", 0)
    assert call(*grown, "--track", "mlflow").code == 0
    assert ids(place / "r") == first
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("simeval").experiment_id])
    assert (run.info.run_id, run.info.status, run.info.run_name) == (first["mlflow"], "FINISHED", "r")
    assert run.data.params["perturb"] == "['noise:0.9']"
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "episodes/finished")]
    assert steps == [EPISODES, EPISODES * 3 // 2]
    assert run.data.metrics["final/toy/noise:0.9/success"] == shown_success("r")["noise:0.9"]


def test_trackio_gets_the_final_numbers_too(place):
    assert call(*RUN, "--out", "r", "--track", "trackio").code == 0
    (path,) = (place / "trackio").glob("simeval*.db")
    with sqlite3.connect(path) as database:
        stored = database.execute("select run_name, step, metrics from metrics order by id").fetchall()
    assert {name for name, _, _ in stored} == {ids(place / "r")["trackio"]}
    assert json.loads(stored[0][2])["episodes/finished"] == stored[0][1] == EPISODES
    assert json.loads(stored[-1][2])["final/toy/none/success"] == shown_success("r")["none"]
    assert json.loads(stored[-1][2])["complete"] == 1.0


def test_json_on_standard_output_stays_json(place):
    printed = call(*RUN, "--out", "r", "--track", "trackio", "--json")
    assert [json.loads(line)["event"] for line in printed.out.splitlines()] == [
        "start",
        *["episode"] * EPISODES,
        "summary",
    ]


def test_a_tracker_that_fails_on_the_way_is_left_out_and_the_run_goes_on(place, monkeypatch, caplog):
    from simeval.exchange.trackers import Mlflow

    def breaks(self, values, step):
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(Mlflow, "log", breaks)
    assert call(*RUN, "--out", "tracked", "--track", "mlflow", "--track", "trackio").code == 0
    assert call(*RUN, "--out", "plain").code == 0
    assert [record.getMessage() for record in caplog.records if "mlflow" in record.getMessage()] == [
        "simeval: --track mlflow failed, the run goes on without it: ConnectionError: the server is gone"
    ]
    assert rows(place / "tracked") == rows(place / "plain")
    assert list((place / "trackio").glob("simeval*.db"))


def test_an_interrupted_run_is_marked_in_the_tracker(place, monkeypatch):
    from mlflow import MlflowClient

    def interrupted(self, result):
        raise KeyboardInterrupt

    monkeypatch.setattr("simeval.runner.progress.PlainProgress.update", interrupted)
    assert call(*RUN, "--out", "r", "--track", "mlflow").code == 130
    assert MlflowClient().get_run(ids(place / "r")["mlflow"]).info.status == "KILLED"


def test_names_that_mlflow_does_not_take_stay_different():
    from simeval.exchange.trackers import Mlflow

    names = ("success/noise:0.1+light:0.2", "success/noise:0.1,light:0.2", "success/a@wrist/mode=static")
    allowed = [Mlflow()._allowed(name) for name in names]
    assert allowed[0] == "success/noise:0.1_light:0.2"
    tracker = Mlflow()
    assert [tracker._allowed(name) for name in (*names, names[0])] == [
        "success/noise:0.1_light:0.2",
        "success/noise:0.1_light:0.2_2",
        "success/a_wrist/mode_static",
        "success/noise:0.1_light:0.2",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--track", "wandd"), "--track: no tracker 'wandd'; did you mean 'wandb'?"),
        (("--track-project", "x"), "--track-project: name a tracker with --track"),
        (("--track", "wandb", "--track-project", " "), "--track-project: the name is empty"),
    ],
)
def test_what_cannot_be_tracked_is_refused_before_the_run(place, options, said):
    assert refusal(*RUN, "--out", "r", *options) == said
    assert not (place / "r").exists()


def test_a_missing_package_names_its_extra(place, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "trackio", None)
    assert refusal(*RUN, "--out", "r", "--track", "trackio").endswith("pip install 'simeval[trackio]'")


def test_a_tracker_that_refuses_the_run_is_one_line(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://host")
    assert refusal(*RUN, "--out", "r", "--track", "mlflow").startswith("--track mlflow: it refuses the run: ")
    assert not (place / "r").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"mlflow": 3}'])
def test_damaged_ids_are_one_line(place, content):
    (place / "r").mkdir()
    (place / "r" / "trackers.json").write_text(content)
    assert "trackers.json" in refusal(*RUN, "--out", "r", "--track", "mlflow")


def test_an_id_that_the_tracker_does_not_know_names_its_file(place):
    (place / "r").mkdir()
    (place / "r" / "trackers.json").write_text('{"mlflow": "0000deadbeef"}')
    assert refusal(*RUN, "--out", "r", "--track", "mlflow").endswith(
        "; r/trackers.json says which run it was: remove it to track anew"
    )
