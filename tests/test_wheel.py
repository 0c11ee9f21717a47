"""The wheel: what is in it, and that `pip install` alone gives a command that works in any folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("simeval", "envs", "perturbations")
LIST_FILES = """
import sys
from setuptools import Distribution
made = Distribution({"script_name": "setup.py"})
made.parse_config_files()
made.get_command_obj("egg_info").egg_base = sys.argv[1]
build = made.get_command_obj("build_py")
build.ensure_finalized()
print(*build.get_outputs(include_bytecode=False), sep="\\n", file=sys.stderr)
"""


def in_the_tree() -> set[str]:
    """Every file of the packages. What is not code is data that code reads, or a text about that."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def clean_copy(folder: Path) -> Path:
    """What a wheel is built from, without a `build/` of earlier builds: setuptools would take up what lies there."""
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def run(folder: Path, *words: object, **environ: str) -> str:
    """What a command prints that is called in a folder, as by a user whose environment says nothing of this project."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [*map(str, words)], cwd=folder, env={**kept, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_every_file_of_the_packages_goes_into_the_wheel(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIST_FILES, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = {line.removeprefix("build/lib/") for line in done.stderr.splitlines() if line.startswith("build/lib/")}
    assert in_the_tree() - listed == set()
    some = {
        *(f"{package}/py.typed" for package in PACKAGES),
        "envs/assets/bundled/scenes/libero_tabletop_base_style.xml",
        "perturbations/language/lexicon.toml",
        "simeval/policies/bundled/checkpoint/model.safetensors",
        "simeval/policies/bundled/checkpoint/vlm/tokenizer.json",
        "simeval/report/templates/report.html.j2",
    }
    assert some <= listed


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_installed_wheel_runs_its_first_commands_from_any_folder(tmp_path):
    """Needs a package index: some 170 packages and 7 GB are installed into a new environment."""
    source, wheels, elsewhere = clean_copy(tmp_path / "source"), tmp_path / "wheels", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(tmp_path, sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, source)
    (wheel,) = wheels.glob("*.whl")
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == in_the_tree()

    new, uv = tmp_path / "new", Path(sys.executable).with_name("uv")
    base = Path(sys.base_prefix) / "bin" / "python3"
    run(tmp_path, uv, "venv", "-q", "--python", base, new)
    run(tmp_path, uv, "pip", "install", "-q", wheel, VIRTUAL_ENV=str(new))
    python, command = new / "bin" / "python", new / "bin" / "simeval"

    where = run(elsewhere, python, "-c", "import simeval, envs, cv2; print(simeval.__file__, envs.__file__)")
    assert all(Path(path).is_relative_to(new) for path in where.split())
    episodes = ("--policy", "seeker", "--tasks", "0", "--init-states", "0-1", "--perturb", "noise:0.1")
    table = run(elsewhere, command, "run", "--suite", "toy", *episodes, "--workers", "0", "--out", "toy")
    assert "run folder: toy" in table
    assert (elsewhere / "toy" / "episodes.jsonl").read_text().count("\n") == 4
    run(elsewhere, command, "report", "toy")
    assert (elsewhere / "toy" / "report" / "report.html").exists()
    preview = ("--suite", "libero_spatial", "--task", "0", "--assets", "bundled", "--size", "64", "--out", "scene.png")
    run(elsewhere, command, "preview", *preview)
    assert (elsewhere / "scene.png").exists()
    checks = run(elsewhere, command, "doctor", "--only", "python,opencv,bundled")
    assert "opencv-python 4.13.0.92 and opencv-python-headless 4.13.0.92" in checks
    run(elsewhere, command, "run", "--suite", "toy", *episodes, "--workers", "1", "--out", "in-a-worker")
    assert (elsewhere / "in-a-worker" / "episodes.jsonl").read_text().count("\n") == 4
