"""What a user waits for: start-up of every verb, of a run until its first finished episode, and a worker's memory.

    python tests/benchmarks/startup.py [--rounds 5] [--rows 100000] [--quick]

Each command is started afresh. The best of the rounds is what the machine can do, the median what it did beside
whatever else ran. `--quick` leaves out Ray and LIBERO.
"""

import argparse
import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from report import SIMEVAL, Report, Watched, environment, scenes_here, watch_run

TARGETS = {
    "--help": 0.3,
    "show, {rows} rows": 3.0,
    "run on toy, this process, first episode": 1.5,
    "run on toy, 2 workers, first episode": 4.0,
}
TOY = ("--suite", "toy", "--tasks", "0", "--init-states", "0-3")
WORKER_MB = 450


def many_rows(small: Path, folder: Path, rows: int) -> None:
    """A finished run with so many episodes, under the manifest of a small one."""
    import numpy as np

    from simeval.core.types import Counts, EpisodeResult, EpisodeSpec, Timings

    conditions = ("none", *(f"noise:{level:g}" for level in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)))
    repeats = max(1, -(-rows // (4 * 50 * len(conditions))))
    manifest = json.loads((small / "manifest.json").read_text())
    layout = {"toy": {"tasks": [*range(4)], "init_states": [*range(50)], "left_out": {}}}
    manifest |= {"conditions": list(conditions), "episodes": rows, "layout": layout}
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rng, written = np.random.default_rng(0), 0
    with (folder / "episodes.jsonl").open("w") as file:
        for task in range(4):
            for init_state in range(50):
                for repeat in range(repeats):
                    for level, condition in enumerate(conditions):
                        if written == rows:
                            return
                        spec = EpisodeSpec("toy", task, init_state, condition, repeat, 0, 0, 60, 2, 64)
                        won = bool(rng.random() < 0.9 - 0.08 * level)
                        steps = int(rng.integers(10, 60))
                        outcome, first = ("success", steps) if won else ("failure", None)
                        result = EpisodeResult(
                            spec,
                            outcome,
                            steps=steps,
                            first_success=first,
                            reached="original" if won else "neither",
                            instruction="go to the red block",
                            timings=Timings(0.01, 0.1, 0.05, 0.01, 0.02),
                            counts=Counts(steps, steps // 5, steps // 10, steps // 5, 0),
                            state_digest=f"{written:016x}",
                            first_hit=first,
                        )
                        file.write(json.dumps(result.row()) + "\n")
                        written += 1


def once(*words: object) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a command."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([SIMEVAL, *map(str, words)], capture_output=True, text=True, env=environment(), check=False)
    if done.returncode:
        raise SystemExit(f"simeval {' '.join(map(str, words))}: {done.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def verbs(options: argparse.Namespace, scratch: Path) -> dict[str, tuple]:
    """Every verb with a request that needs no simulator, or a small one."""
    small, large = scratch / "small", scratch / "large"
    once("run", *TOY, "--perturb", "noise:0.3", "--workers", "0", "--out", small)
    many_rows(small, large, options.rows)
    found = {
        "--help": ("--help",),
        "run --help": ("run", "--help"),
        "plan, 500 episodes": ("plan",),
        "plan, 22 000 episodes": ("plan", "--perturb", "noise:0.01", "--repeats", "22"),
        "list suites": ("list", "suites"),
        "list perturbations": ("list", "perturbations"),
        "show, 8 rows": ("show", small),
        f"show, {options.rows} rows": ("show", large),
        "video, one episode": ("video", small, "--limit", "1", "--size", "64"),
        "run, already finished": ("run", *TOY, "--perturb", "noise:0.3", "--workers", "0", "--out", small),
    }
    return found if not options.quick else {name: found[name] for name in ("--help", f"show, {options.rows} rows")}


def first_episodes(options: argparse.Namespace, scratch: Path) -> dict[str, list[tuple[float, float]]]:
    # The CPU time is that of the whole command, all its episodes included.
    found: dict[str, list[tuple[float, float]]] = {}
    counts = (0,) if options.quick else (0, 2)
    for round_ in range(options.rounds):
        for count in counts:
            where = f"{count} workers" if count else "this process"
            watched = watch_run(*TOY, "--workers", count, "--out", scratch / f"first{count}-{round_}")
            found.setdefault(f"run on toy, {where}, first episode", []).append((watched.first, watched.memory.cpu))
    return found


def memory_rows(scratch: Path) -> list[dict]:
    """Workers that render, with the policy in an actor of its own and inside the worker; both kinds of scenes.

    What a further worker takes is what three take more than one, by half: libraries that they share count once.
    """
    rows = []
    for scenes, assets in scenes_here():
        for inference in ("actor", "worker"):
            words = ("--assets", assets, "--device", "cpu", "--inference", inference)
            one, three = (
                _rolling(count, *words, "--out", scratch / f"{scenes}-{inference}-{count}") for count in (1, 3)
            )
            rows.append(
                {
                    "scenes": scenes,
                    "policy in": inference,
                    "worker RSS MB": one.memory.worker_rss,
                    "worker PSS MB": one.memory.worker_pss,
                    "all RSS MB": one.memory.rss,
                    "all PSS MB": one.memory.pss,
                    "a further worker MB": (three.memory.pss - one.memory.pss) / 2,
                    "first episode s": one.first,
                }
            )
    return rows


def _rolling(workers: int, *words: object) -> Watched:
    # Two tasks for each worker, so that a second scene has followed the first, and all of them draw at the same time.
    tasks = ",".join(str(task) for task in range(2 * workers))
    common = ("--suite", "libero_spatial", "--tasks", tasks, "--init-states", "0-1", "--policy", "bundled")
    return watch_run(*common, "--workers", workers, *words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="episodes of the large run folder")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    report = Report("startup", __doc__)
    with tempfile.TemporaryDirectory(prefix="simeval-bench-") as folder:
        scratch = Path(folder)
        commands = verbs(options, scratch)
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, words in commands.items():
                took[name].append(once(*words))
        took |= first_episodes(options, scratch)
        targets = {name.format(rows=options.rows): seconds for name, seconds in TARGETS.items()}
        rows = [
            {
                "command": name,
                "best s": min(wall for wall, _ in each),
                "median s": median(wall for wall, _ in each),
                "CPU s": min(cpu for _, cpu in each),
                "target s": targets.get(name),
            }
            for name, each in took.items()
        ]
        report.table(f"start-up, {options.rounds} rounds", rows)
        if not options.quick:
            report.table(
                f"memory of a rollout worker (target: {WORKER_MB} MB without the policy)", memory_rows(scratch)
            )
    report.write(options.out)


if __name__ == "__main__":
    main()
