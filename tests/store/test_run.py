"""A run on disk: nothing is lost, nothing is counted twice, whatever happens to the process, the disk or the files."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import CONDITIONS, call, lines, refusal, roll_out, rows, toy_config, toy_spec, trace_bytes
from msgspec import structs

from envs.toy.env import ToyEnv
from simeval.analysis.success import USED, summary
from simeval.api import evaluate
from simeval.config.plan import make_plan
from simeval.core.errors import ConfigError
from simeval.core.types import EpisodeResult, Execution, RealizedStrength
from simeval.policies.scripted import SeekerPolicy
from simeval.store.identity import differences
from simeval.store.run import SCHEMA_VERSION, Run, RunWriter, trace_path

REMEDY = "delete the line and repeat the command that made the run; it runs this episode again"
SMALL = {"tasks": "0", "perturb": ("noise:0.3", "instruction:empty")}
MANIFEST = {
    "schema_version": SCHEMA_VERSION,
    "created": "2026-11-26T00:00:00+00:00",
    "git": None,
    "notes": [],
    "host": {},
    "identity": {
        "plan": "p",
        "settings": {"seed": 0, "assets": None},
        "policy": {"name": "seeker", "n_action_steps": 6},
        "versions": {},
        "opengl": None,
    },
    "assets": "toy",
    "config": {"suite": ["toy"]},
    "conditions": ["none"],
    "episodes": 3,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run of six episodes; never written to."""
    return evaluate(toy_config(tmp_path_factory.mktemp("store") / "run", **SMALL)).folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of that run."""
    return shutil.copytree(finished, tmp_path / "run")


def config(folder: Path, **changes):
    return toy_config(folder, **{**SMALL, **changes})


def without_checksum(line: str) -> dict:
    """A row as older versions wrote it."""
    return {key: value for key, value in json.loads(line).items() if key != "crc"}


def episodes_file(folder: Path) -> Path:
    return folder / "episodes.jsonl"


# Resuming


@pytest.mark.parametrize("seed", range(4))
def test_a_file_cut_at_any_byte_is_completed_to_the_same_rows(finished, tmp_path, seed):
    data = episodes_file(finished).read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    offsets = [ends[seed], ends[seed] - 1, *np.random.default_rng(seed).integers(0, len(data), 3)]
    for number, offset in enumerate(map(int, offsets)):
        copy = shutil.copytree(finished, tmp_path / str(number))
        os.truncate(episodes_file(copy), offset)
        kept = data[:offset].count(b"\n")
        assert len(Run.load(copy).results) == kept
        run = evaluate(config(copy))
        assert rows(copy) == rows(finished), offset
        whole = ends[kept - 1] if kept else 0
        assert episodes_file(copy).read_bytes()[:whole] == data[:whole]
        assert run.results == Run.load(copy).results
        assert len(run.results) == 6


@pytest.mark.parametrize("torn", [b'{"id":"toy/0/ini', b"\x00" * 700, b"\xff\xfe", b"{}"])
def test_a_torn_last_line_is_skipped_by_readers_and_cut_off_by_the_writer(finished, folder, torn):
    with episodes_file(folder).open("ab") as file:
        file.write(torn)
    assert len(Run.load(folder).results) == 6
    assert call("show", folder).code == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    with RunWriter(folder, manifest) as writer:
        assert len(writer.finished) == 6
    assert episodes_file(folder).read_bytes() == episodes_file(finished).read_bytes()


def test_a_lost_episodes_file_costs_the_episodes_and_nothing_else(finished, folder):
    episodes_file(folder).unlink()
    assert Run.load(folder).results == ()
    evaluate(config(folder))
    assert rows(folder) == rows(finished)


def test_episodes_without_a_manifest_are_not_adopted(folder):
    (folder / "manifest.json").unlink()
    before = episodes_file(folder).read_bytes()
    with pytest.raises(ConfigError, match=r"has episodes but no manifest\.json"):
        evaluate(config(folder))
    assert episodes_file(folder).read_bytes() == before


def test_a_finished_run_is_not_run_again(finished, folder):
    before = episodes_file(folder).read_bytes()
    run = evaluate(config(folder))
    assert episodes_file(folder).read_bytes() == before
    assert run.results == Run.load(finished).results


class Moody:
    """A seeker that breaks in one initial state while its marker file is there."""

    spec = replace(SeekerPolicy.spec, name="moody", fingerprint=(("version", 1),))
    marker: Path

    def act(self, inputs):
        if self.marker.exists() and "init01" in inputs[0].pair_id:
            raise RuntimeError("not today")
        return SeekerPolicy().act(inputs)


def test_a_run_is_shown_in_one_short_line(tmp_path):
    run = evaluate(config(tmp_path / "run"))
    assert repr(run) == f"Run({str(tmp_path / 'run')!r}: seeker, 6 episodes planned)"


def test_error_rows_are_tried_again_and_a_later_success_counts_once(tmp_path):
    policy = Moody()
    policy.marker = tmp_path / "broken"
    policy.marker.touch()
    folder = tmp_path / "run"
    wanted = config(folder, policy=None)
    for attempt in (1, 2):
        frame = evaluate(wanted, policy=policy).episodes
        assert len(frame) == 6
        errors = frame[frame.outcome == "error"]
        assert set(errors.init_state) == {1}
        assert set(errors.error_phase) == {"policy"}
        assert len(lines(folder)) == 3 + 3 * attempt
    policy.marker.unlink()
    frame = evaluate(wanted, policy=policy).episodes
    assert len(frame) == frame.id.nunique() == 6
    assert "error" not in set(frame.outcome)
    calm = evaluate(config(tmp_path / "calm"))
    for found, expected in zip(Run.load(folder).results, calm.results, strict=True):
        assert structs.replace(found, timings=expected.timings) == expected
    assert len(lines(folder)) == 12
    evaluate(wanted, policy=policy)
    assert len(lines(folder)) == 12


# Refusing


def test_another_run_in_the_folder_is_refused_with_what_changed(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for changes, said in [
        ({"seed": 1}, "settings.seed: 0 -> 1"),
        ({"policy": "zero"}, 'settings.policy: "seeker" -> "zero"'),
        ({"init_states": "0-2"}, 'settings.init_states: "0-1" -> "0-2"'),
        ({"perturb": ("noise:0.3",)}, 'settings.perturb: ["noise:0.3", "instruction:empty"] -> ["noise:0.3"]'),
        ({"protocol": "lerobot"}, 'settings.protocol: "openvla" -> "lerobot"'),
    ]:
        with pytest.raises(ConfigError) as caught:
            evaluate(config(folder, **changes))
        text = str(caught.value)
        assert said in text
        assert f"--out {folder}: holds a different run" in text
        assert "plan" not in text
        assert "\n" not in text
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_same_run_in_other_words_resumes(folder):
    before = lines(folder)
    run = evaluate(config(folder, policy="seeker", init_states="0,1", perturb=("noise:30%", "instruction:empty")))
    assert lines(folder) == before
    assert len(run.results) == len(before)


def test_a_run_of_other_software_is_refused_when_there_is_something_left_to_run(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["identity"]["versions"]["mujoco"] = "3.0.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    os.truncate(episodes_file(folder), 0)
    with pytest.raises(ConfigError, match=r'versions\.mujoco: "3\.0\.0" -> '):
        evaluate(config(folder))


def test_settings_that_change_no_row_may_change_on_resume(finished, folder):
    os.truncate(episodes_file(folder), 100)
    evaluate(config(folder, traces="none", inference="worker", video="none"))
    assert rows(folder) == rows(finished)


def test_differences_name_every_value_that_changed():
    old = {"a": 1, "b": {"c": [1], "d": "same"}, "gone": True}
    new = {"a": 2, "b": {"c": [1, 2], "d": "same"}, "new": None, "more": "x" * 100}
    assert differences(old, new) == [
        "a: 1 -> 2",
        "b.c: [1] -> [1, 2]",
        "gone: true -> null",
        f'more: null -> "{"x" * 56}...',
    ]
    assert differences(old, old) == []


def test_a_run_has_one_writer_at_a_time(tmp_path):
    with RunWriter(tmp_path, MANIFEST), pytest.raises(ConfigError, match="another simeval is writing to this run"):
        RunWriter(tmp_path, MANIFEST)
    with RunWriter(tmp_path, MANIFEST) as writer:
        assert writer.finished == {}


def test_a_writer_in_another_process_is_noticed(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    os.truncate(episodes_file(folder), 0)
    with RunWriter(folder, manifest):
        said = call("run", "--resume", folder)
    assert said.code == 2
    assert "another simeval is writing to this run" in said.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a manifest of simeval"),
        ("{", "not a manifest of simeval"),
        ("[]", "not a manifest of simeval"),
        ("{}", "not a manifest of simeval"),
        (json.dumps(MANIFEST | {"identity": {}}), "not a manifest of simeval"),
        ("\x00\x01", "not a manifest of simeval"),
        (json.dumps(MANIFEST | {"schema_version": 99}), "written with schema 99, this simeval reads"),
    ],
)
def test_what_is_no_manifest_is_refused_by_readers_and_writers(folder, content, said):
    (folder / "manifest.json").write_text(content)
    assert said in refusal("show", folder)
    assert said in refusal("run", "--resume", folder)
    with pytest.raises(ConfigError, match=said):
        evaluate(config(folder))


@pytest.mark.parametrize(
    "bad", [b"garbage", b"[]", b"{}", b'{"id":"x"}', b'{"id":"x"\n"outcome":"y"}', b"\xff\xff", b"null", b""]
)
def test_a_corrupt_line_in_the_middle_is_named(folder, bad):
    content = episodes_file(folder).read_bytes().split(b"\n")
    content[2] = bad
    episodes_file(folder).write_bytes(b"\n".join(content))
    for refused in (refusal("show", folder), refusal("run", "--resume", folder)):
        said = refused.replace(": it is not UTF-8", "")
        assert said == f"{episodes_file(folder)}: line 3 is not an episode; {REMEDY}"


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {}},
        {"spec": None},
        {"timings": []},
        {"counts": {"control_steps": 1, "more": 2}},
        {"magnitude": {"nope": 1}},
    ],
)
def test_a_row_of_another_shape_is_refused_in_one_line(folder, change):
    first, *others = episodes_file(folder).read_text().splitlines()
    changed = json.dumps(without_checksum(first) | change)
    episodes_file(folder).write_text("\n".join([changed, *others]) + "\n")
    assert str(episodes_file(folder)) in refusal("show", folder)


# A full disk


@pytest.mark.parametrize("traces", ["none", "all"])
def test_a_disk_that_fills_up_loses_nothing_that_was_finished(finished, tmp_path, traces):
    """No file may grow beyond a limit: without traces the rows meet it, else the first long trace does."""
    folder = tmp_path / "run"
    limit = episodes_file(finished).stat().st_size * 5 // 6 + 50 if traces == "none" else 8_000
    assert (finished / "manifest.json").stat().st_size < limit
    words = ["run", "--suite", "toy", "--tasks", "0", "--init-states", "0-1", "--workers", "0", "--traces", traces]
    words += [word for text in SMALL["perturb"] for word in ("--perturb", text)]
    full = subprocess.run(
        [sys.executable, "-m", "simeval.cli", *words, "--out", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert full.returncode == 1
    assert re.fullmatch(
        rf"simeval: {folder}/\S+: File too large; what was finished is safe, the same command resumes\n", full.stderr
    )
    kept = Run.load(folder).results
    assert 1 <= len(kept) < 6
    assert not list(folder.rglob("*.part"))
    assert call(*words, "--out", folder).code == 0
    assert rows(folder) == rows(finished)


def test_a_row_that_could_not_be_synced_is_taken_back(tmp_path, monkeypatch):
    first, second = (EpisodeResult(toy_spec(init_state=i), "failure") for i in (0, 1))
    with RunWriter(tmp_path, MANIFEST) as writer:
        writer.write(first, None)
        before = episodes_file(tmp_path).read_bytes()

        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space left"):
                writer.write(second, None)
        assert episodes_file(tmp_path).read_bytes() == before
        writer.write(second, None)
    assert [row["id"] for row in lines(tmp_path)] == [first.spec.id, second.spec.id]


def test_a_trace_that_could_not_be_written_leaves_no_row_and_no_half_file(tmp_path, monkeypatch):
    result, trace = roll_out(toy_spec(), ToyEnv(0, 128), SeekerPolicy())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunWriter(tmp_path, MANIFEST) as writer:
        with monkeypatch.context() as patched:
            patched.setattr(np, "savez_compressed", full)
            with pytest.raises(OSError, match="No space left"):
                writer.write(result, trace)
        assert lines(tmp_path) == []
        assert not [path for path in (tmp_path / "traces").rglob("*") if path.is_file()]
        writer.write(result, trace)
    assert len(lines(tmp_path)) == 1


def test_rows_written_together_are_synced_once_and_are_all_there(tmp_path, monkeypatch):
    results = [EpisodeResult(toy_spec(init_state=i), "failure") for i in range(5)]
    synced, really = [], os.fsync

    def sync(file):
        really(file)
        synced.append(episodes_file(tmp_path).read_bytes().count(b"\n"))

    with RunWriter(tmp_path, MANIFEST) as writer:
        monkeypatch.setattr(os, "fsync", sync)
        writer.write_batch([(result, None) for result in results])
    assert synced == [5]
    assert [row["id"] for row in lines(tmp_path)] == [result.spec.id for result in results]


@pytest.mark.parametrize("fitting", [0, 2, 4])
def test_of_rows_written_together_those_that_fit_on_the_disk_are_kept(tmp_path, fitting):
    results = [EpisodeResult(toy_spec(init_state=i), "failure") for i in range(5)]
    with RunWriter(tmp_path, MANIFEST) as writer:
        writer.write_batch([(result, None) for result in results])
        size = episodes_file(tmp_path).stat().st_size // 5
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * (5 + fitting) + size // 2, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                writer.write_batch([(structs.replace(result, steps=1), None) for result in results])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [row["steps"] for row in lines(tmp_path)] == [0] * 5 + [1] * fitting
        writer.write(results[0], None)
    assert len(lines(tmp_path)) == 6 + fitting


def test_a_trace_that_does_not_fit_costs_neither_the_rows_before_it_nor_the_disk(tmp_path, monkeypatch):
    result, trace = roll_out(toy_spec(), ToyEnv(0, 128), SeekerPolicy())
    other = EpisodeResult(toy_spec(init_state=1), "failure")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez_compressed", full)
    with RunWriter(tmp_path, MANIFEST) as writer, pytest.raises(OSError, match="No space left"):
        writer.write_batch([(other, None), (result, trace)])
    assert [row["id"] for row in lines(tmp_path)] == [other.spec.id]


# Reading


def test_the_table_says_what_the_results_say_also_of_older_rows_and_second_attempts(finished, folder):
    content = [without_checksum(line) for line in episodes_file(folder).read_text().splitlines()]
    for name in ("hits", "approached", "visible", "flags", "source"):
        del content[1][name]
    content[2]["of_a_later_version"] = [1]
    broken = content[3] | {"outcome": "error", "error_phase": "policy", "error_text": "not today"}
    episodes_file(folder).write_text("".join(json.dumps(row) + "\n" for row in [broken, *content]))
    frame, results = Run.load(folder).episodes, Run.load(folder).results
    assert list(frame.id) == [result.spec.id for result in results] == list(Run.load(finished).episodes.id)
    for cells, result in zip(frame.to_dict("records"), results, strict=True):
        for name, value in flat(result).items():
            assert pd.isna(cells.pop(name)) if value is None else cells.pop(name) == value
        assert not cells


def flat(result):
    """What the table should have of an episode, taken from the result part by part."""
    row = result.row()
    for name, part in (("magnitude", RealizedStrength()), *((name, None) for name in ("spec", "timings", "counts"))):
        numbers = row.pop(name) or structs.asdict(part)
        row |= {f"seconds_{key}" if name == "timings" else key: value for key, value in numbers.items()}
    execution = row.pop("execution", None) or dict.fromkeys(Execution.__struct_fields__)
    row |= execution | {"latencies": execution["latencies"] and json.dumps(execution["latencies"])}
    row |= {name: None if row[name] is None else json.dumps(dict(row[name])) for name in ("hits", "visible")}
    return row | {"flags": " ".join(row["flags"])}


def test_traces_read_back_bit_for_bit(tmp_path):
    env = ToyEnv(0, 128)
    with RunWriter(tmp_path, MANIFEST) as writer:
        kept = {}
        for condition in ("none", *CONDITIONS, "instruction:empty"):
            result, trace = roll_out(toy_spec(condition=condition), env, SeekerPolicy())
            writer.write(result, trace)
            kept[result.spec] = trace
    run = Run.load(tmp_path)
    assert [result.spec for result in run.results] == list(kept)
    for spec, trace in kept.items():
        assert trace_bytes(run.trace(spec)) == trace_bytes(trace)
    assert run.trace(toy_spec(task=3)) is None
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 torn zip"])
def test_a_broken_trace_is_one_line(folder, content):
    spec = Run.load(folder).results[0].spec
    trace_path(folder, spec).write_bytes(content)
    with pytest.raises(ConfigError, match="not a trace") as caught:
        Run.load(folder).trace(spec)
    assert "\n" not in str(caught.value)


def test_the_table_has_a_row_per_episode_in_the_order_of_the_plan(finished):
    frame = Run.load(finished).episodes
    plan = make_plan(config(finished))
    assert list(frame.id) == [spec.id for spec in plan.episodes]
    assert list(frame.columns) == [
        *("id", "pair_id", "suite", "task", "init_state", "condition", "repeat", "root_seed", "env_seed", "max_steps"),
        *("settle_steps", "resolution", "seconds_reset", "seconds_physics", "seconds_render", "seconds_perturb"),
        *("seconds_inference", "control_steps", "renders", "policy_calls", "frames", "perturbed_frames"),
        *("mean_abs", "psnr", "scene_mean_abs", "scene_psnr", "state", "action", "age_steps", "moved_cm", "joints_rad"),
        *("outcome", "steps", "first_success", "reached", "instruction", "error_phase", "error_text", "state_digest"),
        *("first_hit", "source", "goal", "hits", "approached", "visible", "flags", "start_digest"),
        *("latencies", "replans", "stale_steps", "idle_steps"),
    ]
    assert list(frame.condition.cat.categories) == ["none", "noise:0.3", "instruction:empty"]
    assert list(frame.suite.cat.categories) == ["toy"]
    assert frame.mean_abs.notna().tolist() == [False, True, False] * 2
    assert (frame.steps <= frame.max_steps).all()


def test_a_table_of_some_columns_is_those_columns_of_the_table(finished, folder):
    pd.testing.assert_frame_equal(Run.load(finished).table(USED), Run.load(finished).episodes[list(USED)])
    episodes_file(folder).write_text("")
    pd.testing.assert_frame_equal(Run.load(folder).table(USED), Run.load(folder).episodes[list(USED)])


def test_the_tables_of_a_run_need_no_other_columns(finished):
    run = Run.load(finished)
    assert summary(run.table(USED)) == summary(run.episodes)


def test_the_order_of_the_table_is_that_of_the_plan_whatever_the_order_of_the_rows(finished, folder):
    content = episodes_file(folder).read_text().splitlines(keepends=True)
    episodes_file(folder).write_text("".join(reversed(content)))
    assert Run.load(folder).results == Run.load(finished).results


@pytest.mark.parametrize("policy", ["zero", "seeker"])
def test_the_types_of_the_columns_do_not_depend_on_what_happened(finished, tmp_path, policy):
    expected = Run.load(finished).episodes.dtypes
    one = evaluate(toy_config(tmp_path, tasks="0", init_states="0", perturb=(), policy=policy)).episodes.dtypes
    numbers = [name for name, kind in expected.items() if kind.kind in "if"]
    assert {name: one[name] for name in numbers} == {name: expected[name] for name in numbers}


def test_a_run_without_episodes_can_be_read(folder):
    os.truncate(episodes_file(folder), 0)
    frame = Run.load(folder).episodes
    assert len(frame) == 0
    assert list(frame.condition.cat.categories) == ["none", "noise:0.3", "instruction:empty"]
    shown = call("show", folder)
    assert (shown.code, shown.err) == (0, "")
    assert "unfinished: 6 of 6 episodes have not run" in shown.out
    assert call("show", folder, "--json").code == 0


def test_the_manifest_says_what_ran_on_what(finished):
    manifest = Run.load(finished).manifest
    assert manifest["episodes"] == 6
    assert manifest["assets"] == "toy scenes: not LIBERO results"
    assert manifest["identity"]["policy"]["name"] == "seeker"
    assert manifest["identity"]["plan"] == make_plan(config(finished)).digest
    assert set(manifest["identity"]["versions"]) >= {"mujoco", "numpy"}
    assert manifest["config"]["out"] == str(finished)
