"""The states of workers, with actors that answer when the test says so and never take a process."""

import concurrent.futures
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from helpers import toy_spec

from simeval.core.types import EpisodeResult
from simeval.policies.base import WorkerFacts
from simeval.policies.registry import PolicyChoice
from simeval.policies.scripted import SeekerPolicy
from simeval.runner import fleet, ray_runner
from simeval.runner.fleet import WorkerState
from simeval.runner.queue import EpisodeQueue
from simeval.runner.ray_runner import RayRunner
from simeval.runner.worker import EpisodeOutput, WorkerSetup

FACTS = WorkerFacts(SeekerPolicy.spec, {})


class FakeRef:
    """A reference to a reply, which the test sets."""

    def __init__(self) -> None:
        self.reply: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def future(self) -> "concurrent.futures.Future[Any]":
        return self.reply


class FakeActor:
    """A rollout actor that is placed and loaded at once; `on_run` gets the reference for each of its episodes."""

    def __init__(self, on_run: Callable[["FakeActor", Any, FakeRef], None]) -> None:
        self._actor_id = b"0"
        self.refs: list[FakeRef] = []
        self.node = self._call(lambda ref: ref.reply.set_result(b"\x01"))
        self.load = self._call(lambda ref, _: ref.reply.set_result(FACTS))
        self.run = self._call(lambda ref, spec: on_run(self, spec, ref))

    def _call(self, answer: Callable[..., None]) -> SimpleNamespace:
        def remote(*given: Any) -> FakeRef:
            ref = FakeRef()
            self.refs.append(ref)
            answer(ref, *given)
            return ref

        return SimpleNamespace(remote=remote)


@pytest.fixture
def start(monkeypatch):
    """Makes a runner of one worker; its actors run episodes by `on_run` and are killed by `on_kill`."""

    def make(on_run, on_kill=lambda _: None, timeout: float | None = None) -> RayRunner:
        kind = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda _: FakeActor(on_run)))
        monkeypatch.setattr(ray, "remote", lambda _: kind)
        monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0})
        monkeypatch.setattr(ray, "kill", on_kill)
        monkeypatch.setattr(fleet, "is_gone", lambda: False)
        monkeypatch.setattr(ray_runner, "read_status", lambda _: None)
        setup = WorkerSetup(PolicyChoice("seeker"), None, "none", timeout=timeout)
        return RayRunner(setup, 1, cluster=False)

    return make


def succeed(_, spec, ref: FakeRef) -> None:
    ref.reply.set_result(EpisodeOutput(EpisodeResult(spec, "success")))


def test_a_worker_goes_through_its_states_in_order(start):
    states = []

    def run(_, spec, ref: FakeRef) -> None:
        states.append(worker.state)
        succeed(None, spec, ref)

    runner = start(run)
    (worker,) = runner._fleet.workers
    states.append(worker.state)
    assert runner.facts() == FACTS
    states.append(worker.state)
    assert len(list(runner.run(EpisodeQueue([toy_spec()])))) == 1
    states.append(worker.state)
    runner._fleet.replace(worker)
    states.append(worker.state)
    started, loaded, running = WorkerState.STARTING, WorkerState.LOADED, WorkerState.RUNNING
    assert states == [started, loaded, running, loaded, WorkerState.DROPPED]
    assert [other.state for other in runner._fleet.workers] == [started]


def test_the_result_of_an_overdue_episode_that_comes_too_late_does_not_count(start):
    """The worker finishes while it is being killed: its episode has its error row already."""
    late: list[tuple[Any, FakeRef]] = []

    def hang_first(_, spec, ref: FakeRef) -> None:
        succeed(None, spec, ref) if late else late.append((spec, ref))

    runner = start(hang_first, lambda _: succeed(None, *late[0]), timeout=0.1)
    specs = [toy_spec(init_state=i) for i in range(3)]
    results = [output.result for outputs in runner.run(EpisodeQueue(specs)) for output in outputs]
    assert [(result.spec.init_state, result.outcome) for result in results] == [
        (0, "error"),
        (1, "success"),
        (2, "success"),
    ]
