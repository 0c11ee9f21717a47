"""The same rows everywhere: in this process, on Ray workers, in another order, and after anything was killed.

Ray takes seconds to start, so the tests with workers share one cluster, which runs in a process of its own and which
they join as `--ray-address` does.
"""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers import CONDITIONS, lines, rows, toy_config, toy_spec, trace_bytes
from msgspec.structs import replace

from simeval.api import evaluate
from simeval.config.plan import make_plan
from simeval.core import loopback
from simeval.core.errors import ConfigError
from simeval.policies.registry import PolicyChoice, use_actor
from simeval.policies.scripted import SeekerPolicy
from simeval.runner.fleet import ATTEMPTS
from simeval.runner.progress import Silent
from simeval.runner.queue import EpisodeQueue
from simeval.runner.ray_runner import RayRunner
from simeval.runner.serial import SerialRunner
from simeval.runner.session import ray_session
from simeval.runner.worker import EpisodeWorker, WorkerSetup
from simeval.store.run import Run

SEEKER = WorkerSetup(PolicyChoice("seeker"), None, "all")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Run:
    """The run that all others must equal: 20 episodes in this process."""
    return evaluate(toy_config(tmp_path_factory.mktemp("runner") / "serial"))


@pytest.fixture(scope="module")
def cluster():
    """Ray in another process; yields that process and the address."""
    code = (
        "import ray, sys\n"
        "options = dict(include_dashboard=False, log_to_driver=False, logging_level='ERROR')\n"
        "started = ray.init('local', num_cpus=4, object_store_memory=100_000_000, **options)\n"
        "print(started.address_info['address'], flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, "Ray did not start"
    yield process, address
    process.stdin.close()
    process.wait(60)


def traces(run: Run) -> dict:
    return {result.spec.id: trace_bytes(run.trace(result.spec)) for result in run.results}


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The rollout workers that run below a process."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.cmdline()[0].startswith("ray::RemoteWorker"):
                found.append(child)
        except (psutil.Error, IndexError):
            continue
    return found


# In this process


def test_the_undisturbed_run_is_worth_comparing_with(undisturbed):
    """It has every outcome that can differ: else equality would show little."""
    frame = undisturbed.episodes
    assert list(frame.id) == [spec.id for spec in make_plan(toy_config(Path("x"))).episodes]
    assert Counter(frame.outcome).keys() == {"success", "failure"}
    assert set(frame.reached) == {"original", "counterfactual", "neither"}
    assert frame.state_digest.nunique() > 12


def test_none_run_twice_has_no_flips_and_the_same_motion(undisturbed, tmp_path):
    again = evaluate(toy_config(tmp_path / "again", perturb=()))
    clean = [result for result in undisturbed.results if result.spec.condition == "none"]
    assert len(clean) == len(again.results) == 4
    for one, other in zip(clean, again.results, strict=True):
        assert (one.outcome, one.steps, one.state_digest) == (other.outcome, other.steps, other.state_digest)
        assert trace_bytes(undisturbed.trace(one.spec)) == trace_bytes(again.trace(other.spec))


def test_identity_strengths_give_the_rows_of_none(tmp_path):
    run = evaluate(toy_config(tmp_path / "run", perturb=("noise:0", "light:1")))
    kept = {}
    for result in run.results:
        row = {key: value for key, value in result.row().items() if key not in ("id", "spec", "timings")}
        kept.setdefault(result.spec.pair_id, []).append((row, trace_bytes(run.trace(result.spec))))
    assert len(kept) == 4
    for clean, noise, light in kept.values():
        assert clean == noise == light


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_execution_changes_nothing(undisturbed, seed):
    specs = [result.spec for result in undisturbed.results]
    order = np.random.default_rng(seed).permutation(len(specs))
    worker = EpisodeWorker(SEEKER)
    for index in order:
        finished, expected = worker.run(specs[index]), undisturbed.results[index]
        assert replace(finished.result, timings=expected.timings) == expected
        assert trace_bytes(finished.trace) == trace_bytes(undisturbed.trace(expected.spec))


def test_the_serial_runner_yields_each_episode_once_in_order(undisturbed):
    specs = [result.spec for result in undisturbed.results[:6]]
    runner = SerialRunner(SEEKER)
    assert [finished.result.spec for (finished,) in runner.run(EpisodeQueue(specs))] == specs
    assert runner.facts().policy == SeekerPolicy.spec


# Who does what


def test_scripted_policies_never_need_an_actor_of_their_own():
    assert not use_actor(PolicyChoice("seeker"), "auto")
    assert not use_actor(PolicyChoice("seeker"), "actor")
    assert not use_actor(PolicyChoice("folder/checkpoint", device="cpu"), "auto")
    assert use_actor(PolicyChoice("folder/checkpoint", device="cpu"), "actor")
    assert use_actor(PolicyChoice("folder/checkpoint", device="cuda"), "auto")
    assert not use_actor(PolicyChoice("folder/checkpoint", device="cuda"), "worker")


# On Ray


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [1, 4])
def test_the_number_of_workers_changes_no_row(undisturbed, cluster, tmp_path, workers):
    run = evaluate(toy_config(tmp_path / "run", workers=workers, ray_address=cluster[1]))
    assert rows(run.folder) == rows(undisturbed.folder)
    assert traces(run) == traces(undisturbed)


