"""What the wire costs: `simeval serve` and its client against the batched actor, and the price of a message.

    python tests/benchmarks/wire.py [--clients 4] [--seconds 20] [--messages 500]

Both serve the same policy, in turns, to clients that are threads of this process and ask again as soon as they are
answered. The ratio of their chunks per second is the number to look at. A message is a request with two images of 256
px to a policy that answers at once; its price is measured with one client, in the server's process and in this one.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import contextlib
import pickle
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median, quantiles

import numpy as np
import psutil
from report import ROOT, Report, cpu_seconds, environment

from envs.base import CAMERAS, STATE_SIZE, Observation
from simeval.policies import actor as policy_actor
from simeval.policies.base import PolicyInput
from simeval.policies.registry import PolicyChoice, load_policy
from simeval.policies.remote import translate
from simeval.policies.remote.codec import pack, unpack
from simeval.policies.remote.conventions import read_convention
from simeval.policies.remote.load import load
from simeval.runner.session import ray_session

Ask = Callable[[PolicyInput], object]
ROUNDS = 2


def request(index: int) -> PolicyInput:
    rng = np.random.default_rng(index)
    images = {camera: rng.integers(0, 256, (256, 256, 3), np.uint8) for camera in CAMERAS}
    return PolicyInput(Observation(images, np.zeros(STATE_SIZE, np.float32), 0), "pick up the bowl", "pair", 0, index)


@contextlib.contextmanager
def wire(choice: PolicyChoice, clients: int) -> Iterator[tuple[list[Ask], list[psutil.Process]]]:
    """`simeval serve` in a process of its own, and a connection per client."""
    words = ["--policy", choice.name, "--port", "0", "--device", choice.device, "--batch-size", str(choice.batch_size)]
    command = [sys.executable, "-m", "simeval.cli", "serve", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT)
    try:
        found = re.search(r"openpi://\S+", process.stdout.readline())
        if found is None:
            raise SystemExit(f"{' '.join(command)} has not started")
        first = load(found[0])
        policies = [first, *(pickle.loads(pickle.dumps(first)) for _ in range(clients - 1))]
        yield [partial(ask_one, policy) for policy in policies], [psutil.Process(process.pid)]
        for policy in policies:
            policy.close()
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def actor(choice: PolicyChoice, clients: int) -> Iterator[tuple[list[Ask], list[psutil.Process]]]:
    """The batched actor of a run, and a client per thread."""
    with ray_session(None, 4):
        policy = policy_actor.start(partial(load_policy, choice), batch_size=choice.batch_size, num_gpus=0)
        yield [partial(ask_one, policy)] * clients, psutil.Process().children(recursive=True)


def ask_one(policy, item: PolicyInput) -> object:
    return policy.act([item])[0]


def throughput(name: str, serving, choice: PolicyChoice, options: argparse.Namespace) -> dict:
    took: list[float] = []
    with serving(choice, options.clients) as (asks, _):
        for ask in asks:
            ask(request(0))
        until = time.perf_counter() + options.seconds

        def client(index: int, ask: Ask) -> None:
            item = request(index)
            while time.perf_counter() < until:
                begin = time.perf_counter()
                ask(item)
                took.append(time.perf_counter() - begin)

        threads = [threading.Thread(target=client, args=pair) for pair in enumerate(asks)]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begin
    return {"": name, "chunks/s": len(took) / seconds, "median ms": 1e3 * median(took)}


def price(name: str, serving, messages: int) -> dict:
    took, item = [], request(0)
    with serving(PolicyChoice("zero"), 1) as ((ask,), others):
        for _ in range(20):
            ask(item)
        here, before = psutil.Process(), [cpu_seconds(others), cpu_seconds([psutil.Process()])]
        for _ in range(messages):
            begin = time.perf_counter()
            ask(item)
            took.append(time.perf_counter() - begin)
        spent = [cpu_seconds(others) - before[0], cpu_seconds([here]) - before[1]]
    return {
        "": name,
        "median ms": 1e3 * median(took),
        "p95 ms": 1e3 * quantiles(took, n=20)[-1],
        "CPU ms of the server": 1e3 * spent[0] / messages,
        "CPU ms of the client": 1e3 * spent[1] / messages,
    }


def parts(messages: int) -> list[dict]:
    """What a message is made of."""
    item = request(0)
    message = translate.request(read_convention("simeval"), item)
    packed, answer = pack(message), pack({"actions": np.zeros((50, 7), np.float32), "server_timing": {"infer_ms": 1.0}})
    rows = [("request", packed, message), ("answer of 50 actions", answer, unpack(answer))]
    return [
        {
            "": name,
            "bytes": len(data),
            "pack ms": timed(partial(pack, value), messages),
            "unpack ms": timed(partial(unpack, data), messages),
        }
        for name, data, value in rows
    ]


def timed(call: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        took.append(time.perf_counter() - begin)
    return 1e3 * median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", default="bundled")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    report, served = Report("wire", __doc__), {"wire": wire, "actor": actor}
    report.table("parts of a message", parts(options.messages))
    rows = [price(name, serving, options.messages) for name, serving in served.items()]
    report.table("price of a request, answered at once", rows)
    choice = PolicyChoice(options.policy, options.device, batch_size=options.batch_size)
    rows = [throughput(name, serving, choice, options) for name, serving in list(served.items()) * ROUNDS]
    report.table(f"throughput of {options.policy}, {options.clients} clients, batches of {options.batch_size}", rows)
    best = {name: max(row["chunks/s"] for row in rows if row[""] == name) for name in served}
    report.table("ratio", [{"": "wire / actor, best of each", "ratio": best["wire"] / best["actor"], "target": 0.9}])
    report.write(options.out)


if __name__ == "__main__":
    main()
