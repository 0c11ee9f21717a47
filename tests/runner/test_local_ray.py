"""Ray on this machine: nobody else can reach it, and nothing of it outlives the run for long."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from simeval.runner import local_ray

SIMEVAL = [sys.executable, "-m", "simeval.cli"]
LONG = [*SIMEVAL, "run", "--suite", "toy", "--repeats", "100", "--traces", "none", "--workers", "1"]
SHORT = [*SIMEVAL, "run", "--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "1"]


def started(folder: Path, **options) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """A long run with a worker that has its first row, and what it started."""
    process = subprocess.Popen([*LONG, "--out", str(folder)], stdout=-3, stderr=-1, text=True, **options)
    rows, deadline = folder / "episodes.jsonl", time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline and not (rows.exists() and rows.stat().st_size):
        time.sleep(0.05)
    assert process.poll() is None
    return process, psutil.Process(process.pid).children(recursive=True)


def running(processes: list[psutil.Process]) -> list[str]:
    return [p.name() for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_every_port_is_on_the_loopback_and_the_token_is_private(tmp_path, home):
    process, children = started(tmp_path / "run", env={**os.environ, "HOME": str(home)}, umask=0o022)
    try:
        ports = {
            (who.name(), connection.laddr.ip.removeprefix("::ffff:"))
            for who in (psutil.Process(process.pid), *children)
            for connection in who.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
    finally:
        process.kill()
        process.communicate()
    assert {"raylet", "gcs_server"} <= {name for name, _ in ports}
    assert {address for _, address in ports} == {"127.0.0.1"}
    assert stat.S_IMODE((home / ".ray" / "auth_token").stat().st_mode) == 0o600


def test_what_a_killed_run_left_is_ended_by_the_next(tmp_path):
    process, children = started(tmp_path / "run")
    stranger = subprocess.Popen(["sleep", "100"])
    process.kill()
    process.communicate()
    agents = [child for child in children if child.is_running() and "Agent" in child.name()]
    assert agents, "else this shows nothing"
    subprocess.run([*SHORT, "--out", str(tmp_path / "next")], check=True, capture_output=True)
    _, left = psutil.wait_procs(children, timeout=5)
    assert running(left) == []
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_run_whose_ray_broke_ends_soon_with_a_line_of_its_own(tmp_path):
    process, children = started(tmp_path / "run")
    next(child for child in children if child.name() == "gcs_server").kill()
    start = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - start < 40, "Ray itself ends the process after a minute"
    assert process.returncode == 1
    assert said.endswith(
        "simeval: Ray's central process (GCS) is gone; what was finished is safe, the same command resumes\n"
    )
    _, left = psutil.wait_procs(children, timeout=60)
    assert running(left) == []


def test_a_live_session_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    session = tmp_path / "ray" / "session_1"
    session.mkdir(parents=True)
    local_ray.claim(session)
    assert local_ray.end_orphans() == 0
    (note,) = session.iterdir()
    pid, birth, namespace = note.read_text().split()
    note.write_text(f"{pid} {int(birth) - 1} another:[1]")
    assert local_ray.end_orphans() == 0
    assert note.exists(), "a process of another container cannot be looked up here"
    note.write_text(f"{pid} {int(birth) - 1} {namespace}")
    assert local_ray.end_orphans() == 0
    assert not note.exists(), "its process is gone, and the number another's"


def test_of_a_dead_session_only_what_is_rays_and_works_in_it_is_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    dead, other = tmp_path / "ray" / "session_dead", tmp_path / "ray" / "session_other"
    for session in (dead, other):
        session.mkdir(parents=True)
        (session / "agent.log").touch()
    local_ray.claim(dead)
    note = dead / "simeval-owner"
    pid, birth, namespace = note.read_text().split()
    note.write_text(f"{pid} {int(birth) - 1} {namespace}")
    code = "import sys, time; file = open(sys.argv[2]); print(flush=True); time.sleep(300)"

    def opening(title: str, log: Path) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", code, title, str(log)], stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    agent = opening("ray::Agent", dead / "agent.log")
    reader = subprocess.Popen(["tail", "-f", str(dead / "agent.log")], stdout=subprocess.DEVNULL)
    elsewhere = opening("ray::Agent", other / "agent.log")
    try:
        assert local_ray.end_orphans() == 1
        assert agent.wait(10) == -9
        assert (reader.poll(), elsewhere.poll()) == (None, None)
        assert not note.exists()
        assert local_ray.end_orphans() == 0
    finally:
        for process in (agent, reader, elsewhere):
            process.kill()
            process.communicate()


def test_a_token_that_others_can_read_is_made_private(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    token = tmp_path / ".ray" / "auth_token"
    local_ray.keep_token_private()
    first = token.read_text()
    assert len(first) >= 32
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    token.chmod(0o644)
    local_ray.keep_token_private()
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == (first, 0o600)
    assert list(token.parent.iterdir()) == [token]


def test_a_home_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    """`/proc` stands for a file system that cannot be written, even by root."""
    done = subprocess.run(
        [*SHORT, "--out", str(tmp_path / "run")],
        env={**os.environ, "HOME": "/proc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("simeval: Ray does not start here (--workers 0 does without): /proc/.ray")
    assert done.stderr.endswith("; set HOME to a folder that can be written\n")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_closed_while_we_look_hides_no_process(tmp_path):
    """An agent that has lost its raylet opens and closes files all the time."""
    session, process = tmp_path / "session_1", tmp_path / "proc" / "1"
    (process / "fd").mkdir(parents=True)
    (process / "exe").symlink_to("/usr/bin/python3.12")
    (process / "cmdline").write_bytes(b"ray::DashboardAgent")
    (process / "fd" / "3").touch()  # no link: reading it fails like one that is gone
    assert not local_ray.works_in(session, process)
    (process / "fd" / "4").symlink_to(session / "logs" / "agent.log")
    assert local_ray.works_in(session, process)


def test_the_link_to_the_latest_session_stands_for_the_session(tmp_path, monkeypatch):
    """Whichever of the two is found first, what works in the session is ended before its note goes."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    session = tmp_path / "ray" / "real_name"
    session.mkdir(parents=True)
    (tmp_path / "ray" / "session_latest").symlink_to(session)
    gone = subprocess.Popen(["true"])
    gone.wait()
    local_ray.claim(session)
    note = session / "simeval-owner"
    note.write_text(note.read_text().replace(str(os.getpid()), str(gone.pid), 1))
    waiting = "import sys, time; log = open(sys.argv[1], 'w'); print('ray', flush=True); time.sleep(100)"
    agent = subprocess.Popen([sys.executable, "-c", waiting, str(session / "agent.log")], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    agent.stdout.readline()
    assert local_ray.end_orphans() == 1
    assert agent.wait(10) == -9
