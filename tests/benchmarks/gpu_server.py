"""A GPU server with a SmolVLA of the real size: chunks per second by batch, episodes per minute, and what limits them.

    python tests/benchmarks/gpu_server.py [--workers 16] [--chunks 10,50] [--batches 1,2,4,8,16,32,64,128] [--states 8]

The checkpoint is built with random weights (`real_smolvla.py`), unless --policy names one; its episodes use all their
control steps. The scenes are the bundled ones unless --assets says otherwise.

Processors and GPU are looked at once a second, from the start of the first episode to the end of the last: which share
of all cores worked, and for which share of the time something ran on the GPU. Parts are shares of the workers' time;
`policy` is the time until a chunk is there, that in the queue included. What is busy for 90 % of the time is called the
limit; if nothing is, workers and GPU wait for each other, and it is said for what most.
Without a GPU nothing is measured, unless --device cpu asks for it.
"""

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import psutil
import real_smolvla
from report import PYTHON, Report, Watched, environment, watch_run

BUSY = 0.9
PARTS = ("reset", "physics", "render", "perturb", "inference")
_ASK = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used,power.draw", "--format=csv,noheader,nounits")


@dataclass
class Load:
    """What the machine does, once a second; use as a context manager.

    Attributes:
        samples: seconds since the start, share of all cores, and of each GPU: percent of the time, MB, W.
    """

    samples: list[tuple[float, float, list[list[float | None]]]] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._start, self._over = time.perf_counter(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        psutil.cpu_percent()
        while not self._over.wait(1.0):
            busy, gpus = psutil.cpu_percent() / 100, []
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                lines = subprocess.run(_ASK, capture_output=True, text=True, check=True).stdout.splitlines()
                gpus = [[_number(word) for word in line.split(",")] for line in lines]
            self.samples.append((time.perf_counter() - self._start, busy, gpus))

    def between(self, begin: float, end: float) -> dict[str, float | None]:
        """Means over a time, and over all GPUs; `None` for what the machine does not have or tell."""
        seen = [sample for sample in self.samples if begin <= sample[0] <= end]
        gpus = [gpu for _, _, there in seen for gpu in there]
        share, memory, power = (_mean([gpu[index] for gpu in gpus]) for index in range(3))
        busy = _mean([busy for _, busy, _ in seen])
        return {"processors": busy, "GPU": share and share / 100, "GPU MB": memory, "GPU W": power}


def _number(word: str) -> float | None:
    """A number of nvidia-smi's; what a machine does not tell is `[N/A]`."""
    with contextlib.suppress(ValueError):
        return float(word)
    return None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def limit(row: dict) -> str:
    """What keeps the machine from doing more, by its row."""
    if (row["GPU"] or 0) >= BUSY:
        return "GPU"
    if (row["processors"] or 0) >= BUSY:
        return f"processors: {max(('physics', 'render'), key=lambda part: row[part])}"
    return "waiting for chunks" if row["policy"] >= 0.5 else "waiting for workers"


def row(watched: Watched, load: Load, *, chunk: int, batch: int, workers: int) -> dict:
    rows, seconds = watched.rows, watched.steady
    spent = {part: sum(each["timings"][part] for each in rows) for part in PARTS}
    total, calls = sum(spent.values()), sum(each["counts"]["policy_calls"] for each in rows)
    steps = sum(each["counts"]["control_steps"] for each in rows)
    found = {
        "n_action_steps": chunk,
        "batch": batch,
        "workers": workers,
        "episodes": len(rows),
        "ep/min": 60 * len(rows) / seconds,
        "ep/min whole": 60 * len(rows) / watched.whole,
        "steps/s/worker": steps / seconds / workers,
        "chunks/s": calls / seconds,
        "reset": spent["reset"] / total,
        "physics": spent["physics"] / total,
        "render": spent["render"] / total,
        "policy": spent["inference"] / total,
        "busy": total / (seconds * workers),
        **load.between(watched.begun, watched.begun + seconds),
        "peak PSS MB": watched.memory.pss,
    }
    return found | {"limit": limit(found)}


def batches(policy: str, options: argparse.Namespace, scratch: Path) -> list[list[dict]]:
    """The tables of `policy_batch.py`, in a process of its own: the GPU is free again afterwards."""
    script, out = Path(__file__).with_name("policy_batch.py"), scratch / "batches.json"
    words = ("--policy", policy, "--device", options.device, "--batches", options.batches, "--seconds", options.seconds)
    words += ("--dtype", options.dtype) if options.dtype else ()
    subprocess.run([PYTHON, script, *map(str, words), "--out", out], check=True, env=environment(), capture_output=True)
    return [table["rows"] for table in json.loads(out.read_text())["tables"]]


def episodes(policy: str, chunk: int, batch: int, options: argparse.Namespace, scratch: Path) -> dict:
    """One run, from the start of the command to its end."""
    with Load() as load:
        watched = watch_run(
            *("--suite", "libero_spatial", "--init-states", f"0-{options.states - 1}", "--policy", policy),
            *("--tasks", options.tasks) if options.tasks else (),
            *("--dtype", options.dtype) if options.dtype else (),
            *("--assets", options.assets, "--device", options.device, "--inference", "actor"),
            *("--n-action-steps", chunk, "--batch-size", batch, "--workers", options.workers, "--traces", "none"),
            *("--out", scratch / f"run-{chunk}"),
        )
    return row(watched, load, chunk=chunk, batch=batch, workers=options.workers)


def main() -> None:
    os.environ.update(environment())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", help="a checkpoint folder, a hub id, or bundled, instead of random weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", choices=("bfloat16",), help="of matrix products  [default: the checkpoint's]")
    parser.add_argument("--assets", default="bundled")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--chunks", default="10,50", help="numbers of n_action_steps")
    parser.add_argument("--batches", default="1,2,4,8,16,32,64,128")
    parser.add_argument("--batch", type=int, help="of the episodes  [default: half as many as workers]")
    parser.add_argument("--tasks", help="of libero_spatial  [default: all]")
    parser.add_argument("--states", type=int, default=8, help="initial states per task")
    parser.add_argument("--seconds", type=float, default=5.0, help="at least so long per batch size")
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    report = Report("gpu_server", __doc__)
    if options.device == "auto" and not report.machine["gpus"]:
        print("no GPU here, nothing measured; --device cpu measures all the same")
        return
    with tempfile.TemporaryDirectory(prefix="simeval-bench-") as folder:
        scratch = Path(folder)
        policy = options.policy or str(real_smolvla.build(scratch / "real"))
        name = Path(options.policy).name if options.policy else "SmolVLA, 450 M, random weights"
        curve, knee = batches(policy, options, scratch)
        report.table(f"batches: {name} on {curve[0]['device']}", curve)
        report.table("knee", knee)
        batch = options.batch or max(1, options.workers // 2)
        chunks = [int(word) for word in options.chunks.split(",")]
        rows = [episodes(policy, chunk, batch, options, scratch) for chunk in chunks]
        report.table(f"episodes: libero_spatial, {options.assets} scenes, {options.workers} workers", rows)
    report.write(options.out)


if __name__ == "__main__":
    main()
