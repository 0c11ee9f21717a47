"""The command line: what it prints, that it resumes, and that bad input is one line and exit code 2."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as imageio
import pytest
import yaml
from helpers import CONDITIONS, call, hide_official_packages, lines, refusal, rows, toy_config

from envs.suites import suite_names
from simeval import api
from simeval.api import evaluate
from simeval.config.plan import make_plan
from simeval.policies.scripted import SeekerPolicy
from simeval.store.run import Run

ROOT = Path(__file__).parents[2]
RECIPES = sorted(
    path for path in (ROOT / "configs").rglob("*.yaml") if path.stem not in ("mini_audit", "study_finetune")
)
"""Those of runs; tests of the audit and of the study test the others."""
TOY = ("--suite", "toy", "--tasks", "0", "--init-states", "0-1", "--workers", "0")
RUN = ("run", *TOY)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run of four episodes; never written to."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert call(*RUN, "--perturb", "noise:0.3", "--out", folder).code == 0
    return folder


@pytest.fixture
def idle(idle, tmp_path, monkeypatch):
    """The same, and the promise that nothing is written there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SIMEVAL_LIBERO_ASSETS", raising=False)
    before = sorted(tmp_path.rglob("*"))
    yield tmp_path
    assert [path for path in sorted(tmp_path.rglob("*")) if path.parts[-1] in ("results", "episodes.jsonl")] == before


def checkpoint(folder: Path, **config) -> Path:
    """A folder with the files of a checkpoint; `config` replaces parts of its configuration."""
    picture = {"type": "VISUAL", "shape": [3, 64, 64]}
    values = {
        "type": "smolvla",
        "input_features": {"observation.images.image": picture, "observation.state": {"type": "STATE", "shape": [8]}},
        "output_features": {"action": {"type": "ACTION", "shape": [7]}},
        "chunk_size": 5,
        "n_action_steps": 5,
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values | config))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        (folder / name).write_text('{"steps": []}')
    return folder


