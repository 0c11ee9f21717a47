"""`simeval export --to rrd`: Rerun itself reads it, in a slow test, because the package has 490 MB."""

import shutil
import sys

import numpy as np
import pytest
from helpers import call, refusal, toy_config

from envs.suites import find_suite
from simeval.api import evaluate
from simeval.core.errors import ConfigError
from simeval.exchange.rollouts import cameras_of, with_traces
from simeval.store.run import Run

CONDITION = "noise:0.3"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    wanted = toy_config(tmp_path_factory.mktemp("rrd") / "run", tasks="0", init_states="0", perturb=(CONDITION,))
    return evaluate(wanted)


def scalars(path, entity: str) -> list[float]:
    """The numbers of an entity, by step."""
    from rerun.chunk import RrdReader

    found = {}
    for chunk in RrdReader(path).stream().to_chunks():
        if chunk.entity_path == f"/{entity}":
            table = chunk.to_record_batch()
            (values,) = (name for name in table.schema.names if name.startswith("Scalars"))
            found |= dict(zip(table["step"].to_pylist(), table[values].to_pylist(), strict=True))
    return [value[0] for _, value in sorted(found.items())]


@pytest.mark.slow
def test_rerun_reads_what_was_executed(run, tmp_path):
    from rerun.chunk import RrdReader

    out = tmp_path / "recordings"
    called = call("export", run.folder, "--to", "rrd", "--out", out, "--conditions", CONDITION, "--size", 64)
    assert (called.code, called.err) == (0, ""), called
    (result,) = (r for r in run.results if r.spec.condition == CONDITION)
    trace = run.trace(result)
    (path,) = out.iterdir()
    assert path.name == f"{result.spec.id.replace('/', '_')}.rrd"
    (entry,) = RrdReader(path).recordings()
    assert (entry.application_id, entry.recording_id) == ("simeval", result.spec.id)
    assert np.array_equal(np.array(scalars(path, "action/x"), np.float32), trace.actions[:, 0])
    looked = scalars(path, "policy/looked")
    assert [step for step, value in enumerate(looked) if value] == [int(step) for step in trace.chunk_steps]
    images = [
        chunk.num_rows for chunk in RrdReader(path).stream().to_chunks() if chunk.entity_path == "/camera/agentview"
    ]
    assert sum(images) == len(trace.actions)


def test_without_rerun_the_extra_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert refusal("export", run.folder, "--to", "rrd").endswith("pip install 'simeval[rerun]'")
    assert not (run.folder / "export").exists()


def test_a_recording_has_the_simulated_time(run):
    assert "--fps: is for --to lerobot" in refusal("export", run.folder, "--to", "rrd", "--fps", 10)
    assert "--size: is for --to lerobot and rrd" in refusal("export", run.folder, "--to", "csv", "--size", 128)


def test_only_episodes_with_traces_are_chosen(run):
    kept, notes = with_traces(run, "all", ())
    assert [result.spec.condition for result in kept] == ["none", CONDITION]
    assert notes == []


@pytest.mark.slow
def test_a_state_that_the_policy_did_not_get_is_said(run, tmp_path, monkeypatch):
    monkeypatch.setattr("simeval.exchange.rerun_recording.has_own_state", lambda run, spec: spec.condition == CONDITION)
    called = call("export", run.folder, "--to", "rrd", "--out", tmp_path / "r", "--size", 64)
    assert f"note: state is the robot's own under {CONDITION}: the policy's was changed" in called.err


@pytest.mark.slow
def test_without_a_readable_trace_there_is_no_recording(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    for path in (folder / "traces").rglob("*.npz"):
        path.write_bytes(b"")
    assert "no trace can be read: " in refusal("export", folder, "--to", "rrd")


def test_a_camera_that_a_suite_lacks_is_refused():
    assert cameras_of("toy", ()) == cameras_of("toy", find_suite("toy").interface.cameras)
    with pytest.raises(ConfigError, match="--cameras: toy has only agentview"):
        cameras_of("toy", ("elbow",))
