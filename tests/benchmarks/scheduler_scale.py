"""What a run of a million episodes asks of its one driver, with workers that take no time.

    python tests/benchmarks/scheduler_scale.py [--episodes 1000000] [--workers 4800] [--folder FOLDER] [--ray 0]

A plan of toy episodes goes through the real plan, `RayRunner`, queue, writer and reader. The workers are objects in
this process that answer at once, with rows like those of LIBERO: what is left is what the driver itself takes. With
`--ray N` real actors run 500 episodes of one control step each, so that Ray's share is seen too.

Printed: wall-clock and CPU seconds, resident memory, rates. Then choices are compared within this run: rows fsynced
one by one or together, traces packed by the writer or by workers, and, with `--ray`, waiting for the first of many
answers by `ray.wait` or by callback.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import asyncio
import concurrent.futures
import contextlib
import itertools
import queue
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import ray
from msgspec import structs

from simeval.analysis import success
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import Plan, make_plan
from simeval.core.types import Counts, EpisodeResult, EpisodeSpec, RealizedStrength, Timings
from simeval.policies.base import WorkerFacts
from simeval.policies.registry import PolicyChoice
from simeval.policies.scripted import ZeroPolicy
from simeval.rollout.trace import Trace
from simeval.runner.progress import RunCounts
from simeval.runner.queue import EpisodeQueue
from simeval.runner.ray_runner import RayRunner
from simeval.runner.session import ray_session
from simeval.runner.worker import EpisodeOutput, WorkerSetup
from simeval.store.manifest import make_manifest
from simeval.store.run import Run, RunWriter, is_finished

STRENGTHS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
FACTS = WorkerFacts(ZeroPolicy().spec, {})
PER_REPEAT = 4 * 50 * (len(STRENGTHS) + 1)
"""Episodes of the toy suite with these strengths of noise."""


def memory() -> tuple[float, float]:
    """Resident memory now and at most so far (MB)."""
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return now / 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@contextlib.contextmanager
def measured(what: str, count: int) -> Iterator[None]:
    before, wall, cpu = memory()[0], time.perf_counter(), time.process_time()
    yield
    wall, cpu, (now, most) = time.perf_counter() - wall, time.process_time() - cpu, memory()
    rate = count / max(cpu, 1e-9)
    print(
        f"{what:44s} {wall:8.2f} s wall {cpu:8.2f} s CPU {rate:12.0f} per CPU second"
        f" {now - before:+8.0f} MB -> {now:6.0f} MB (at most {most:.0f})",
        flush=True,
    )


def outcome_of(spec: EpisodeSpec, index: int) -> EpisodeResult:
    """A row like that of a perturbed LIBERO episode."""
    success, seconds = index % 3 != 0, random.Random(index)
    return EpisodeResult(
        spec,
        "success" if success else "failure",
        steps=87,
        first_success=87 if success else None,
        reached="original" if success else "neither",
        instruction="pick up the black bowl between the plate and the ramekin and place it on the plate",
        timings=Timings(*(seconds.random() for _ in range(5))),
        counts=Counts(87, 18, 9, 9, 9),
        state_digest=f"{seconds.getrandbits(64):016x}",
        magnitude=RealizedStrength(mean_abs=seconds.random(), psnr=20 + seconds.random()),
        first_hit=87 if success else None,
        hits=(("on akita_black_bowl_1 plate_1", 87),) if success else (),
        approached="akita_black_bowl_1",
        visible=(("agentview", 0.98), ("wrist", 1.0)),
    )


class _Answer:
    """What a remote call gives, there at once."""

    def __init__(self, value: Any) -> None:
        self._future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._future.set_result(value)

    def future(self) -> "concurrent.futures.Future[Any]":
        return self._future


class _Call:
    def __init__(self, function: Any) -> None:
        self.remote = lambda *given: _Answer(function(*given))


class _Actor:
    """A rollout worker that takes no time."""

    def __init__(self, number: int) -> None:
        self.node = _Call(lambda: bytes([number % 100]))
        self.load = _Call(lambda _: FACTS)
        self.run = _Call(lambda spec: EpisodeOutput(outcome_of(structs.replace(spec), hash(spec.id))))


@contextlib.contextmanager
def instant_actors(workers: int) -> Iterator[None]:
    """Have `RayRunner` start such workers instead of Ray's."""
    numbers = itertools.count()
    kind = SimpleNamespace(remote=lambda _: _Actor(next(numbers)))
    fake = SimpleNamespace(options=lambda **_: kind)
    with patch.object(ray, "remote", lambda _: fake), patch.object(ray, "cluster_resources", lambda: {"CPU": workers}):
        yield


def drain(plan: Plan, workers: int) -> int:
    """Hand out a plan to workers that take turns."""
    queue, last, count = EpisodeQueue(plan.episodes), [None] * workers, 0
    while True:
        for worker in range(workers):
            spec = queue.next(last[worker])
            if spec is None:
                return count
            last[worker], count = spec, count + 1


def run_whole(plan: Plan, config: EvalConfig, folder: Path, workers: int) -> None:
    """What `evaluate` does with a plan, without loading or asking anything."""
    with instant_actors(workers):
        runner = RayRunner(WorkerSetup(PolicyChoice("zero"), None, "none"), workers, cluster=False)
        manifest, counts = make_manifest(config, plan, runner.facts(), None), RunCounts(plan)
        with RunWriter(folder, manifest) as writer:
            for together in runner.run(EpisodeQueue(plan.episodes)):
                writer.write_batch([(finished.result, finished.trace) for finished in together])
                for finished in together:
                    counts.add(finished.result, fresh=True)