# Bad input


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--suite", "libero_spatail"], "--suite: no suite 'libero_spatail'; did you mean 'libero_spatial'?"),
        (["--suite", "zzz"], "--suite: no suite 'zzz'; known: libero_spatial"),
        (["--tasks", "99"], "--tasks 99: must be within 0..3"),
        (["--tasks", "a-b"], "--tasks 'a-b': write numbers and ranges, for instance 0,3,5-7"),
        (["--init-states", "all"], "--init-states 'all': leave it out for all 50, or write 0-49"),
        (["--init-states", "999999999"], "--init-states 999999999: must be within 0..49"),
        (["--init-states", "50"], "--init-states 50: must be within 0..49"),
        (["--init-states", "0-50"], "--init-states 0-50: must be within 0..49"),
        (["--perturb", "noise:-1"], "--perturb: noise:-1: value must be in [0, "),
        (["--perturb", "nois:0.1"], "--perturb: unknown perturbation 'nois'; did you mean 'noise'?"),
        (["--perturb", "noise"], "--perturb: noise: a value is needed"),
        (["--perturb", "noise:0.1@wirst"], "unknown camera 'wirst'"),
        (["--perturb", ""], "--perturb: "),
        (["--policy", "seekr"], "--policy: no policy or folder 'seekr'; did you mean 'seeker'?"),
        (["--policy", "./nowhere"], "policy './nowhere': no such folder"),
        (["--policy", "expert"], "--policy expert: it cannot do toy task 0"),
        (
            ["--policy", "expert", "--suite", "libero_10"],
            "--policy expert: it cannot do libero_10 task 2 (turn on the stove and put the moka pot on it); "
            "it can try --tasks 0,1,7",
        ),
        (["--policy", "seeker", "--n-action-steps", "3"], "--n-action-steps: 'seeker' is scripted"),
        (["--policy", "seeker", "--dtype", "bfloat16"], "--dtype: 'seeker' is scripted"),
        (
            ["--suite", "libero_spatial", "--policy", "seeker"],
            "--policy seeker: it only touches blocks of the toy suite, not libero_spatial task 0",
        ),
        (["--workers", "-1"], "--workers -1: must be in [0, 1024]"),
        (["--workers", "two"], "Invalid value for '--workers'"),
        (["--repeats", "0"], "--repeats 0: must be in [1, 10000]"),
        (["--seed", "-1"], "--seed -1: must be in [0, 2**63)"),
        (["--n-action-steps", "0"], "--n-action-steps 0: must be in [1, 1000]"),
        (["--protocol", "openvlaa"], "--protocol: no 'openvlaa'; did you mean 'openvla'?"),
        (["--device", "tpu"], "--device: no 'tpu'"),
        (["--inference", "nowhere"], "--inference: no 'nowhere'"),
        (["--traces", "some"], "--traces: no 'some'"),
        (["--video", "some"], "--video: no 'some'"),
        (["--preturb", "noise:0.1"], "No such option: --preturb"),
        (["--seed"], "Option '--seed' requires an argument"),
        (["surplus"], "Got unexpected extra argument"),
        (["--config", "missing.yaml"], "--config: cannot read missing.yaml: No such file or directory"),
        (["--resume", "nowhere"], "nowhere: no such folder"),
        (["--suite", "toy", "--suite", "toy"], "--suite: given twice: toy, toy"),
        (["--repeats", "9223372036854775808"], "--repeats 9223372036854775808: must be in [1, 10000]"),
        (["--repeats", "1" * 400], f"--repeats {'1' * 20}...: must be in [1, 10000]"),
        (
            ["--tasks", "0-3", "--init-states", "0-49", "--repeats", "10000", "--perturb", "noise:0.1"],
            "4000000 episodes: a run has at most 2000000",
        ),
        (["--workers", "2000"], "--workers 2000: must be in [0, 1024]"),
        (["--batch-size", "9000000000"], "--batch-size 9000000000: must be in [1, 4096]"),
        (["--n-action-steps", "2000"], "--n-action-steps 2000: must be in [1, 1000]"),
        (["--seed", "9223372036854775808"], "--seed 9223372036854775808: must be in [0, 2**63)"),
        (["--episode-timeout", "0"], "--episode-timeout 0: must be in [1, 604800]"),
    ],
)
def test_bad_options_are_refused_in_one_line(idle, words, said):
    # Typer keeps the last of an option that is given twice, except where it may be repeated.
    base = ("run", "--workers", "0") if "--suite" in words else RUN
    assert said in refusal(*base, *words)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sed: 1", "no option 'sed'; did you mean 'seed'?"),
        ("tassk: 0", "no option 'tassk'; did you mean 'tasks'?"),
        ("seed: one", "--seed: 'one' is not a whole number"),
        ("workers: 1.5", "--workers: '1.5' is not a whole number"),
        ("repeats: .inf", "--repeats: 'inf' is not a whole number"),
        ("tasks: {from: 1}", "--tasks: '{'from': 1}' is not one value"),
        ("perturb: {noise: 0.1}", "--perturb: "),
        ("perturb: [noise: 0.1]", "--perturb: "),
        ("- toy", "must hold 'option: value' lines"),
        ("suite: [toy", "is not YAML"),
    ],
)
def test_bad_recipes_are_refused_in_one_line(idle, content, said):
    (idle / "recipe.yaml").write_text(content)
    assert said in refusal("run", "--config", "recipe.yaml", "--suite", "toy")


@pytest.mark.parametrize("out", ["file/run", "file", "file/deep/er", "x" * 300])
def test_an_out_that_cannot_be_a_folder_is_refused_before_anything_starts(tmp_path, idle, out):
    (tmp_path / "file").write_text("not a folder")
    assert refusal(*RUN, "--out", out).startswith(f"--out {out}: ")


def test_a_resumed_run_with_other_settings_is_refused_before_anything_starts(finished, monkeypatch):
    monkeypatch.setattr(api, "open_runner", None)
    again = (*RUN, "--perturb", "noise:0.3", "--out", finished)
    said = refusal(*again, "--seed", "1")
    assert said == f"--out {finished}: holds a different run (settings.seed: 0 -> 1); choose another --out"
    assert 'settings.policy: "seeker" -> "zero"' in refusal(*again, "--policy", "zero")
    assert "settled by the run" in refusal("run", "--resume", finished, "--seed", "1")
    assert "settled by the run" in refusal("run", "--resume", finished, "--out", "elsewhere")
    assert "settled by the run" in refusal("run", "--resume", finished, "--config", "recipe.yaml")


