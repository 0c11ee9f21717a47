"""One batching policy actor and many workers: requests per second against the optimum, waits, sizes of batches.

    python tests/benchmarks/many_workers.py [--workers 16,64,256] [--think-ms 200] [--fixed-ms 8] [--item-ms 2]

The policy is a pause of known length: `--fixed-ms` per call and `--item-ms` per sample, as a network on a GPU may take;
with `--padded` a call always has a whole batch, as lerobot's checkpoints do here. Workers are threads of this process:
they ask, get their chunk, and are busy for `--think-ms` with physics. Requests carry two images of 256 px.

The optimum is simulated: the same workers and the same policy, with nothing that takes time between them, and a call
that begins when at least k requests wait, with the best k. `server CPU ms` is what the actor's process spends on a
request, so 1000 / that bounds a single actor whatever the policy takes.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import heapq
import os
import threading
import time
from collections.abc import Callable
from statistics import mean, median

import numpy as np
import psutil
import ray
from report import Report, cpu_seconds

from envs.base import CAMERAS, STATE_SIZE, Observation
from simeval.policies import actor
from simeval.policies.base import PolicyInput, PolicySpec
from simeval.runner.session import ray_session

VARIATION = 0.8, 1.2
"""What a worker does between two requests takes between these multiples of `--think-ms`."""
SIMULATED = 10_000
"""Requests of a simulation."""


class Pause:
    """A policy that takes a known time; its action is the number of samples of the call, and its process."""

    spec = PolicySpec("pause", n_action_steps=1, cameras=CAMERAS)

    def __init__(self, fixed: float, item: float, whole: int | None) -> None:
        self._fixed, self._item, self._whole = fixed, item, whole

    def act(self, inputs):
        time.sleep(self._fixed + self._item * (self._whole or len(inputs)))
        return [np.float32([[len(inputs), os.getpid(), 0, 0, 0, 0, 0]]) for _ in inputs]


def simulated(workers: int, batch: int, think: float, time_of: Callable[[int], float], least: int) -> float:
    """Requests per second if a call begins as soon as the server is free and `least` requests wait."""
    rng = np.random.default_rng(0)
    busy, now, waiting, answered, begin = list(think * rng.random(workers)), 0.0, 0, 0, (0.0, 0)
    heapq.heapify(busy)
    while answered < SIMULATED:
        while busy and (busy[0] <= now or waiting < least):
            now, waiting = max(now, heapq.heappop(busy)), waiting + 1
        size = min(waiting, batch)
        now, waiting, answered = now + time_of(size), waiting - size, answered + size
        for _ in range(size):
            heapq.heappush(busy, now + think * rng.uniform(*VARIATION))
        if not begin[1] and answered > SIMULATED / 4:
            begin = now, answered
    return (answered - begin[1]) / (now - begin[0])


def inputs(index: int) -> PolicyInput:
    rng = np.random.default_rng(index)
    images = {camera: rng.integers(0, 256, (256, 256, 3), np.uint8) for camera in CAMERAS}
    return PolicyInput(Observation(images, np.zeros(STATE_SIZE, np.float32), 0), "pick up the bowl", "", 0, index)


def measure(workers: int, batch: int, options: argparse.Namespace) -> dict:
    fixed, item, think = (value / 1000 for value in (options.fixed_ms, options.item_ms, options.think_ms))
    whole = batch if options.padded else None

    def time_of(size: int) -> float:
        return fixed + item * (whole or size)

    remote = actor.start(lambda: Pause(fixed, item, whole), batch_size=batch, num_gpus=0)
    server = [psutil.Process(int(remote.act([inputs(0)])[0][0, 1]))]
    over, waits, sizes = threading.Event(), [], []

    def work(index: int) -> None:
        asked, rng = inputs(index), np.random.default_rng(index)
        # Episodes do not start at once.
        over.wait(think * rng.random())
        while not over.is_set():
            begin = time.perf_counter()
            size = remote.act([asked])[0][0, 0]
            waits.append(time.perf_counter() - begin)
            sizes.append(float(size))
            over.wait(think * rng.uniform(*VARIATION))

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(workers)]
    for thread in threads:
        thread.start()
    time.sleep(min(2.0, options.seconds / 4))
    done, spent, begin = len(waits), cpu_seconds(server), time.perf_counter()
    time.sleep(options.seconds)
    rate = (len(waits) - done) / (time.perf_counter() - begin)
    spent, latest, sizes_then = cpu_seconds(server) - spent, waits[done:], sizes[done:]
    over.set()
    for thread in threads:
        thread.join()
    for handle in remote._servers:
        ray.kill(handle)
    best = max(simulated(workers, batch, think, time_of, least) for least in range(1, batch + 1))
    return {
        "workers": workers,
        "batch": batch,
        "requests/s": rate,
        "optimum": best,
        "share": rate / best,
        "median wait ms": 1000 * median(latest),
        # The mean of a call's size over calls, from the sizes that requests saw.
        "mean batch": len(sizes_then) / sum(1 / size for size in sizes_then),
        "batch of a request": mean(sizes_then),
        "server CPU ms": 1000 * spent / max(1, len(latest)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="16,64,256")
    parser.add_argument("--batches", default="8,32")
    parser.add_argument("--think-ms", type=float, default=200.0, help="physics between two requests")
    parser.add_argument("--fixed-ms", type=float, default=8.0, help="time of a call, whatever its size")
    parser.add_argument("--item-ms", type=float, default=2.0, help="time of each sample of a call")
    parser.add_argument("--padded", action="store_true", help="every call takes as long as a whole batch")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    report = Report("many_workers", __doc__)
    with ray_session(None, 2):
        rows = [
            measure(int(workers), int(batch), options)
            for workers in options.workers.split(",")
            for batch in options.batches.split(",")
        ]
    report.table(
        f"{options.fixed_ms:g} ms + {options.item_ms:g} ms per sample, {options.think_ms:g} ms of physics", rows
    )
    report.write(options.out)


if __name__ == "__main__":
    main()
