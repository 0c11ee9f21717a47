"""A policy behind a server on Ray workers: each opens its own connection, and rows do not depend on their number."""

from helpers import toy_spec
from policy_servers import Stub, serving

from simeval.policies.remote.channel import Limits
from simeval.policies.remote.load import load
from simeval.runner.queue import EpisodeQueue
from simeval.runner.ray_runner import RayRunner
from simeval.runner.serial import SerialRunner
from simeval.runner.session import ray_session
from simeval.runner.worker import WorkerSetup


def test_workers_give_the_rows_of_this_process():
    specs = [toy_spec(task=task, max_steps=20) for task in range(3)]
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=Limits(answer_s=30, first_answer_s=30))
        expected = results(SerialRunner(WorkerSetup(policy, None, "none")), specs)
        before = stub.connections
        with ray_session(None, 2):
            assert results(RayRunner(WorkerSetup(policy, None, "none"), 2, cluster=False), specs) == expected
        assert stub.connections == before + 2
        policy.close()


def results(runner, specs) -> dict:
    rows = [output.result for together in runner.run(EpisodeQueue(specs)) for output in together]
    return {row.spec: (row.outcome, row.steps, row.state_digest) for row in rows}
