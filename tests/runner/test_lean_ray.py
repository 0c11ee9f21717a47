"""Ray on this machine starts with no process that a run has no use for."""

import subprocess
import sys

import pytest

from simeval.runner import lean_ray

SESSION = """
import psutil
from simeval.runner.session import ray_session

with ray_session(None, 1):
    import ray

    @ray.remote
    def answer():
        return 42

    assert ray.get(answer.remote()) == 42
    for process in psutil.Process().children(recursive=True):
        print("|".join(process.cmdline()))
"""


def test_a_run_starts_no_process_of_ray_that_it_does_not_need():
    done = subprocess.run([sys.executable, "-c", SESSION], capture_output=True, text=True, check=True)
    started = done.stdout
    assert "gcs_server" in started
    assert "raylet" in started, "the processes are seen"
    for script in ("monitor.py", "log_monitor.py", "dashboard.py"):
        assert script not in started


def test_a_ray_that_is_started_otherwise_is_as_ever():
    from ray._private.node import Node
    from ray._private.utils import get_dashboard_dependency_error

    own = {name: vars(Node)[name] for name in lean_ray.LEFT_OUT}
    assert get_dashboard_dependency_error() is None
    with pytest.raises(KeyError), lean_ray.lean():  # noqa: PT012
        assert isinstance(get_dashboard_dependency_error(), ImportError)
        assert not {*own.values()} & {vars(Node)[name] for name in own}
        raise KeyError
    assert get_dashboard_dependency_error() is None
    assert {name: vars(Node)[name] for name in own} == own


def test_a_ray_without_such_a_process_is_left_alone(monkeypatch):
    from ray._private.node import Node

    monkeypatch.setattr(lean_ray, "LEFT_OUT", ("start_of_another_version",))
    with lean_ray.lean():
        assert not hasattr(Node, "start_of_another_version")