def test_a_folder_that_is_no_checkpoint_is_refused(idle, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "is no complete lerobot checkpoint: it has no config.json" in refusal(*RUN, "--policy", "./empty")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{not json", "config.json cannot be read"),
        ("", "config.json cannot be read"),
        ("[]", "config.json is no JSON object"),
        ("{}", "config.json does not say which type of policy it is"),
        ('{"type": "smolvla", "input_features": 3}', "policy 'broken'"),
        ("\x00\x01", "config.json cannot be read"),
    ],
)
def test_a_corrupt_checkpoint_is_refused(idle, tmp_path, content, said):
    folder = checkpoint(tmp_path / "broken")
    (folder / "config.json").write_text(content)
    assert said in refusal(*RUN, "--policy", folder)


def test_a_checkpoint_with_cameras_nobody_knows_is_refused(idle, tmp_path):
    cameras = {f"observation.images.{name}": {"type": "VISUAL", "shape": [3, 64, 64]} for name in ("left_eye", "roof")}
    folder = checkpoint(tmp_path / "odd", input_features=cameras)
    said = refusal(*RUN, "--policy", folder)
    assert "it wants the cameras observation.images.left_eye, observation.images.roof" in said
    assert "the suites offer agentview and wrist" in said


def test_a_checkpoint_with_other_actions_is_refused(idle, tmp_path):
    folder = checkpoint(tmp_path / "odd", output_features={"action": {"type": "ACTION", "shape": [14]}})
    assert "its action has size 14, the suites' has 7" in refusal(*RUN, "--policy", folder)


LIBERO = (
    "run",
    "--suite",
    "libero_spatial",
    "--policy",
    "zero",
    "--tasks",
    "0",
    "--init-states",
    "0",
    "--workers",
    "0",
)


def test_without_network_and_assets_a_libero_run_says_what_to_pass(tmp_path, monkeypatch):
    environment = {key: value for key, value in os.environ.items() if key != "SIMEVAL_LIBERO_ASSETS"}
    hide_official_packages(monkeypatch, tmp_path / "hidden")
    environment |= {"HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(tmp_path / "hidden")}
    environment.pop("XDG_CACHE_HOME", None)
    environment.pop("HF_HOME", None)
    done = subprocess.run(
        [Path(sys.executable).with_name("simeval"), *LIBERO, "--assets", "official"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install simeval[official], pass --assets PATH" in done.stderr
    assert "set SIMEVAL_LIBERO_ASSETS" in done.stderr
    assert done.stdout.count("\n") == 0
    assert not (tmp_path / "results").exists()


def test_assets_that_are_not_assets_are_refused(idle, monkeypatch):
    (idle / "pictures").mkdir()
    assert "--assets: pictures is not a LIBERO asset folder" in refusal(*LIBERO, "--assets", "pictures")
    assert "--assets: no such folder: nowhere" in refusal(*LIBERO, "--assets", "nowhere")
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", "pictures")
    assert "SIMEVAL_LIBERO_ASSETS: pictures is not a LIBERO asset folder" in refusal(*LIBERO, "--assets", "official")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "suitse"], "list: no list 'suitse'; did you mean 'suites'?"),
        (["list", "tasks", "--suite", "toi"], "--suite: no suite 'toi'; did you mean 'toy'?"),
        (["list"], "Missing argument"),
        (["show", "nowhere"], "nowhere: no such folder"),
        (["show"], "Missing argument 'RUN'"),
        (["plan", "--suite", "toy", "--tasks", "4"], "--tasks 4: must be within 0..3"),
        (["plan", "--workers", "-2"], "--workers -2: must be in [0, 1024]"),
        (["rnu"], "No such command 'rnu'"),
        (["--verbose"], "No such option: --verbose"),
    ],
)
def test_every_verb_refuses_in_one_line(idle, words, said):
    assert said in refusal(*words)


