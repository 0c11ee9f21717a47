"""What foreign code does in workers, each a process of its own: error rows, and a run that goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import rows

PLUGIN = """
import time
from perturbations.base import CAMERAS, FRACTION, AxisInfo, Stage, register
from simeval.policies.scripted import SeekerPolicy

class Unprintable(Exception):
    def __str__(self):
        raise ValueError

RAISED = {
    0.2: RuntimeError("bad \\ud800 \\x1b]0;owned\\x07 text"), 0.4: SystemExit(0), 0.6: Unprintable(),
    0.8: GeneratorExit(),
}

@register(AxisInfo(name="own.bad", stage=Stage.SENSOR, family="V", unit=FRACTION, value_means="what is raised",
                   bounds=(0.0, 1.0), identity=0.0, presets=(0.2, 0.4, 0.6, 0.8, 1.0), source="this test",
                   cameras=CAMERAS, draws=False))
def bad(pixels, value, rng):
    if value in RAISED:
        raise RAISED[value]
    return pixels

enough = SeekerPolicy.act

def act(self, inputs):
    if "/init01/" in inputs[0].pair_id:
        HANG
    return enough(self, inputs)

SeekerPolicy.act = act
"""
ENDLESS = {
    "sleeps": "time.sleep(10_000)",
    "loops": "\n".join(
        ["while True:", *(f"            {line}" for line in ("try: x = 1", "except BaseException: pass"))]
    ),
}


def run(tmp_path: Path, hang: str, *words: object, **environ: str) -> subprocess.CompletedProcess:
    """`simeval run` in a process of its own, whose workers load the plugin."""
    (tmp_path / "mine.py").write_text(PLUGIN.replace("HANG", hang))
    command = [sys.executable, "-m", "simeval.cli", "run", "--suite", "toy", "--tasks", "0", "--policy", "seeker"]
    command += ["--plugin", tmp_path / "mine.py", "--out", tmp_path / "run", *words]
    environment = {**os.environ, **environ}
    return subprocess.run(
        [*map(str, command)], env=environment, capture_output=True, text=True, check=False, timeout=280
    )


def test_whatever_is_raised_in_a_worker_is_one_row_and_harmless_text(tmp_path):
    words = ("--init-states", "0", "--perturb", "own.bad:0.2,0.4,0.6,0.8", "--workers", "2")
    done = run(tmp_path, "pass", *words)
    assert done.returncode == 1
    texts = {id_: row.get("error_text") for id_, row in rows(tmp_path / "run").items()}
    assert texts == {
        "toy/0/init00/none/r0": None,
        "toy/0/init00/own.bad=0.2/r0": "RuntimeError: bad \ufffd \x1b]0;owned\x07 text (mine.py line 20)",
        "toy/0/init00/own.bad=0.4/r0": "SystemExit: 0 (mine.py line 20)",
        "toy/0/init00/own.bad=0.6/r0": "Unprintable (mine.py line 20)",
        "toy/0/init00/own.bad=0.8/r0": "GeneratorExit (mine.py line 20)",
    }
    assert "Traceback" not in done.stderr
    assert "simeval: 4 of 5 episodes broke, the first (" in done.stderr
    assert "RuntimeError: bad \ufffd \\x1b]0;owned\\x07 text" in done.stderr, "stored as it is, printed escaped"
    assert not set("\x1b\x07") & set(done.stdout + done.stderr)


# Workers have a low priority: where all cores are busy, the first image of a sound episode took 20 s.
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_policy_that_never_answers_is_an_error_row_of_its_policy_phase(tmp_path, kind):
    """Its worker is killed, also if the policy catches whatever is raised in it."""
    done = run(tmp_path, ENDLESS[kind], "--init-states", "0-2", "--workers", "2", "--episode-timeout", "40")
    assert done.returncode == 1, done
    found = rows(tmp_path / "run")
    assert {id_: row["outcome"] == "error" for id_, row in found.items()} == {
        "toy/0/init00/none/r0": False,
        "toy/0/init01/none/r0": True,
        "toy/0/init02/none/r0": False,
    }
    lost = found["toy/0/init01/none/r0"]
    assert lost["error_phase"] == "policy"
    assert lost["error_text"] == "Overdue: it took longer than 40 s (--episode-timeout); its worker was killed"
    assert "Traceback" not in done.stderr
    assert "1 of 3 episodes broke, the first (toy/0/init01/none/r0) in its policy phase: Overdue" in done.stderr


@pytest.mark.parametrize("visible", ["0,1", "2,3"])
def test_workers_draw_where_cuda_names_devices_that_egl_has_not(tmp_path, visible):
    """As in a container without the graphics capability. A machine whose EGL has these GPUs draws on them."""
    done = run(tmp_path, "pass", "--init-states", "0-3", "--workers", "2", CUDA_VISIBLE_DEVICES=visible)
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["outcome"] for row in rows(tmp_path / "run").values()} == {"success"}
