"""`simeval view` as a command: how it starts, what it refuses, how it ends."""

import importlib.util
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from helpers import refusal
from viewers import viewing


def fetch(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere: no such folder; name the folder of your runs, or a run"),
        (["a_file"], "a_file: is a file; name the folder of your runs, or a run"),
        (["represented"], "represented: is what simeval represent found, and no run; simeval show prints it"),
        ([".", "--port", "70000"], "--port 70000: must be in [0, 65535]"),
        ([".", "--cache-mb", "-1"], "--cache-mb -1: must be in"),
        ([".", "--host", "no.such.host.invalid"], "--host 'no.such.host.invalid': no such address"),
        ([".", "--plugin", "missing.py"], "--plugin missing.py: "),
    ],
)
def test_bad_input_is_a_line(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a_file").touch()
    Path("represented").mkdir()
    Path("represented/representation.json").touch()
    assert says in refusal("view", *words)


def test_a_port_that_is_taken_is_a_line(tmp_path):
    with viewing(tmp_path, tmp_path) as address:
        port = re.search(r":(\d+)/", address)[1]
        assert f"--port {port}: another program listens there" in refusal("view", tmp_path, "--port", port)


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_a_missing_package_is_a_line(module, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else found(name, *more))
    assert refusal("view", tmp_path) == f"view needs {module}, which is not installed: pip install starlette uvicorn"


def test_it_listens_on_this_machine_alone_and_ends_with_ctrl_c(tmp_path):
    command = [sys.executable, "-m", "simeval.cli", "view", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert re.fullmatch(rf"viewing {re.escape(str(tmp_path))}: http://127\.0\.0\.1:\d+/\n", line)
    assert fetch(line.split()[-1])[0] == 200
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, "", "\nstopped\n")


def test_for_other_machines_it_prints_a_token_that_differs_each_time(tmp_path):
    addresses = []
    for _ in range(2):
        with viewing(tmp_path, tmp_path, "--host", "0.0.0.0") as address:
            match = re.fullmatch(r"http://[^/]+:(\d+)/\?token=([\w-]{32})", address)
            addresses.append(match[2])
            own = f"http://127.0.0.1:{match[1]}/"
            assert fetch(own)[0] == 403
            assert fetch(f"{own}?token={match[2][:-1]}x")[0] == 403
            request = urllib.request.Request(own, headers={"Cookie": f"simeval_view_{match[1]}={match[2]}"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
    assert addresses[0] != addresses[1]


def test_nothing_of_it_is_imported_by_other_verbs():
    code = "import simeval.cli.app, sys; print(*sorted({'starlette', 'uvicorn', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