def test_a_refusal_in_a_fresh_process_is_one_line_too(tmp_path):
    command = [sys.executable, "-m", "simeval.cli", "run", "--suite", "toy", "--perturb", "nois:0.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "simeval: --perturb: unknown perturbation 'nois'; did you mean 'noise'?\n"
    assert list(tmp_path.iterdir()) == []


# What it does


def test_without_a_verb_it_explains_itself():
    called = call()
    assert (called.code, called.err) == (0, "")
    assert all(f"\n  {verb} " in called.out for verb in ("run", "plan", "list", "video", "show", "preview", "doctor"))


@pytest.mark.parametrize("verb", ["run", "plan", "list", "video", "show", "preview", "doctor"])
def test_every_verb_explains_itself(verb):
    called = call(verb, "--help")
    assert (called.code, called.err) == (0, "")
    assert called.out.startswith("Usage: ")


def test_flags_win_over_the_recipe(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("suite: toy\ntasks: [0, 1]\ninit-states: 0-4\nperturb: [noise:0.1]\nseed: 3\nrepeats: 2\n")
    plain = json.loads(call("plan", "--config", recipe, "--json").out)
    assert len(plain["episodes"]) == 2 * 5 * 2 * 2
    changed = json.loads(call("plan", "--config", recipe, "--tasks", "2", "--perturb", "light:0.3", "--json").out)
    assert {row["task"] for row in changed["episodes"]} == {2}
    assert {row["condition"] for row in changed["episodes"]} == {"none", "light:0.3"}
    assert {row["root_seed"] for row in changed["episodes"]} == {3}


@pytest.mark.parametrize("option", ["video", "traces"])
def test_off_in_a_recipe_is_none(tmp_path, option):
    """YAML reads it as a boolean."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"suite: toy\npolicy: seeker\ntasks: 0\ninit-states: 0\nworkers: 0\n{option}: off\n")
    called = call("run", "--config", recipe, "--out", tmp_path / "run")
    assert (called.code, called.err) == (0, "")
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["config"][option] == "none"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("toy", "--policy", "seeker", "--n-action-steps", "3"), "--n-action-steps: 'seeker' is scripted"),
        (("toy", "--policy", "seeker", "--dtype", "bfloat16"), "--dtype: 'seeker' is scripted"),
        (
            ("libero_spatial", "--policy", "bundled", "--n-action-steps", "11"),
            "policy 'bundled': n_action_steps is 11, it must be in 1..10",
        ),
    ],
)
def test_plan_refuses_the_options_of_a_policy_that_run_refuses(words, said):
    for verb in ("plan", "run"):
        assert said in refusal(verb, "--suite", *words)
    assert call("plan", "--suite", "libero_spatial", "--policy", "bundled", "--n-action-steps", "10").code == 0
    assert call("plan", "--suite", "toy", "--policy", "not/here", "--n-action-steps", "500").code == 0


def test_plan_says_what_run_would_do_without_a_simulator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = json.loads(call("plan", *TOY, "--perturb", "noise:0.3", "--json").out)
    assert [row["id"] for row in planned["episodes"]] == [
        *("toy/0/init00/none/r0", "toy/0/init00/noise=0.3/r0", "toy/0/init01/none/r0", "toy/0/init01/noise=0.3/r0")
    ]
    assert planned["seconds"] > 0
    text = call("plan", *TOY, "--perturb", "noise:0.3").out
    assert text.startswith("4 episodes: toy, seeker, protocol openvla\nconditions (2): none, noise:0.3\n")
    assert "2 pairs per condition" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_tasks_that_a_scripted_policy_cannot_do_are_refused(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    called = call(verb, "--suite", "toy", "--policy", "expert", "--init-states", "0")
    assert (called.code, called.out) == (2, "")
    assert called.err.startswith("simeval: --policy expert: it cannot do toy task 0 (")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_plans(recipe):
    assert set(yaml.safe_load(recipe.read_text()))
    planned = json.loads(call("plan", "--config", recipe, "--json").out)
    assert planned["episodes"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["suites"], ["toy", "libero_spatial", "libero_90"]),
        (["tasks", "--suite", "toy"], ["touch the red block", "(3 other goals)"]),
        (["perturbations"], ["noise", "occlusion", "light", "instruction", "s1..s5"]),
        (["policies"], ["expert", "seeker", "zero", "random", "FOLDER"]),
        (["protocols"], ["openvla (default)", "lerobot", "max 220 steps"]),
    ],
)
def test_lists_name_what_there_is(words, shown):
    called = call("list", *words)
    assert (called.code, called.err) == (0, "")
    for text in shown:
        assert text in called.out
    if words == ["suites"]:
        assert [line.split()[0] for line in called.out.splitlines()] == list(suite_names())
    if words == ["tasks", "--suite", "toy"]:
        assert len(called.out.splitlines()) == 4


def test_a_run_prints_a_table_and_shows_it_again(finished):
    shown = call("show", finished)
    assert (shown.code, shown.err) == (0, "")
    for text in ("seeker on toy", "none", "noise:0.3", "drop vs none", "toy scenes: not LIBERO results", str(finished)):
        assert text in shown.out
    assert "toy, by task" in call("show", finished, "--by-task").out
    summary = json.loads(call("show", finished, "--json").out)
    assert (summary["policy"], summary["assets"]) == ("seeker", "toy scenes: not LIBERO results")


def test_a_finished_run_prints_its_table_again_without_loading_anything(finished, monkeypatch):
    monkeypatch.setattr(api, "open_runner", None)
    before = (finished / "episodes.jsonl").read_bytes()
    again = call(*RUN, "--perturb", "noise:0.3", "--out", finished)
    assert (again.code, again.err) == (0, "")
    assert again.out == call("show", finished).out
    assert call("run", "--resume", finished).out == again.out
    assert (finished / "episodes.jsonl").read_bytes() == before


def test_resume_goes_on_as_the_run_was_started(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    os.truncate(folder / "episodes.jsonl", 1000)
    done = call("run", "--resume", folder, "--workers", "0", "--traces", "none")
    assert (done.code, done.err) == (0, "")
    assert rows(folder) == rows(finished)


def test_the_same_command_finds_its_run_without_being_told_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = call(*RUN, "--policy", "zero")
    (folder,) = (tmp_path / "results").iterdir()
    assert folder.name.startswith("toy-zero-")
    (folder / "episodes.jsonl").write_bytes((folder / "episodes.jsonl").read_bytes().splitlines(keepends=True)[0])
    second = call(*RUN, "--policy", "zero")
    assert (first.code, second.code) == (0, 0)
    assert len(lines(folder)) == 2
    call(*RUN, "--policy", "zero", "--seed", "1")
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_json_is_one_object_per_line(tmp_path):
    called = call(*RUN, "--perturb", "noise:0.3", "--json", "--out", tmp_path / "run")
    assert (called.code, called.err) == (0, "")
    events = [json.loads(line) for line in called.out.splitlines()]
    assert [event["event"] for event in events] == ["start", *["episode"] * 4, "summary"]
    assert events[0]["episodes"] == 4
    assert "4 episodes, 2 conditions, this process, at most about " in events[0]["note"]
    assert {event["id"] for event in events[1:-1]} == set(rows(tmp_path / "run"))
    assert events[-1]["folder"] == str(tmp_path / "run")


def test_more_workers_than_cores_are_noted():
    from rich.console import Console

    from simeval.cli.app import _print_notes

    console = Console(record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    _print_notes(console, toy_config(Path("x"), workers=500))
    assert "500 workers share" in console.export_text()


def test_python_gives_the_same_run_as_the_command_line(finished, tmp_path):
    config = toy_config(tmp_path / "run", tasks="0", perturb=("noise:0.3",))
    run = evaluate(config)
    assert rows(run.folder) == rows(finished)
    assert len(make_plan(config).episodes) == len(run.episodes) == 4


def test_the_conditions_used_by_these_tests_can_be_given_on_the_command_line():
    words = [word for condition in CONDITIONS for word in ("--perturb", condition)]
    planned = json.loads(call("plan", *TOY, *words, "--json").out)
    assert [row["condition"] for row in planned["episodes"]][:5] == ["none", *CONDITIONS]


def ended_by(sent: int, command: list[str], episodes: Path) -> tuple[int, str]:
    """Exit code and standard error of a command that gets a signal once an episode is stored."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (episodes.exists() and episodes.stat().st_size):
        time.sleep(0.02)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    return process.returncode, said.strip()


def test_ctrl_c_is_one_line_and_the_same_command_resumes(tmp_path):
    command = [
        sys.executable,
        "-m",
        "simeval.cli",
        "run",
        "--suite",
        "toy",
        "--workers",
        "0",
        "--out",
        str(tmp_path / "run"),
    ]
    episodes = tmp_path / "run" / "episodes.jsonl"
    assert ended_by(signal.SIGINT, command, episodes) == (130, "interrupted; the same command resumes")
    before = len(episodes.read_text().splitlines())
    assert 0 < before < 200
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "200/200 episodes" in again.stdout
    assert len(episodes.read_text().splitlines()) == 200


@pytest.mark.parametrize(
    "verb", [("run",), ("threshold", "--perturb", "noise", "--width", "0.02")], ids=["run", "search"]
)
def test_sigterm_with_ray_is_one_line_too(verb, tmp_path):
    words = (*verb, "--suite", "toy", "--policy", "seeker", "--workers", "1", "--out", str(tmp_path / "run"))
    command = [sys.executable, "-m", "simeval.cli", *words]
    ended = ended_by(signal.SIGTERM, command, tmp_path / "run" / "episodes.jsonl")
    assert ended == (130, "interrupted; the same command resumes")


def test_doctor_reports_what_was_asked_and_exits_with_its_finding():
    well = call("doctor", "--only", "python,bundled", "--json")
    assert (well.code, [found["check"] for found in json.loads(well.out)["findings"]]) == (0, ["python", "bundled"])
    assert call("doctor", "--only", "disk", "--out", "/proc/none").code == 1
    assert "no check 'pyton'; did you mean 'python'?" in refusal("doctor", "--only", "pyton")


def test_preview_draws_perturbations_beside_the_clean_picture(tmp_path):
    sheet = tmp_path / "sheet.png"
    called = call("preview", "--suite", "toy", "--perturb", "noise:0.1,0.3", "--size", 64, "--out", sheet)
    assert called.code == 0
    assert imageio.imread(sheet).shape[2] == 3
    assert "unknown perturbation 'nois'" in refusal("preview", "--suite", "toy", "--perturb", "nois:1", "--out", sheet)


def test_an_interrupt_inside_a_destructor_still_ends_the_run():
    code = (
        "import os, signal, sys, time\n"
        "from simeval.cli import app as cli\n"
        "class Slow:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)\n"
        "def app(**_):\n"
        "    thing = Slow(); del thing; time.sleep(5); return 0\n"
        "cli.app = app\n"
        "cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr.strip()) == (130, "interrupted; the same command resumes")


@pytest.mark.parametrize("bad", [("init00", "init01"), ("init01",)])
def test_a_run_with_episodes_that_broke_says_so_in_its_headline_and_fails(tmp_path, monkeypatch, bad):
    enough = SeekerPolicy.act

    def act(self, inputs):
        if any(name in inputs[0].pair_id for name in bad):
            raise RuntimeError("no such luck")
        return enough(self, inputs)

    monkeypatch.setattr(SeekerPolicy, "act", act)
    done = call(*RUN, "--out", tmp_path / "run")
    assert done.code == 1
    headline = next(line for line in done.out.splitlines() if line.startswith("seeker"))
    assert "no episode ran to its end (2 errors)" in headline if len(bad) == 2 else "; 1 episode broke." in headline
    assert call("show", tmp_path / "run").code == 0
    (line,) = [line for line in done.err.splitlines() if "broke" in line]
    first = f"toy/0/{bad[0]}/none/r0"
    assert line.startswith(f"simeval: {len(bad)} of 2 episodes broke, the first ({first}) in its policy phase: ")
    assert "no such luck" in line


def test_output_that_nobody_reads_to_its_end_is_no_fault():
    """As in `simeval show RUN | head -2`."""
    folder = Path(__file__).parents[2] / "results" / "correlation"
    command = [sys.executable, "-m", "simeval.cli", "show", folder, "--by-task"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (1, "")


def test_a_reader_that_has_gone_is_no_error_worth_a_line():
    command = [sys.executable, "-m", "simeval.cli", "list", "perturbations"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_streams_that_the_caller_has_closed_go_nowhere(tmp_path, closed):
    command = f"exec {sys.executable} -m simeval.cli run {' '.join(TOY)} --out run {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("run folder: run" in done.stdout) == closed.startswith(("2", "<"))
    assert len(Run.load(tmp_path / "run").results) == 2


@pytest.mark.parametrize("change", ["sys.stdout.close()", "sys.stdout = None", "sys.stdout = 3"])
def test_a_policy_that_closes_standard_output_costs_text_only(tmp_path, change):
    text = f"""
import sys
from simeval.policies.scripted import SeekerPolicy

class make(SeekerPolicy):
    def act(self, inputs):
        {change}
        return super().act(inputs)
"""
    (tmp_path / "mine.py").write_text(text)
    words = ["run", *TOY, "--policy", "mine.py:make", "--out", "run"]
    command = [sys.executable, "-m", "simeval.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("simeval: standard output or error was closed while the command ran")
    assert [row.outcome for row in Run.load(tmp_path / "run").results] == ["success"] * 2


@pytest.mark.parametrize("change", ["sys.stderr.close()", "sys.stderr.close(); sys.stdout.close()"])
def test_a_policy_that_closes_standard_error_gets_an_exit_code(tmp_path, change):
    (tmp_path / "mine.py").write_text(f"import sys\n\ndef make():\n    {change}\n    return 3\n")
    command = [sys.executable, "-m", "simeval.cli", "run", *TOY, "--policy", "mine.py:make"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
