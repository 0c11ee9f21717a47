"""The published servers of openpi's protocol serve a policy of ours: its episodes are those in this process."""

import os
import subprocess
import sys
from pathlib import Path

import published_server
import pytest
from helpers import toy_spec
from policy_servers import free_port, given

import simeval
from simeval.core.errors import EpisodeError
from simeval.policies.remote.channel import Limits
from simeval.policies.remote.load import load
from simeval.policies.scripted import SeekerPolicy
from simeval.runner.worker import EpisodeWorker, WorkerSetup

LIMITS = Limits(connect_s=5, start_s=30, wait_s=30)
SPECS = [toy_spec(), toy_spec(task=2, init_state=1), toy_spec(condition="noise:0.3")]


def start(package: str, port: int) -> subprocess.Popen:
    paths = [str(Path(simeval.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        [sys.executable, published_server.__file__, package, str(port)], env=environment, stderr=subprocess.DEVNULL
    )


@pytest.mark.parametrize("package", ["openpi_server", "policy_websocket"])
def test_episodes_equal_those_in_this_process(package):
    port = free_port()
    server = start(package, port)
    try:
        policy = load(f"openpi://127.0.0.1:{port}", n_action_steps=6, convention="simeval", limits=LIMITS)
        assert policy.report.repeatable
        worker = EpisodeWorker(WorkerSetup(policy, None, "none"))
        results = [worker.run(spec).result for spec in SPECS[:1]]
        server.kill()
        server.wait()
        server = start(package, port)
        results += [worker.run(spec).result for spec in SPECS[1:]]
        with pytest.raises(EpisodeError, match="the server failed: ValueError: asked to fail"):
            policy.act([given(instruction="fail")])
        policy.close()
    finally:
        server.kill()
        server.wait()
    expected = EpisodeWorker(WorkerSetup(SeekerPolicy(), None, "none"))
    for spec, result in zip(SPECS, results, strict=True):
        here = expected.run(spec).result
        # The spec of a published server has no cameras to leave out: both are rendered.
        assert (result.outcome, result.steps, result.state_digest) == (here.outcome, here.steps, here.state_digest)
    assert [result.outcome for result in results].count("success") >= 1
