"""Other packages named envs or perturbations on Python's path: both work, or one line names the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import envs
import perturbations

ROOT = Path(envs.__file__).parent.parent
RUN = ("run", "--suite", "toy", "--tasks", "0", "--init-states", "0", "--policy", "seeker", "--perturb", "noise:0.1")
SCRIPT = """
BEFORE
from simeval import EvalConfig, evaluate
run = evaluate(EvalConfig(suite=("toy",), tasks="0", init_states="0", perturb=("noise:0.1",), policy="seeker",
                          workers=0, out="run"))
print([result.outcome for result in run.results])
AFTER
"""

HOOKED = f"""
import sys
from importlib.machinery import PathFinder
sys.path.remove({str(ROOT)!r})
class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [{str(ROOT)!r}]) if path is None else None
sys.meta_path.append(Hook)
"""
"""As after an editable install."""


def python(folder: Path, *words: object, path: Path | None = None) -> subprocess.CompletedProcess:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*([path] if path else []), ROOT]))}
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def command(folder: Path, *words: object, path: Path | None = None) -> subprocess.CompletedProcess:
    """The installed command, which has not its working directory on its path."""
    script = folder / "bin" / "simeval"
    script.parent.mkdir(exist_ok=True)
    script.write_text("from simeval.cli.app import main; main()")
    return python(folder, script, *words, path=path)


def outcomes(run: Path) -> list[str]:
    return [json.loads(line)["outcome"] for line in (run / "episodes.jsonl").read_text().splitlines()]


@pytest.fixture
def project(tmp_path):
    """A project with packages of those names, which have no module in common with ours."""
    for name in ("envs", "perturbations"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text("MINE = True\n")
        (package / "of_the_project.py").write_text("MINE = True\n")
    return tmp_path


@pytest.mark.parametrize(("before", "after"), [("", "{}"), ("{}", "")], ids=["imported after", "imported before"])
def test_both_packages_work_in_a_script(project, before, after):
    mine = "import envs, perturbations.of_the_project, envs.of_the_project as mine; assert envs.MINE and mine.MINE"
    (project / "script.py").write_text(
        SCRIPT.replace("BEFORE", before.format(mine) if before else "").replace("AFTER", after.format(mine))
    )
    done = python(project, "script.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['success', 'success']\n"


def test_folders_that_are_no_packages_do_no_harm(project):
    """Python itself prefers a package, wherever on its path, but not one that an installer's hook has to find."""
    for name in ("envs", "perturbations"):
        (project / name / "__init__.py").unlink()
    (project / "script.py").write_text(SCRIPT.replace("BEFORE", HOOKED).replace("AFTER", ""))
    done = python(project, "script.py")
    assert done.returncode == 0, done.stderr
    (project / "envs" / "base.py").touch()
    done = python(project, "script.py")
    assert f"and {project / 'envs'} comes before it: both have a module 'base'" in done.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_the_command_works_with_them_on_pythonpath(project, workers):
    done = command(project, *RUN, "--workers", workers, "--out", "run", path=project)
    assert done.returncode == 0, done.stderr
    assert outcomes(project / "run") == ["success", "success"]


@pytest.mark.parametrize("module", ["import envs.base", "import envs", "", "import simeval"])
def test_a_module_in_common_is_named_with_its_place(project, module):
    (project / "envs" / "base.py").touch()
    (project / "script.py").write_text(SCRIPT.replace("BEFORE", module).replace("AFTER", ""))
    done = python(project, "script.py")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: simeval needs its own package 'envs' ({ROOT / 'envs'}), and {project / 'envs' / '__init__.py'} "
        "comes before it: both have a module 'base'; rename that one, or take its folder off Python's path "
        "(PYTHONPATH, or where Python was started)"
    )


def test_a_file_of_that_name_is_named(tmp_path):
    (tmp_path / "perturbations.py").touch()
    done = python(tmp_path, "-c", "from simeval.config.plan import make_plan")
    assert f"and {tmp_path / 'perturbations.py'} comes before it: it is no package" in done.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_the_command_keeps_to_its_own_where_modules_are_in_common(project, workers):
    (project / "envs" / "base.py").touch()
    (project / "perturbations" / "spec.py").touch()
    done = command(project, *RUN, "--workers", workers, "--out", "run", path=project)
    assert done.returncode == 0, done.stderr
    assert outcomes(project / "run") == ["success", "success"]


def test_workers_do_not_take_the_simeval_of_the_working_directory(tmp_path):
    """Ray puts it first on their path; another checkout of simeval would be run without a word."""
    for name in ("simeval", "envs", "perturbations"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('another checkout')\n")
    done = command(tmp_path, *RUN, "--workers", 1, "--out", "run")
    assert done.returncode == 0, done.stderr
    assert outcomes(tmp_path / "run") == ["success", "success"]


def test_a_process_without_others_of_those_names_is_left_as_it_is():
    assert envs.__path__ == [str(ROOT / "envs")]
    assert perturbations.__path__ == [str(ROOT / "perturbations")]
