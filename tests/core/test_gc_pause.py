"""When Python's garbage collector runs."""

import gc
import subprocess
import sys

import pytest

from simeval.core.gc_pause import uncollected


def threshold_after(imported):
    command = [sys.executable, "-c", f"import {imported}, gc; print(gc.get_threshold()[0])"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_collector_of_a_users_process_is_left_alone():
    assert threshold_after("simeval.api") == threshold_after("sys")


def test_it_runs_rarely_in_a_command():
    assert threshold_after("simeval.cli") == 50_000


@pytest.mark.parametrize(("imported", "left_alone"), [("simeval.cli", True), ("simeval.api", False)])
def test_what_lives_when_a_worker_is_ready_is_left_alone_in_a_process_of_our_own(imported, left_alone):
    use = "from simeval.core.gc_pause import leave_alone; leave_alone()"
    text = f"import {imported}, gc; {use}; print(gc.get_freeze_count())"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 10_000) == left_alone


def test_only_the_first_worker_of_a_process_leaves_anything_alone():
    use = "from simeval.core.gc_pause import leave_alone as go; go(); first = gc.get_freeze_count()"
    text = f"import simeval.cli, gc; {use}; more = [[] for _ in range(99)]; go(); print(gc.get_freeze_count() - first)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 0


@pytest.mark.parametrize("before", [True, False])
def test_a_pause_ends_as_it_began(before):
    (gc.enable if before else gc.disable)()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() == before
        with pytest.raises(ValueError, match="within"), uncollected():
            raise ValueError("within")
        assert gc.isenabled() == before
    finally:
        gc.enable()
