"""The examples, called as their own texts say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SIMEVAL = ("-c", "from simeval.cli.app import main; main()")


def python(folder: Path, *words: object) -> str:
    """What Python prints, started in a folder that has nothing of the project."""
    environ = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_each_example_is_tried_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "compare_checkpoints.py",
        "my_axes.py",
        "my_policy.py",
        "my_suite.py",
    }


def test_an_axis_of_ones_own(tmp_path):
    axes = EXAMPLES / "my_axes.py"
    words = ("--suite", "toy", "--policy", "seeker", "--tasks", "0", "--init-states", "0", "--workers", "0")
    said = python(tmp_path, *SIMEVAL, "run", *words, "--perturb", "my.bands:s5", "--plugin", axes, "--out", "run")
    assert re.search(r"^my\.bands:0\.2 +1 ", said, re.MULTILINE), said
    assert "bands, as under lamps that flicker" in python(
        tmp_path, *SIMEVAL, "list", "perturbations", "my.bands", "--plugin", axes
    )


def test_the_axis_keeps_the_rules(tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); from simeval.testing import check_perturbation; import my_axes"
    python(tmp_path, "-c", f"{code}; check_perturbation('my.bands')", EXAMPLES)


def test_two_checkpoints_compared(tmp_path):
    words = (EXAMPLES / "compare_checkpoints.py", "out", "zero", "seeker")
    said = python(tmp_path, *words)
    assert said.startswith("zero -> seeker (toy scenes")
    gained = {name: float(gain) for name, gain in re.findall(r"^toy (\S+): ([+-][0-9.]+) points", said, re.MULTILINE)}
    assert gained.keys() == {"none", "noise:0.3", "light:0.3"}
    assert gained["none"] == 100.0
    assert python(tmp_path, *words) == said, "and once more, from the folder"


def test_a_policy_of_ones_own(tmp_path):
    policy = EXAMPLES / "my_policy.py"
    words = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0", "--policy", policy)
    said = python(tmp_path, *SIMEVAL, "run", *words, "--perturb", "noise:0.3", "--out", "run")
    assert re.search(r"^noise:0\.3 +1 ", said, re.MULTILINE), said
    assert python(tmp_path, policy) == "keeps the rules\n"


def test_a_suite_of_ones_own(tmp_path):
    suite = EXAMPLES / "my_suite.py"
    assert python(tmp_path, suite) == "keeps the rules\n"
    words = ("--suite", "reach", "--policy", "random", "--init-states", "0-9", "--workers", "0", "--plugin", suite)
    said = python(tmp_path, *SIMEVAL, "run", *words, "--perturb", "noise:0.1", "--out", "run")
    assert re.search(r"^noise:0\.1 +30 ", said, re.MULTILINE), said


@pytest.mark.parametrize("name", ["compare_checkpoints.py"])
def test_uses_public_names_only(name):
    lines = re.findall(
        r"^(?:from|import) (?:simeval|envs|perturbations).*", (EXAMPLES / name).read_text(), re.MULTILINE
    )
    assert lines
    assert all(line.startswith("from simeval import ") for line in lines)
