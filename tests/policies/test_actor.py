"""Batched inference: first the queue alone, then real Ray actors with clients in other processes."""

import asyncio
import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from envs.base import Observation
from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.actor import PolicyActor, start
from simeval.policies.base import PolicyInput, PolicySpec
from simeval.policies.lerobot import load


def request(index: int, text: str = "put the bowl on the plate") -> PolicyInput:
    random = np.random.default_rng(index)
    images = {camera: random.integers(0, 256, (64, 64, 3), np.uint8) for camera in ("agentview", "wrist")}
    return PolicyInput(Observation(images, np.zeros(8, np.float32), 0), text, "pair", 0, noise_seed=index)


class Echo:
    """Answers with its input's seed; keeps what batches it saw; breaks or dies if the instruction says so."""

    spec = PolicySpec(name="echo", n_action_steps=1, cameras=())

    def __init__(self) -> None:
        self.batches: list[int] = []

    def act(self, inputs):
        self.batches.append(len(inputs))
        texts = [item.instruction for item in inputs]
        if "break" in texts:
            raise ValueError("cannot\nread this")
        for text in texts:
            order, _, marker = text.partition(" unless ")
            if order == "die" and not Path(marker).exists():
                Path(marker).touch()
                os._exit(1)
        time.sleep(0.05)
        return [np.full((1, 7), item.noise_seed, np.float32) for item in inputs]


def gather(policy: Echo, *requests: list[PolicyInput]):
    async def run():
        server = PolicyActor(lambda: policy, batch_size=4)
        return await asyncio.gather(*(server.act(items) for items in requests))

    return asyncio.run(run())


class Counting:
    """Answers with the number of its episode's requests so far."""

    spec = PolicySpec(name="counting", n_action_steps=1, cameras=(), memory=True)

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def act(self, inputs):
        for item in inputs:
            self.seen[item.episode_id] = 1 + (self.seen.get(item.episode_id, 0) if item.chunk_index else 0)
        return [np.full((1, 7), self.seen[item.episode_id], np.float32) for item in inputs]


def chunk(episode: str, index: int) -> PolicyInput:
    return replace(request(index), episode_id=episode, chunk_index=index)


def test_a_policy_with_memory_gets_each_episode_whole():
    async def run():
        server = PolicyActor(Counting, batch_size=4)
        both = [await server.act([chunk("a", index), chunk("b", index)]) for index in range(3)]
        again = [await server.act([chunk("a", index)]) for index in range(2)]
        restarted = PolicyActor(Counting, batch_size=4)
        return both, again, await restarted.act([chunk("a", 2)])

    both, again, (late,) = asyncio.run(run())
    assert [[int(one[0, 0]) for one in answer] for answer in both] == [[1, 1], [2, 2], [3, 3]]
    assert [int(answer[0][0, 0]) for answer in again] == [1, 2], "a second attempt at the episode"
    assert late.text == "its server was restarted in the middle of the episode"


def test_waiting_requests_form_batches():
    policy = Echo()
    answers = gather(policy, *([request(2 * index), request(2 * index + 1)] for index in range(5)))
    assert [[int(chunk[0, 0]) for chunk in answer] for answer in answers] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert sum(policy.batches) == 10
    assert max(policy.batches) == 4
    assert len(policy.batches) <= 4


class Reusing:
    """Overwrites its one array in every call."""

    spec = PolicySpec(name="reusing", n_action_steps=1, cameras=())

    def __init__(self) -> None:
        self.array = np.zeros((1, 7), np.float32)

    def act(self, inputs):
        self.array[:] = inputs[0].noise_seed
        return [self.array]


def test_an_answer_is_not_changed_by_the_next_call():
    answers = gather(Reusing(), *([request(index)] for index in range(1, 4)))
    kept = asyncio.run(one_by_one(PolicyActor(Reusing, batch_size=1)))
    assert [int(chunk[0, 0]) for chunk in kept] == [1, 2, 3]
    assert [int(answer[0][0, 0]) for answer in answers] == [1, 2, 3]


async def one_by_one(server: PolicyActor):
    return [(await server.act([request(index)]))[0] for index in range(1, 4)]