def compare_syncs(plan: Plan, config: EvalConfig, folder: Path, count: int, size: int) -> None:
    manifest = make_manifest(config, plan, FACTS, None)
    items = [(outcome_of(spec, index), None) for index, spec in enumerate(plan.episodes[:count])]
    seconds = {}
    for group in (1, size):
        with RunWriter(folder / f"by-{group}", manifest) as writer:
            start = time.perf_counter()
            for first in range(0, count, group):
                writer.write_batch(items[first : first + group])
            seconds[group] = time.perf_counter() - start
    rates = {group: count / taken for group, taken in seconds.items()}
    ratio = rates[size] / rates[1]
    print(
        f"rows per second: {rates[1]:.0f} one by one, {rates[size]:.0f} in groups of {size}: {ratio:.1f} times as many"
    )


def real_actors(plan: Plan, workers: int) -> None:
    """Episodes of one control step on real actors: what Ray itself takes for handing them out and back."""
    episodes = [structs.replace(spec, max_steps=1) for spec in plan.episodes[: 500 * workers]]
    runner = RayRunner(WorkerSetup(PolicyChoice("zero"), None, "none"), workers, cluster=False)
    runner.facts()
    with measured(f"{workers} real actors, one-step episodes", len(episodes)):
        assert sum(len(together) for together in runner.run(EpisodeQueue(episodes))) == len(episodes)


class Sleeper:
    """Answers after a drawn time."""

    async def sleep(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds


def compare_waiting(pending: int) -> None:
    """CPU seconds of the driver per answer among many that are still to come."""
    sleeper = ray.remote(Sleeper).options(max_concurrency=pending, num_cpus=0.01).remote()
    draw, cpu = random.Random(0), {}
    for way in ("ray.wait", "callback"):
        refs = [sleeper.sleep.remote(draw.uniform(5, 15)) for _ in range(pending)]
        start = time.process_time()
        if way == "ray.wait":
            while refs:
                (done,), refs = ray.wait(refs, num_returns=1)
                ray.get(done)
        else:
            news: queue.SimpleQueue[Any] = queue.SimpleQueue()
            for ref in refs:
                ref.future().add_done_callback(news.put)
            for _ in refs:
                news.get().result()
        cpu[way] = (time.process_time() - start) / pending
    ratio = cpu["ray.wait"] / cpu["callback"]
    print(f"CPU per answer among {pending}: ray.wait {1e3 * cpu['ray.wait']:.2f} ms, callback "
          f"{1e3 * cpu['callback']:.2f} ms: {ratio:.0f} times as much")  # fmt: skip


def compare_packing(count: int) -> None:
    """What the writer takes for a trace of LIBERO's size, packed by itself or by a worker."""
    draw = np.random.default_rng(0)
    states = np.cumsum(draw.normal(0, 1e-3, (150, 92)), axis=0)
    trace = Trace(states, draw.random((150, 7), np.float32), draw.random((15, 50, 7), np.float32), np.arange(15), "go")
    packed = trace.packed()
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kept in (("here", trace), ("by the worker", packed)):
            start = time.process_time()
            for index in range(count):
                kept.save(Path(folder) / name / f"{index}.npz")
            seconds[name] = (time.process_time() - start) / count
    ratio = seconds["here"] / seconds["by the worker"]
    print(f"a trace of {len(packed.data) / 1e3:.0f} kB: {1e3 * seconds['here']:.2f} ms CPU packed here, "
          f"{1e3 * seconds['by the worker']:.2f} ms packed by the worker: {ratio:.0f} times as much")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=1_000_000, help=f"rounded to a multiple of {PER_REPEAT}")
    parser.add_argument("--workers", type=int, default=4800)
    parser.add_argument("--folder", type=Path, help="where the run is written; a temporary folder by default")
    parser.add_argument("--ray", type=int, default=0, help="real actors to start")
    wanted = parser.parse_args()
    perturb = tuple(f"noise:{strength}" for strength in STRENGTHS)
    config = EvalConfig(
        suite=("toy",), perturb=perturb, policy="zero", repeats=max(1, wanted.episodes // PER_REPEAT), workers=0
    )
    parent = Path(tempfile.mkdtemp(dir=wanted.folder))
    try:
        one_run(config, parent / "run", wanted.workers)
        plan = make_plan(replace(config, repeats=1))
        compare_syncs(plan, config, parent, len(plan.episodes), 100)
        compare_packing(100)
        if wanted.ray:
            with ray_session(None, wanted.ray):
                real_actors(plan, wanted.ray)
                compare_waiting(wanted.workers)
    finally:
        shutil.rmtree(parent)


def one_run(config: EvalConfig, folder: Path, workers: int) -> None:
    """Plan, run, resume and read."""
    with measured("plan", config.repeats * PER_REPEAT):
        plan = make_plan(config)
    count = len(plan.episodes)
    with measured("digest of the plan", count):
        assert plan.digest
    with measured(f"queue, {workers} workers", count):
        assert drain(plan, workers) == count
    with measured("schedule, write rows, count", count):
        run_whole(plan, config, folder, workers)
    print(f"{(folder / 'episodes.jsonl').stat().st_size / count:.0f} bytes per row")
    with measured("resume: is it finished?", count):
        assert is_finished(folder, plan.episodes)
    manifest = Run.load(folder).manifest
    with measured("resume: open for writing", count), RunWriter(folder, manifest) as writer:
        assert len(writer.finished) == count
    del writer, plan
    with measured("read as a table", count):
        episodes = Run.load(folder).episodes
    assert len(episodes) == count
    with measured("all tables of the summary", count):
        success.analyse(episodes)


if __name__ == "__main__":
    main()
