"""Batch curve of a policy: chunks per second against samples per call, on the device at hand.

    python tests/benchmarks/policy_batch.py [--policy bundled] [--device auto] [--batches 1,2,4,8,16] [--dtype bfloat16]

What is timed is `Policy.act`: pictures in, actions out, with pre- and postprocessing and transfer to the device. The
knee is where the next size no longer gives a tenth more chunks.
"""

import argparse
import os
import resource
import time
from itertools import pairwise
from statistics import median

from report import Report, environment


def inputs(cameras, many: int):
    import numpy as np

    from envs.base import STATE_SIZE, Observation
    from simeval.policies.base import PolicyInput

    rng, found = np.random.default_rng(0), []
    for index in range(many):
        images = {camera: rng.integers(0, 256, (256, 256, 3), np.uint8) for camera in cameras}
        state = rng.normal(0, 0.1, STATE_SIZE).astype(np.float32)
        text = "pick up the black bowl on the cookie box and place it on the plate"
        found.append(PolicyInput(Observation(images, state, 0), text, "", 0, noise_seed=index))
    return found


def measure(name: str, device: str, batch: int, seconds: float, dtype: str | None) -> dict:
    from simeval.policies.registry import PolicyChoice, load_policy

    begin = time.perf_counter()
    policy = load_policy(PolicyChoice(name, device, None, batch, dtype))
    loading = time.perf_counter() - begin
    asked = inputs(policy.spec.cameras, batch)
    for _ in range(2):
        policy.act(asked)
    took: list[float] = []
    while len(took) < 5 or sum(took) < seconds:
        begin = time.perf_counter()
        policy.act(asked)
        took.append(time.perf_counter() - begin)
    row = {"batch": batch, "chunks/s": batch / median(took), "ms per call": 1000 * median(took), "calls": len(took)}
    row |= {"load s": loading, "peak RSS MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
    return row | {"device": dict(policy.spec.fingerprint).get("device", device)} | _gpu_memory()


def _gpu_memory() -> dict:
    import torch

    if not torch.cuda.is_available():
        return {}
    return {"GPU MB": torch.cuda.max_memory_allocated() / 1e6}


def main() -> None:
    os.environ.update(environment())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", default="bundled", help="bundled, a checkpoint folder or a hub id")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batches", default="1,2,4,8,16")
    parser.add_argument("--dtype", choices=("bfloat16",), help="of matrix products  [default: the checkpoint's]")
    parser.add_argument("--seconds", type=float, default=5.0, help="at least so long per batch size")
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    report = Report("policy_batch", __doc__)
    sizes = [int(word) for word in options.batches.split(",")]
    rows = [measure(options.policy, options.device, size, options.seconds, options.dtype) for size in sizes]
    report.table(f"{options.policy} on {rows[0]['device']}", rows)
    speed = {row["batch"]: row["chunks/s"] for row in rows}
    knee = next((size for size, larger in pairwise(sizes) if speed[larger] < 1.1 * speed[size]), sizes[-1])
    report.table("knee", [{"batch": knee, "chunks/s": speed[knee], "x batch 1": speed[knee] / speed[sizes[0]]}])
    report.write(options.out)


if __name__ == "__main__":
    main()
