"""What `simeval show` does without: packages that take longer to import than its tables to compute."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import call

SCIPY = {"scipy", "statsmodels"}
SIMULATION = {"perturbations", "cv2", "asyncio", "mujoco", "torch", "ray", "lerobot", "matplotlib"}
TOY = ("--suite", "toy", "--workers", "0")
WORST = ("--init-states", "0-29", "--perturb", "noise:..0.3", "--budget", "60", "--confirm", "10")
STUDY = {
    "suite": "toy",
    "tasks": "0",
    "init_states": "0-5",
    "workers": 0,
    "perturb": ["noise:0.3"],
    "baseline": "zero",
    "policies": {"zero": {"policy": "zero"}, "seeker": {"policy": "seeker"}},
}
LOADED = """
import sys
from simeval.cli.app import command

code = command(sys.argv[1:])
sys.stderr.write(" ".join({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


def loaded_by_show(folder: Path, code: int = 0) -> set[str]:
    """Packages that a process has loaded after it has shown a folder."""
    words = [sys.executable, "-c", LOADED, "show", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def made(*words: object) -> None:
    called = call(*words)
    assert called.code == 0, called.err


@pytest.mark.parametrize("perturb", [("--perturb", "noise:0.3"), ()], ids=["perturbed", "clean"])
def test_tables_of_a_run_need_neither_scipy_nor_what_simulates(tmp_path, perturb):
    made("run", *TOY, "--init-states", "0-3", *perturb, "--out", tmp_path / "run")
    loaded = loaded_by_show(tmp_path / "run")
    assert "pandas" in loaded, "it has shown the tables"
    assert loaded & (SCIPY | SIMULATION) == set()


@pytest.mark.parametrize("verb", [("threshold", "--perturb", "noise", "--max-episodes", "30"), ("worst", *WORST)])
def test_the_result_of_a_search_needs_no_simulator(tmp_path, verb):
    made(*verb, *TOY, "--out", tmp_path / "run")
    assert loaded_by_show(tmp_path / "run") & (SIMULATION - {"perturbations", "cv2"}) == set()


def test_a_study_needs_no_simulator(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    made("study", tmp_path / "study.yaml", "--out", tmp_path / "study")
    assert loaded_by_show(tmp_path / "study") & {"statsmodels", *SIMULATION} == set()


def test_a_folder_that_is_no_run_is_refused_before_pandas_is_loaded(tmp_path):
    assert loaded_by_show(tmp_path, code=2) & {"pandas", *SCIPY, *SIMULATION} == set()
