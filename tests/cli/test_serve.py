"""`simeval serve` as a command: what it prints, how it ends, and that a run's rows do not depend on it."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from helpers import refusal, roll_out, toy_spec, trace_bytes, without_timings

from envs.build import make_env
from simeval.policies.remote.load import load
from simeval.policies.scripted import SeekerPolicy


class Served:
    """The command in a process of its own."""

    def __init__(self, *words: object, **told: str) -> None:
        command = [sys.executable, "-m", "simeval.cli", "serve", "--policy", "seeker", *map(str, words)]
        environment = {key: value for key, value in os.environ.items() if key != "SIMEVAL_API_KEY"} | told
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.line = self.process.stdout.readline()
        self.url = self.line.rpartition(" ")[2].strip()
        self.port = self.url.rpartition(":")[2]

    def end(self, how: int) -> tuple[int, str]:
        """Send a signal; returns the exit code and what was printed on standard error."""
        self.process.send_signal(how)
        _, error = self.process.communicate(timeout=20)
        return self.process.returncode, error

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.communicate()


def test_rows_are_the_same_over_the_wire_also_if_the_server_dies_in_the_middle():
    specs = [
        toy_spec(task=task, init_state=init, condition=condition)
        for task, init in ((0, 0), (2, 1))
        for condition in ("none", "noise:0.3", "light:0.1")
    ]
    env = {task: make_env("toy", task, specs[0].resolution, None) for task in (0, 2)}
    expected = [roll_out(spec, env[spec.task], SeekerPolicy()) for spec in specs]
    assert {result.outcome for result, _ in expected} >= {"success", "failure"}
    server = Served("--port", 0)
    with server:
        assert server.line == f"serving seeker: --policy openpi://127.0.0.1:{server.port}\n"
        policy = load(server.url)
        found = [roll_out(spec, env[spec.task], policy) for spec in specs[:3]]
        assert server.end(signal.SIGKILL) == (-signal.SIGKILL, "")
    with Served("--port", server.port) as again:
        assert again.url == server.url
        found += [roll_out(spec, env[spec.task], policy) for spec in specs[3:]]
        code, error = again.end(signal.SIGINT)  # with a client that is connected
        policy.close()
    assert (code, error) == (0, "\nstopped\n")
    for (result, trace), (wanted, wanted_trace) in zip(found, expected, strict=True):
        assert without_timings(result.row()) == without_timings(wanted.row())
        assert trace_bytes(trace) == trace_bytes(wanted_trace)


def test_a_server_for_everybody_without_a_key_warns(tmp_path):
    with Served("--host", "0.0.0.0", "--port", 0) as server:
        assert server.url == f"openpi://{socket.gethostname()}:{server.port}"
        assert load(f"openpi://127.0.0.1:{server.port}").spec.name == "seeker"
        _, error = server.end(signal.SIGINT)
    warning, _, end = error.partition("\n")
    assert warning.startswith("simeval: every machine in this network can use this server; set SIMEVAL_API_KEY")
    assert end == "\nstopped\n"
    with Served("--host", "0.0.0.0", "--port", 0, "--api-key-env", "MINE", MINE="s3cret") as server:
        time.sleep(0.1)
        _, error = server.end(signal.SIGINT)
    assert error == "\nstopped\n"


def test_what_cannot_be_served_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("SIMEVAL_API_KEY", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refusal("serve", "--policy", "seeker", "--port", port)
        assert line == f"--port {port}: another program listens there; choose another port, or 0 for any free one"
        # The port is looked at before a checkpoint is loaded, and the checkpoint's name before the port.
        assert refusal("serve", "--policy", "bundled", "--port", port) == line
        assert "did you mean 'bundled'?" in refusal("serve", "--policy", "bundle", "--port", port)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--port", 65536), "--port 65536: must be in [0, 65535]"),
        (("--port", -1), "--port -1: must be in [0, 65535]"),
        (("--host", "192.0.2.7"), "--host 192.0.2.7: no address of this machine; 0.0.0.0 stands for all it has"),
        (("--host", ""), "--host '': no such address"),
        (("--host", "a" * 300), "--host 'aaaa"),
        (("--policy", "expert"), "--policy expert: it sees the simulator's state, which requests do not have"),
        (("--policy", "zero", "--dtype", "bfloat16"), "--dtype: 'zero' is scripted and has no network"),
        (("--device", "tpu"), "--device"),
        (("--api-key-env", "NOT_SET"), "--api-key-env NOT_SET: this environment variable is not set, or empty"),
        (("--batch-size", 0), "--batch-size 0: must be in [1, 4096]"),
    ],
)
def test_bad_input_is_one_line(words, line):
    assert line in refusal("serve", "--policy", "seeker", "--port", 0, *words)


def test_without_the_extra_the_remedy_is_said_before_a_policy_is_loaded(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("websockets")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "websockets", None)
    line = refusal("serve", "--policy", "bundled", "--port", 0)
    assert line.startswith("policies behind servers need websockets")
    assert line.endswith("which is not installed: pip install 'simeval[remote]'")


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(monkeypatch):
    monkeypatch.setenv("SIMEVAL_API_KEY", "s3cr\u00e9t")
    line = refusal("serve", "--policy", "seeker", "--port", 0)
    assert line.startswith("SIMEVAL_API_KEY: a key has letters")
    assert "s3cr" not in line
