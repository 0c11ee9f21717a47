"""vla-eval's own model server, in an environment of its own, because it and simeval ask for other versions.

It is installed from a package index, so this test needs one.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import call, rows
from policy_servers import free_port

VERSION = "0.8.0"
SERVER = """
import sys
import anyio
import numpy as np
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.model_servers.serve import serve_async


class Small(PredictModelServer):
    "Answers chunks of two that depend on each part of the observation; vla-eval hands them out one by one."

    def get_observation_params(self):
        return {"send_state": True}

    def predict(self, obs, ctx):
        image = np.asarray(obs["images"]["agentview"]).mean() / 255
        words = len(obs["task_description"]) / 100
        chunk = np.zeros((2, 7), np.float32)
        chunk[:, 0], chunk[:, 1] = image - 0.5, words
        chunk[:, 2] = np.asarray(obs["states"])[2] - 1
        chunk[:, 6] = -1
        return {"actions": chunk}


anyio.run(serve_async, Small(chunk_size=2), "127.0.0.1", int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Python with vla-eval."""
    folder = tmp_path_factory.mktemp("vla-eval") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    made = subprocess.run(
        [uv, "pip", "install", "-q", "--python", folder / "bin" / "python", f"vla-eval=={VERSION}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder / "bin" / "python"


@pytest.mark.slow
def test_its_model_server_is_evaluated(python, tmp_path):
    port = free_port()
    (tmp_path / "server.py").write_text(SERVER)
    with subprocess.Popen([python, tmp_path / "server.py", str(port)]) as server:
        try:
            words = (
                "run",
                "--suite",
                "toy",
                "--tasks",
                "0",
                "--init-states",
                "0-1",
                "--policy",
                f"vla-eval://127.0.0.1:{port}",
            )
            for workers in (0, 2):
                done = call(*words, "--workers", workers, "--out", tmp_path / str(workers))
                assert done.code == 0, done.err
        finally:
            server.kill()
    one, two = (rows(tmp_path / str(workers)) for workers in (0, 2))
    assert one == two
    assert {row["outcome"] for row in one.values()} == {"failure"}
    assert all(np.isfinite(row["steps"]) for row in one.values())