def test_a_bad_input_breaks_alone():
    good, bad, other = gather(Echo(), [request(1)], [request(2, "break")], [request(3)])
    assert (good[0][0, 0], other[0][0, 0]) == (1, 3)
    assert bad[0].text == "ValueError: cannot read this"


class Masking(Echo):
    """Masks one number of its answers to one seed."""

    def act(self, inputs):
        chunks = super().act(inputs)
        return [np.ma.array(one, mask=(one == 2) & (np.arange(7) == 3)) for one in chunks]


def test_a_masked_answer_breaks_alone():
    good, bad = gather(Masking(), [request(1)], [request(2)])
    assert bad[0].text == "it returned an action that is masked, so no number"
    assert (good[0] == 1).all()


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    # GPUs that Ray only counts.
    ray.init("local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    # Workers cannot import this module.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield ray
    ray.shutdown()


@pytest.fixture
def idle_cluster(cluster):
    """Ray takes a while to count the GPU of a server that has just ended as free."""
    until = time.monotonic() + 60
    while cluster.available_resources().get("GPU") != 2:
        assert time.monotonic() < until, "a GPU of an earlier test was never given back"
        time.sleep(0.1)
    return cluster


def test_clients_in_other_processes_get_the_same_chunks(cluster, tiny_smolvla):
    build = partial(load, str(tiny_smolvla), device="cpu", batch_size=2)
    remote = start(build, batch_size=2, num_gpus=0)

    def client(policy, items):
        chunks = [policy.act([item])[0] for item in items]
        return chunks, "torch" in sys.modules

    task = cluster.remote(client).options(num_cpus=0.5)
    items = [request(index) for index in range(6)]
    results = cluster.get([task.remote(remote, items[first::3]) for first in range(3)])
    direct = build()
    assert remote.spec == direct.spec
    for first, (chunks, has_torch) in enumerate(results):
        assert np.array_equal(chunks, direct.act(items[first::3]))
        assert not has_torch


def test_errors_reach_the_client_as_one_line(cluster):
    remote = start(Echo, batch_size=2, num_gpus=0)
    with pytest.raises(EpisodeError, match=r"^ValueError: cannot read this$"):
        remote.act([request(0, "break")])
    assert remote.act([request(7)])[0][0, 0] == 7


def test_a_killed_server_comes_back(cluster, tmp_path):
    remote = start(Echo, batch_size=2, num_gpus=0)
    assert remote.act([request(3, f"die unless {tmp_path / 'died'}")])[0][0, 0] == 3


def test_a_dead_server_is_an_episodes_error(cluster):
    remote = start(Echo, batch_size=2, num_gpus=0)
    cluster.kill(remote._servers[0])
    with pytest.raises(EpisodeError, match="policy server is gone"):
        remote.act([request(0)])


def test_every_gpu_gets_a_server_and_the_others_answer_for_one_that_is_gone(idle_cluster):
    remote = start(Echo, batch_size=2)
    first, second = remote._servers
    hosts = idle_cluster.get([first.facts.remote(), second.facts.remote()])
    assert hosts[0] == hosts[1]
    idle_cluster.kill(first)
    assert [remote.act([request(index)])[0][0, 0] for index in range(8)] == list(range(8))
    idle_cluster.kill(second)
    with pytest.raises(EpisodeError, match="policy server is gone"):
        remote.act([request(0)])


class Odd(Echo):
    """Another policy in every process."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = PolicySpec(name="odd", n_action_steps=1, cameras=(), fingerprint=(("process", os.getpid()),))


def test_servers_that_would_answer_differently_are_refused(idle_cluster):
    with pytest.raises(
        ConfigError, match=r"^node .*: its policy would answer otherwise than the others' \(other weights"
    ):
        start(Odd, batch_size=2)


def test_what_cannot_start_is_refused(cluster):
    with pytest.raises(ConfigError, match="no such folder"):
        start(partial(load, "/no/such/folder"), batch_size=1, num_gpus=0)
    with pytest.raises(ConfigError, match="GPU"):
        start(Echo, batch_size=1, num_gpus=64)
