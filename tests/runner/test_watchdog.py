"""What takes too long: a person is told what it is doing, and with a limit it is an error row."""

import contextlib
import logging
import threading
import time

import pytest
from helpers import call, refusal, rows, toy_config, toy_spec

from perturbations import base
from simeval.api import evaluate
from simeval.config import plan
from simeval.core import plugins, time_limit
from simeval.policies.registry import PolicyChoice
from simeval.policies.scripted import SeekerPolicy
from simeval.runner import watchdog
from simeval.runner.queue import EpisodeQueue
from simeval.runner.serial import SerialRunner
from simeval.runner.worker import WorkerSetup
from simeval.store.run import Run

PLUGIN = """
import threading, time
from perturbations.base import CAMERAS, FRACTION, AxisInfo, Stage, register

@register(AxisInfo(name="own.hang", stage=Stage.SENSOR, family="V", unit=FRACTION, value_means="hangs if it is 1",
                   bounds=(0.0, 1.0), identity=0.0, presets=(0.2, 0.4, 0.6, 0.8, 1.0), source="this test",
                   cameras=CAMERAS, draws=False))
def hang(pixels, value, rng):
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("an episode runs in the main thread")
    while value == 1:
        try:
            time.sleep(300)
        except Exception:
            pass
    return 255 - pixels
"""


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """A file with an axis that never ends at strength 1, in a registry of its own."""
    for name in ("_axes", "_functions", "_parameters"):
        monkeypatch.setattr(base, name, dict(getattr(base, name)))
    path = tmp_path / f"{tmp_path.name[:20]}.py"
    path.write_text(PLUGIN + f"# {tmp_path}\n")
    return path


# Workers have a low priority: where all cores are busy, their sound episodes need some seconds as well.
@pytest.mark.parametrize(("workers", "seconds"), [(0, 2), (2, 10)])
def test_an_episode_that_never_ends_is_an_error_row_in_its_phase_and_the_run_goes_on(
    hanging, tmp_path, workers, seconds
):
    words = ["run", "--suite", "toy", "--tasks", "0", "--init-states", "0-1", "--perturb", "own.hang:0.5,1"]
    words += ["--plugin", hanging, "--workers", workers, "--episode-timeout", seconds, "--out", tmp_path / "run"]
    start = time.monotonic()
    done = call(*words)
    assert time.monotonic() - start < 60
    assert done.code == 1
    found = rows(tmp_path / "run")
    assert len(found) == 6
    for id_, row in found.items():
        assert (row["outcome"] == "error") == ("own.hang=1/" in id_), row
    lost = found["toy/0/init01/own.hang=1/r0"]
    assert lost["error_phase"] == "perturb"
    assert lost["error_text"].startswith(f"Overdue: it took longer than {seconds} s (--episode-timeout)")
    assert "episode_timeout" not in Run.load(tmp_path / "run").manifest["identity"]["settings"]


def test_a_limit_that_nothing_exceeds_changes_no_row(tmp_path):
    free, limited = (evaluate(toy_config(tmp_path / str(limit), episode_timeout=limit)) for limit in (None, 600))
    assert rows(free.folder) == rows(limited.folder)
    assert len(rows(free.folder)) == 20


def test_a_person_is_told_what_an_episode_is_doing_if_nothing_finishes(monkeypatch, caplog):
    monkeypatch.setattr(watchdog, "PATIENCE", 1.0)
    enough = SeekerPolicy.act

    def slow(self, inputs):
        time.sleep(1.8 if inputs[0].chunk_index == 1 else 0)
        return enough(self, inputs)

    monkeypatch.setattr(SeekerPolicy, "act", slow)
    with caplog.at_level(logging.WARNING, logger="simeval"):
        list(SerialRunner(WorkerSetup(PolicyChoice("seeker"), None, "none")).run(EpisodeQueue([toy_spec()])))
    told = caplog.records[0].getMessage()
    assert told.startswith("simeval: no episode has finished for ")
    assert "toy/0/init00/none/r0 is in its policy phase after " in told


@pytest.mark.timeout(120)
def test_a_person_is_told_what_workers_are_doing(hanging, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(watchdog, "PATIENCE", 8.0)
    config = toy_config(
        *(tmp_path / "run",), tasks="0", init_states="0", perturb=("own.hang:1",), plugin=(str(hanging),), workers=1,
        episode_timeout=12,
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, logger="simeval"):
        evaluate(config)
    told = [record.getMessage() for record in caplog.records]
    assert any("no episode has finished for " in line and "1 are running" in line for line in told), told
    wanted = "toy/0/init00/own.hang=1/r0 is in its perturb phase after 0 control steps"
    assert any(wanted in line for line in told), told


def test_silence_is_told_once_and_then_after_twice_as_long(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    timer, told = watchdog.StallTimer(), []
    for second in range(600):
        now[0] = second
        told += [second] if timer.due() else []
    assert told == [60, 120, 240, 480]
    timer.reset()
    now[0] += 59
    assert timer.due() is None


def endless():
    while True:
        time.sleep(0.01)


def test_a_limit_holds_in_any_thread_and_leaves_nothing_behind():
    caught = []

    def body():
        try:
            with time_limit.time_limit(0.2, "test"):
                endless()
        except time_limit.Overdue as error:
            caught.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    body()
    thread.join(10)
    assert len(caught) == 2
    with time_limit.time_limit(0.3, "test"):
        pass
    time.sleep(0.6)


def test_a_person_is_told_what_cannot_be_stopped(monkeypatch, caplog):
    monkeypatch.setattr(time_limit, "_GRACE", 0.5)

    def stubborn():
        end = time.monotonic() + 3
        while time.monotonic() < end:
            with contextlib.suppress(time_limit.Overdue):
                endless()

    with caplog.at_level(logging.WARNING, logger="simeval"), time_limit.time_limit(0.2, "test"):
        stubborn()
    (told,) = [record.getMessage() for record in caplog.records]
    assert "it took longer than 0.2 s (test) and does not stop" in told


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_plugin_that_never_ends_is_refused(tmp_path, monkeypatch, verb):
    monkeypatch.setattr(plugins, "SECONDS", 0.5)
    path = tmp_path / "mine.py"
    path.write_text("while True:\n    try:\n        x = 1\n    except Exception:\n        pass\n")
    said = refusal(verb, "--suite", "toy", "--plugin", path, "--out", tmp_path / "run")
    limit = "it took longer than 0.5 s (a plugin only declares axes and suites)"
    assert said.startswith(f"--plugin {path}: Overdue: {limit} (line ")


def test_an_axis_that_never_says_which_tasks_it_is_for_is_refused(hanging, monkeypatch):
    monkeypatch.setattr(plugins, "SECONDS", 0.5)
    monkeypatch.setattr(plan, "infeasible_reason", lambda *_: endless())
    said = refusal("plan", "--suite", "toy", "--plugin", hanging)
    assert said == f"--plugin {hanging}: it took longer than 0.5 s (axes only say which tasks they are for)"