class Killer(Silent):
    """Kills the first of two workers with SIGKILL after some episodes, in its next one."""

    def __init__(self, process: subprocess.Popen, after: int):
        self.process, self.after = process, after
        self.before: list[psutil.Process] = []

    def update(self, result) -> None:
        self.after -= 1
        if self.after == 0:
            deadline = time.monotonic() + 60
            while len(self.before) < 2 and time.monotonic() < deadline:
                self.before = sorted(workers_of(self.process), key=psutil.Process.create_time)
            self.before[0].kill()


def test_a_worker_killed_in_the_middle_changes_no_row(undisturbed, cluster, tmp_path):
    killer = Killer(cluster[0], after=5)
    run = evaluate(toy_config(tmp_path / "run", workers=2, ray_address=cluster[1]), killer)
    assert len(killer.before) == 2
    assert not killer.before[0].is_running()
    assert rows(run.folder) == rows(undisturbed.folder)
    assert traces(run) == traces(undisturbed)


class Deadly:
    """A seeker that takes its process with it in one episode, every time."""

    spec = SeekerPolicy.spec

    def act(self, inputs):
        if inputs[0].pair_id == "toy/0/init01/r0":
            os._exit(1)
        return SeekerPolicy().act(inputs)


def test_an_episode_that_kills_every_worker_becomes_an_error_row_and_the_rest_goes_on(cluster):
    import ray

    specs = [toy_spec(init_state=i) for i in range(3)]
    with ray_session(cluster[1], 1):
        # Workers cannot import this module.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        runner = RayRunner(WorkerSetup(Deadly(), None, "all"), 1, cluster=True)
        results = [item.result for together in runner.run(EpisodeQueue(specs)) for item in together]
    outcomes = {result.spec: result.outcome for result in results}
    assert len(results) == 3
    assert outcomes == {specs[0]: "success", specs[1]: "error", specs[2]: "success"}
    (lost,) = (result for result in results if result.outcome == "error")
    assert lost.error_phase == "worker"
    assert lost.error_text.startswith(f"broke {ATTEMPTS} workers: ")
    assert "\n" not in lost.error_text


@pytest.mark.timeout(60)
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999", "nowhere.invalid:6379"])
def test_a_cluster_that_is_not_there_is_refused_soon(tmp_path, address):
    with pytest.raises(ConfigError, match=f"^--ray-address {address}: ") as caught:
        evaluate(toy_config(tmp_path / "run", workers=1, ray_address=address))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.timeout(60)
def test_a_machine_that_cannot_reach_itself_is_told_soon(tmp_path, monkeypatch):
    def unreachable(*_args, **_options):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(loopback.socket, "create_connection", unreachable)
    with pytest.raises(ConfigError) as caught:
        evaluate(toy_config(tmp_path / "run", workers=1))
    assert str(caught.value) == (
        "Ray does not start here (--workers 0 does without): this machine cannot reach itself at 127.0.0.1: "
        "Network is unreachable; `ip link set lo up` starts the interface"
    )
    assert not (tmp_path / "run").exists()


# The whole run killed


def command(folder: Path, workers: int) -> list[str]:
    words = ["run", "--suite", "toy", "--tasks", "0,2", "--init-states", "0-1", "--workers", str(workers)]
    perturb = itertools.chain(*(("--perturb", condition) for condition in CONDITIONS))
    return [sys.executable, "-m", "simeval.cli", *words, *perturb, "--out", str(folder)]


def finished_rows(folder: Path) -> int:
    path = folder / "episodes.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start_and_kill(folder: Path, workers: int, rows_more: int, seconds: float) -> dict[psutil.Process, str]:
    """Start the run and kill it with SIGKILL some time after so many more rows; returns what it had started itself."""
    enough = finished_rows(folder) + rows_more
    process = subprocess.Popen(command(folder, workers), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while finished_rows(folder) < enough and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(seconds)
    running = process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True) if running else []
    names = {child: child.name() for child in children}
    process.kill()
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    return names


def test_a_run_killed_at_three_moments_ends_with_the_rows_of_an_undisturbed_one(undisturbed, tmp_path):
    draw = np.random.default_rng(20260607)
    folder = tmp_path / "run"
    for _ in range(3):
        start_and_kill(folder, 0, int(draw.integers(1, 6)), float(draw.uniform(0, 0.04)))
        assert finished_rows(folder) < 20
    last = subprocess.run(command(folder, 0), capture_output=True, text=True, check=True)
    assert last.stderr == ""
    assert rows(folder) == rows(undisturbed.folder)
    assert [row["id"] for row in lines(folder)] == [row["id"] for row in lines(undisturbed.folder)]
    assert traces(Run.load(folder)) == traces(undisturbed)
    assert json.loads((folder / "manifest.json").read_text())["episodes"] == 20


def test_a_run_with_workers_killed_in_the_middle_leaves_no_worker_and_resumes_to_the_same_rows(undisturbed, tmp_path):
    draw = np.random.default_rng(20260608)
    folder = tmp_path / "run"
    children = start_and_kill(folder, 2, int(draw.integers(2, 6)), float(draw.uniform(0, 0.02)))
    assert finished_rows(folder) < 20
    assert sum(name.startswith("ray::RemoteWorker") for name in children.values()) == 2
    # Ray's own agents look after their parent only now and then, and stay for a minute.
    working = [process for process, name in children.items() if "Agent" not in name]
    _, alive = psutil.wait_procs(working, timeout=30)
    assert alive == []
    # Whatever other cluster this machine may be part of is none of the run's business.
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    last = subprocess.run(command(folder, 2), capture_output=True, text=True, check=True, env=environment)
    assert last.stderr == ""
    assert rows(folder) == rows(undisturbed.folder)
    assert traces(Run.load(folder)) == traces(undisturbed)
