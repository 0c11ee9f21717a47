"""The batching policy actor against Ray Serve's batching: what each adds to a request.

    python tests/benchmarks/serve_batching.py [--clients 8] [--seconds 10] [--network-ms 20]

Needs `pip install "ray[serve]"`, which simeval itself does not. The policy is a pause, as long for one sample as for a
batch, like a GPU's; requests carry two pictures of 256 px. Clients are threads of this process that ask again as soon
as they are answered, like rollout workers with no physics to do: the worst case. Serve waits for no batch to fill
either, and gets no HTTP proxy.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import contextlib
import threading
import time
from statistics import median, quantiles

import numpy as np
import psutil
from report import Report, cpu_seconds

from envs.base import CAMERAS, STATE_SIZE, Observation
from simeval.policies import actor
from simeval.policies.base import PolicyInput, PolicySpec
from simeval.runner.session import ray_session

BATCH = 8


class Pause:
    """A policy that takes the same time for every batch."""

    spec = PolicySpec("pause", n_action_steps=10, cameras=CAMERAS)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def act(self, inputs):
        time.sleep(self.seconds)
        return [np.zeros((10, 7), np.float32) for _ in inputs]


def request(index: int) -> PolicyInput:
    rng = np.random.default_rng(index)
    images = {camera: rng.integers(0, 256, (256, 256, 3), np.uint8) for camera in CAMERAS}
    return PolicyInput(Observation(images, np.zeros(STATE_SIZE, np.float32), 0), "pick up the bowl", "", 0, index)


@contextlib.contextmanager
def plain(policy: Pause):
    remote = actor.start(lambda: policy, batch_size=BATCH, num_gpus=0)
    yield lambda item: remote.act([item])[0]


@contextlib.contextmanager
def served(policy: Pause):
    from ray import serve

    @serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
    class Served:
        def __init__(self) -> None:
            self.policy = policy

        @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.0)
        async def answer(self, items):
            import asyncio

            # Beside the event loop, as a network on a GPU would run; otherwise nothing could arrive meanwhile.
            return await asyncio.get_running_loop().run_in_executor(None, self.policy.act, items)

        async def __call__(self, item):
            return await self.answer(item)

    serve.start(proxy_location="Disabled")
    handle = serve.run(Served.bind(), route_prefix=None)
    yield lambda item: handle.remote(item).result()
    serve.shutdown()


def measure(name: str, serving, options: argparse.Namespace) -> dict:
    took: list[float] = []
    with serving(Pause(options.network_ms / 1e3)) as ask:
        for _ in range(3):
            ask(request(0))
        everyone = [psutil.Process(), *psutil.Process().children(recursive=True)]
        before, until = cpu_seconds(everyone), time.perf_counter() + options.seconds

        def client(index: int) -> None:
            item = request(index)
            while time.perf_counter() < until:
                begin = time.perf_counter()
                ask(item)
                took.append(time.perf_counter() - begin)

        threads = [threading.Thread(target=client, args=(index,)) for index in range(options.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cpu = cpu_seconds(everyone) - before
    return {
        "": name,
        "requests/s": len(took) / options.seconds,
        "median ms": 1e3 * median(took),
        "p95 ms": 1e3 * quantiles(took, n=20)[-1],
        "CPU ms per request": 1e3 * cpu / len(took),
        "possible/s": 1e3 * min(options.clients, BATCH) / options.network_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--network-ms", type=float, default=20.0)
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    try:
        import ray.serve  # noqa: F401
    except ImportError as error:
        print(f'left out: {error}; pip install "ray[serve]"')
        return
    report, rows = Report("serve_batching", __doc__), []
    for name, serving in (("actor", plain), ("Ray Serve", served)) * 2:
        with ray_session(None, 4):
            rows.append(measure(name, serving, options))
    report.table(f"{options.clients} clients, batches of {BATCH} at most, {options.network_ms:g} ms each", rows)
    report.write(options.out)


if __name__ == "__main__":
    main()
