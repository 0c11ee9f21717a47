"""Foreign code (policies, environments, axes, plugins) may break in any way; the run and its exit code stay true."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from helpers import call, refusal, rows, toy_spec

from envs.toy.env import ToyEnv
from perturbations import base
from simeval.core.errors import EpisodeError, error_line, first_line
from simeval.core.files import whole_file
from simeval.policies.scripted import SeekerPolicy
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import TraceRecorder
from simeval.runner.worker import EpisodeWorker, WorkerSetup
from simeval.store.run import Run

TOY = ("--suite", "toy", "--tasks", "0", "--init-states", "0-2", "--workers", "0")
BAD = "toy/0/init01/none/r0"


class Unprintable(Exception):  # noqa: N818
    def __str__(self):
        raise ValueError("no text")


class Silent(Unprintable):
    def __str__(self):
        raise SystemExit(0)


RAISED = {
    "SystemExit: 0": lambda: SystemExit(0),
    "SystemExit: 3": lambda: SystemExit(3),
    "BaseException: bare": lambda: BaseException("bare"),
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "Unprintable": Unprintable,
    "Silent": Silent,
}


def raising(make, enough):
    def act(self, inputs):
        if inputs[0].pair_id == "toy/0/init01/r0":
            raise make()
        return enough(self, inputs)

    return act


@pytest.mark.parametrize("text", RAISED)
def test_whatever_a_policy_raises_is_one_error_row_and_the_run_goes_on(tmp_path, monkeypatch, text):
    monkeypatch.setattr(SeekerPolicy, "act", raising(RAISED[text], SeekerPolicy.act))
    done = call("run", *TOY, "--out", tmp_path / "run")
    assert done.code == 1
    found = rows(tmp_path / "run")
    assert {id_: row["outcome"] == "error" for id_, row in found.items()} == {
        "toy/0/init00/none/r0": False,
        BAD: True,
        "toy/0/init02/none/r0": False,
    }
    assert (found[BAD]["error_phase"], found[BAD]["error_text"]) == ("policy", text)
    assert f"1 of 3 episodes broke, the first ({BAD}) in its policy phase: {text}" in done.err


@pytest.mark.parametrize("text", RAISED)
def test_whatever_an_environment_raises_is_an_error_row(monkeypatch, text):
    def step(self, actions):
        raise RAISED[text]()

    monkeypatch.setattr(ToyEnv, "step", step)
    result = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all")).run(toy_spec()).result
    assert (result.outcome, result.error_phase, result.error_text) == ("error", "step", text)


@pytest.mark.parametrize("text", RAISED)
def test_whatever_a_scene_raises_as_it_is_built_is_an_error_row(monkeypatch, text):
    def build(self, *_):
        raise RAISED[text]()

    monkeypatch.setattr(ToyEnv, "__init__", build)
    result = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all")).run(toy_spec()).result
    assert (result.outcome, result.error_phase, result.error_text) == ("error", "build", text)


@pytest.mark.parametrize("text", RAISED)
def test_whatever_an_axis_raises_is_an_error_row(monkeypatch, text):
    def noise(*_, **__):
        raise RAISED[text]()

    monkeypatch.setattr(base, "_functions", {**base._functions, "noise": noise})
    result = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all")).run(toy_spec(condition="noise:0.3")).result
    assert (result.outcome, result.error_phase, result.error_text) == ("error", "perturb", text)


def test_an_interrupt_is_not_taken_for_a_fault_of_the_policy(monkeypatch):
    monkeypatch.setattr(SeekerPolicy, "act", raising(KeyboardInterrupt, SeekerPolicy.act))
    with pytest.raises(KeyboardInterrupt):
        EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all")).run(toy_spec(init_state=1))


def test_an_exception_with_a_phase_of_its_own_does_not_choose_that_of_the_row(monkeypatch):
    def wrong():
        error = RuntimeError("x")
        error.phase = 7
        return error

    monkeypatch.setattr(SeekerPolicy, "act", raising(wrong, SeekerPolicy.act))
    result = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "all")).run(toy_spec(init_state=1)).result
    assert result.error_phase == "policy"


@pytest.mark.parametrize("error", [Unprintable(), Silent()])
def test_an_exception_that_breaks_while_it_is_printed_goes_by_its_type(error):
    assert error_line(error) == first_line(error) == type(error).__name__


@pytest.mark.parametrize("statement", ["import sys; sys.exit(0)", "import sys; sys.exit('bye')", "raise GeneratorExit"])
def test_a_plugin_that_ends_the_process_is_refused(tmp_path, statement):
    (tmp_path / "mine.py").write_text(f"\n{statement}\n")
    said = refusal("plan", "--suite", "toy", "--plugin", tmp_path / "mine.py")
    assert said.startswith(f"--plugin {tmp_path / 'mine.py'}: ")
    assert said.endswith("(line 2)")


def test_a_plugin_whose_exception_cannot_be_printed_is_refused(tmp_path):
    source = "class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad\n"
    (tmp_path / "mine.py").write_text(source)
    said = refusal("run", *TOY, "--plugin", tmp_path / "mine.py", "--out", tmp_path / "run")
    assert said == f"--plugin {tmp_path / 'mine.py'}: Bad (line 3)"


@pytest.mark.parametrize(
    "actions",
    [np.full((5, 7), 1j), np.full((5, 7), "0.5"), np.full((5, 7), None), np.zeros((5, 7), "timedelta64[s]")],
    ids=["complex", "text", "objects", "spans of time"],
)
def test_actions_that_are_not_real_numbers_are_an_error(monkeypatch, actions):
    monkeypatch.setattr(SeekerPolicy, "act", lambda self, inputs: [actions])
    env = ToyEnv(0, toy_spec().resolution)
    with np.testing.suppress_warnings() as no_warning:
        no_warning.record()
        result = run_episode(toy_spec(), env, SeekerPolicy(), TraceRecorder())
        assert not no_warning.log
    assert (result.outcome, result.error_phase) == ("error", "policy")
    assert "not real numbers" in result.error_text


# The process


def script(tmp_path: Path, policy: str) -> list[str]:
    """`simeval` in a process of its own with a seeker whose `act` begins with these statements."""
    code = (
        "import atexit, os, sys, threading, time\n"
        "from simeval.policies.scripted import SeekerPolicy\n"
        "from simeval.cli import app as cli\n"
        "enough = SeekerPolicy.act\n"
        "def act(self, inputs):\n"
        f"    {policy}\n"
        "    return enough(self, inputs)\n"
        "SeekerPolicy.act = act\n"
        "cli.main()\n"
    )
    (tmp_path / "script.py").write_text(code)
    return [sys.executable, str(tmp_path / "script.py")]


@pytest.mark.parametrize(
    "leftover",
    [
        "threading.Thread(target=time.sleep, args=(300,)).start()",
        "atexit.register(time.sleep, 300)",
        "atexit.register(os._exit, 7)",
    ],
)
def test_a_run_ends_with_its_code_whatever_foreign_code_left_behind(tmp_path, leftover):
    command = [*script(tmp_path, leftover), "run", *TOY, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith(str(tmp_path / "run"))
    refused = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2


def test_json_is_json_whatever_a_policy_prints(tmp_path):
    noise = """print('{"event": "fake"}'); os.write(1, b'{"event": "raw"}'); os.system('echo shell')"""
    command = [*script(tmp_path, noise), "run", *TOY, "--json", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["start", "episode", "episode", "episode", "summary"]
    for text in ("fake", "raw", "shell"):
        assert text in done.stderr


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_json_is_json_whatever_a_plugin_prints(tmp_path, verb):
    source = (
        (Path(__file__).parents[1] / "core" / "test_plugins.py").read_text().split('SOURCE = """')[1].split('"""')[0]
    )
    (tmp_path / "mine.py").write_text(source.replace("NAME", "own.loud") + "\nimport os\nos.write(1, b'loud')\n")
    command = [sys.executable, "-m", "simeval.cli", verb, *TOY, "--json", "--plugin", str(tmp_path / "mine.py")]
    command += ["--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert "loud" in done.stderr


def test_a_process_that_diverted_its_output_has_it_back(capfd, tmp_path):
    assert call("show", tmp_path, "--json").code == 2
    os.write(1, b"here")
    assert capfd.readouterr().out == "here"


def test_output_that_cannot_be_written_is_no_success(tmp_path):
    with Path("/dev/full").open("w") as full:
        words = ["list", "suites"]
        done = subprocess.run([sys.executable, "-m", "simeval.cli", *words], stdout=full, stderr=-1, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("simeval: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


# Files that do not fit


def limited(size: int):
    """A limit for files in a process; to write on is as on a full disk."""

    def apply():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return apply


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("foreign") / "run"
    assert call("run", *TOY, "--out", folder).code == 0
    return folder


def test_a_video_that_does_not_fit_is_no_file_and_no_success(finished):
    command = [sys.executable, "-m", "simeval.cli", "video", str(finished), "--limit", "1", "--size", "256"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited(20_000), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"simeval: {finished}/videos/toy_0_init00_none_r0.mp4: File too large")
    assert list((finished / "videos").iterdir()) == []
    assert call("video", finished, "--limit", "1", "--size", "256").code == 0


def test_a_run_whose_video_does_not_fit_fails(tmp_path):
    command = [sys.executable, "-m", "simeval.cli", "run", *TOY, "--video", "all", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited(20_000), check=False)
    assert done.returncode == 1
    assert "mp4: File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "run" / "videos").iterdir()) == []
    assert len(Run.load(tmp_path / "run").results) == 3


def test_a_preview_that_does_not_fit_is_one_line_and_no_file(tmp_path):
    command = [sys.executable, "-m", "simeval.cli", "preview", "--suite", "toy", "--out", str(tmp_path / "sheet.png")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited(2000), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"simeval: --out {tmp_path / 'sheet.png'}: File too large\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["sheet", "sheet.", "sheet.txt"])
def test_a_preview_needs_a_name_that_says_what_it_is(tmp_path, out):
    said = refusal("preview", "--suite", "toy", "--out", tmp_path / out)
    assert said == f"--out {tmp_path / out}: name a file that ends in .png, .jpg, .jpeg"


def test_a_preview_may_be_a_jpeg(tmp_path):
    assert call("preview", "--suite", "toy", "--size", 64, "--out", tmp_path / "sheet.jpg").code == 0
    assert imageio.improps(tmp_path / "sheet.jpg").shape[2] == 3


@pytest.mark.parametrize(("words", "said"), [(["--step", "100000"], "--step 100000: must be in [0, 10000]")])
def test_a_preview_of_endless_work_is_refused(words, said):
    assert said in refusal("preview", "--suite", "toy", *words)


def test_a_file_keeps_what_it_was_if_its_successor_breaks(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(EpisodeError), whole_file(path) as partial:  # noqa: PT012
        partial.write_text("new")
        raise EpisodeError("policy", "x")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("workers", "size", "least"), [(0, 400_000_000, 2), (0, 1_000_000_000, 2), (2, 3_000_000_000, 4)]
)
def test_too_little_address_space_is_one_line(tmp_path, workers, size, least):
    words = ["run", "--suite", "toy", "--workers", str(workers), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "simeval.cli", *words],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"simeval: the address space of a process is limited to {size / 1e9:.1f} GB")
    assert f"{least} GB are the least" in done.stderr
    assert done.stderr.count("\n") == 1
