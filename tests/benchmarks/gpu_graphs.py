"""A chunk on a GPU with its kernels started one by one, as CUDA graphs, and by torch.compile: time and bits.

    python tests/benchmarks/gpu_graphs.py [--policy CHECKPOINT] [--batches 1,16] [--dtypes checkpoint,bfloat16]

What is timed is `Policy.act`, on the same inputs. `equal` says whether all bits of the chunks are those of the kernels
one by one; `largest` is the largest difference of an action, in the policy's units. Without --policy the checkpoint has
the real size and random weights (`real_smolvla.py`).
"""

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import policy_batch
import real_smolvla
from report import Report, environment


def ways(policy, *, compile_too: bool):
    """Contexts by name, in each of which the policy predicts in another way."""
    graphs, network = policy.graphs, policy._parts.model.model

    @contextlib.contextmanager
    def compiled():
        import torch

        with graphs.bypassed():
            own = network.denoise_step
            network.denoise_step = torch.compile(own.method)
            try:
                yield
            finally:
                network.denoise_step = own

    yield "one by one", graphs.bypassed
    if graphs.active:
        yield "graphs", contextlib.nullcontext
    if compile_too:
        yield "compiled", compiled


def measure(name: str, batch: int, dtype: str | None, options: argparse.Namespace) -> list[dict]:
    import numpy as np

    from simeval.policies.registry import PolicyChoice, load_policy

    policy = load_policy(PolicyChoice(name, "cuda", None, batch, dtype))
    asked = policy_batch.inputs(policy.spec.cameras, batch)
    rows, first = [], None
    for way, context in ways(policy, compile_too=options.compile):
        with context():
            begin = time.perf_counter()
            chunks = np.stack(policy.act(asked))
            warm = time.perf_counter() - begin
            policy.act(asked)
            took: list[float] = []
            while len(took) < 5 or sum(took) < options.seconds:
                begin = time.perf_counter()
                policy.act(asked)
                took.append(time.perf_counter() - begin)
        first = (chunks, median(took)) if first is None else first
        row = {"dtype": dtype or "checkpoint's", "batch": batch, "kernels": way, "ms": 1000 * median(took)}
        row |= {"chunks/s": batch / median(took), "x one by one": first[1] / median(took), "first call s": warm}
        rows.append(row | {"equal": np.array_equal(chunks, first[0]), "largest": float(abs(chunks - first[0]).max())})
    return rows


def main() -> None:
    os.environ.update(environment())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", help="a checkpoint folder instead of random weights")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--dtypes", default="checkpoint,bfloat16")
    parser.add_argument("--seconds", type=float, default=3.0, help="at least so long per row")
    parser.add_argument("--compile", action="store_true", help="steps by torch.compile, too; a minute per row")
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    report = Report("gpu_graphs", __doc__)
    if not report.machine["gpus"]:
        print("no GPU here, nothing measured")
        return
    with tempfile.TemporaryDirectory(prefix="simeval-bench-") as folder:
        policy = options.policy or str(real_smolvla.build(Path(folder) / "real"))
        rows = [
            row
            for dtype in options.dtypes.split(",")
            for batch in options.batches.split(",")
            for row in measure(policy, int(batch), None if dtype == "checkpoint" else dtype, options)
        ]
    name = Path(options.policy).name if options.policy else "SmolVLA, 450 M, random weights"
    report.table(f"{name} on {', '.join(report.machine['gpus'])}", rows)
    report.write(options.out)


if __name__ == "__main__":
    main()
