"""Where an episode's time goes, held against the bare limit; scaling over workers.

    python tests/benchmarks/cost_breakdown.py [--suite libero_spatial] [--assets bundled] [--tasks 0,2] [--episodes 20]

The limit of an episode is what it cannot do without: the calls of MuJoCo of its control steps (settling included), from
compiled code with nothing between them; the renderer's calls for an image of each camera where the policy looked; the
network's forward passes with their tensors ready. The replay checks that it does the same work: the same actions in,
bit-identical states and chunks out, and the same state after MuJoCo's calls alone. Restoring the scene at a reset is
not in the limit. Each part of the product is timed beside its limit, episode by episode, so that both see the same
machine.

efficiency = limit / (steady wall-clock time x processes). With more than one worker the machine itself may slow down
(shared caches, hyper-threads): so the limit is also taken with as many bare processes at once. Suites that are not
LIBERO's have no recorded calls: their own steps and images count as the limit, and so do policies without a network.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from report import PYTHON, Report, Watched, environment, watch_run

if TYPE_CHECKING:
    from bare_calls import Network

PARTS = ("reset", "physics", "render", "perturb", "inference")
TIMED = (
    *("reset", "settling", "step", "render", "inference"),
    *("settling calls", "calls", "decompositions", "predicates", "draw", "network"),
)
clock = time.perf_counter


# -- the bare limit, in a process of its own --------------------------------------------------------------------------


def bare(folder: Path, shard: int, shards: int) -> None:
    """Replay a share of a run's episodes; waits for a line before it starts and prints what each part took."""
    from bare_calls import network

    from envs.build import EnvCache
    from simeval.config.evaluation import from_mapping
    from simeval.config.preflight import policy_choice
    from simeval.policies.registry import load_policy
    from simeval.store.assets import assets_of
    from simeval.store.run import Run

    run = Run.load(folder)
    policy = load_policy(policy_choice(from_mapping(run.manifest["config"])))
    envs = EnvCache(assets_of(run))
    mine = [result for i, result in enumerate(run.results) if i * shards // len(run.results) == shard]
    first = mine[0].spec
    envs.get(first.suite, first.task, first.resolution)
    passes = network(policy)
    print("ready", flush=True)
    sys.stdin.readline()
    parts: Counter[str] = Counter()
    for result in mine:
        env = envs.get(result.spec.suite, result.spec.task, result.spec.resolution)
        if not env.renders:  # the first image also makes the scene's OpenGL context
            env.reset(result.spec)
            env.observe(policy.spec.cameras)
        replay(result, run.trace(result.spec), env, Replayed(policy, passes, parts))
    print(json.dumps({"episodes": len(mine), **parts}), flush=True)


@dataclass(frozen=True)
class Replayed:
    """What replays share: the policy, its network alone, and the seconds of each part."""

    policy: object
    network: "Network | None"
    parts: Counter


def replay(result, trace, env, shared: Replayed) -> None:
    from simeval.core.seeding import PairStreams
    from simeval.policies.base import PolicyInput

    spec, parts, policy = result.spec, Counter(), shared.policy
    seeds = [PairStreams.of(spec).policy_seed(i) for i in range(len(trace.chunks))]
    begin = clock()
    env.reset(spec)
    parts["reset"] += clock() - begin
    before = 0
    ends = [*map(int, trace.chunk_steps[1:]), len(trace.actions)]
    for index, end in enumerate(ends):
        begin = clock()
        observation = env.observe(policy.spec.cameras)
        looked = clock()
        request = PolicyInput(observation, trace.instruction, spec.pair_id, index, seeds[index])
        (chunk,) = policy.act([request])
        asked = clock()
        done = env.step(trace.actions[before:end])
        parts["step"] += clock() - asked
        parts["inference"] += asked - looked
        parts["render"] += looked - begin
        parts["network"] += shared.network.again() if shared.network else asked - looked
        if not (
            np.array_equal(done.states, trace.states[before + 1 : end + 1])
            and np.array_equal(chunk, trace.chunks[index])
        ):
            raise SystemExit(f"{spec.id}: the replay is not the episode, after control step {before}")
        before = end
    parts.update(
        alone(spec, trace, env, policy) if hasattr(env, "world") else {"calls": parts["step"], "draw": parts["render"]}
    )
    settling = spec.settle_steps / len(trace.actions)
    shared.parts.update(parts)
    shared.parts.update({"settling": settling * parts["step"], "settling calls": settling * parts["calls"]})


def alone(spec, trace, env, policy) -> Counter:
    """The same episode once more: seconds of the calls of MuJoCo and of the renderer, and of parts of the steps."""
    from bare_calls import Motion, draw

    env.reset(spec)
    motion, drawn, before = Motion(env), 0.0, 0
    for end in [*map(int, trace.chunk_steps[1:]), len(trace.actions)]:
        env.observe(policy.spec.cameras)
        drawn += draw(env, policy.spec.cameras)
        motion.step(trace.actions[before:end])
        before = end
    return motion.seconds + Counter({"draw": drawn})


def limits(folder: Path, processes: int) -> dict[str, float]:
    """Seconds per episode of each part of the limit, with so many bare processes at once."""
    command = [PYTHON, __file__, "--bare", str(folder)]
    started = [
        subprocess.Popen(
            [*command, str(shard), str(processes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for shard in range(processes)
    ]
    for process in started:
        if process.stdout.readline() != "ready\n":
            raise SystemExit("the bare loop did not start")
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    many = sum(each["episodes"] for each in found)
    parts = {name: sum(each.get(name, 0.0) for each in found) / many for name in TIMED}
    return parts | {"total": sum(parts[name] for name in ("settling calls", "calls", "draw", "network"))}


# -- the same with the harness ----------------------------------------------------------------------------------------


def per_episode(watched: Watched, processes: int) -> dict[str, float]:
    """Seconds per episode, times the number of processes: what a core spends on it."""
    many = len(watched.rows)
    parts = {name: sum(row["timings"][name] for row in watched.rows) / many for name in PARTS}
    total = watched.steady * processes / many
    return parts | {"rest": total - sum(parts.values()), "total": total}


def bookkeeping(folder: Path, scratch: Path) -> dict[str, float]:
    """Milliseconds per episode to pack its trace, to send it to another process and to store it."""
    from simeval.store.run import Run, RunWriter

    run = Run.load(folder)
    episodes = [(result, run.trace(result.spec)) for result in run.results]
    n = len(run.results)
    begin = clock()
    packed = [(result, trace.packed()) for result, trace in episodes]
    middle = clock()
    sent = [pickle.loads(pickle.dumps(item)) for item in packed]
    last = clock()
    with RunWriter(scratch / "copy", run.manifest) as writer:
        opened = clock()
        for result, trace in sent:
            writer.write(result, trace)
        stored = clock()
    return {
        "pack ms": 1e3 * (middle - begin) / n,
        "send ms": 1e3 * (last - middle) / n,
        "store ms": 1e3 * (stored - opened) / n,
    }


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="libero_spatial")
    parser.add_argument("--assets", default="bundled")
    parser.add_argument("--policy", default="bundled")
    parser.add_argument("--device", default="auto", help="of the policy")
    parser.add_argument("--tasks", default="0,2")
    parser.add_argument("--episodes", type=int, default=20, help="initial states per task, from 0")
    parser.add_argument("--workers", default="0,1,2", help="numbers of workers; 0 is without Ray")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", help="JSON file")
    return parser.parse_args()


@dataclass(frozen=True)
class Measured:
    """All rounds: runs by number of workers, limits by number of processes, and the writer's work alone."""

    runs: dict[int, list[Watched]]
    bounds: dict[int, list[dict[str, float]]]
    books: dict[str, float]


def measure(options: argparse.Namespace) -> Measured:
    counts = [int(word) for word in options.workers.split(",")]
    words = ["--suite", options.suite, "--tasks", options.tasks, "--init-states", f"0-{options.episodes - 1}"]
    words += ["--policy", options.policy, "--device", options.device]
    words += ["--assets", options.assets] if options.suite != "toy" else []
    runs: dict[int, list[Watched]] = {count: [] for count in counts}
    bounds: dict[int, list[dict[str, float]]] = {processes: [] for processes in sorted({1, *counts} - {0})}
    with tempfile.TemporaryDirectory(prefix="simeval-bench-") as folder:
        scratch = Path(folder)
        for round_ in range(options.rounds):
            for count in counts:
                run = scratch / f"round{round_}-workers{count}"
                runs[count].append(watch_run(*words, "--workers", count, "--out", run))
            for processes in bounds:
                bounds[processes].append(limits(run, processes))
        return Measured(runs, bounds, bookkeeping(run, scratch))


def breakdown(report: Report, title: str, found: Measured) -> None:
    rows = []
    for processes, rounds in found.bounds.items():
        each = medians(rounds)
        row = {"ms per episode": f"{processes} at once", "physics + settling": each["calls"] + each["settling calls"]}
        row |= {"render": each["draw"], "inference": each["network"], "total": each["total"]}
        rows.append({name: 1e3 * value if isinstance(value, float) else value for name, value in row.items()})
    report.table(f"bare limit: {title}", rows)
    report.table(f"parts against their limits, one process: {title}", against(medians(found.bounds[1])))
    rows = []
    for count, runs in found.runs.items():
        each = medians([per_episode(watched, max(1, count)) for watched in runs])
        rows.append(
            {"ms of a core per episode": f"workers {count}"} | {k: 1e3 * each[k] for k in (*PARTS, "rest", "total")}
        )
    report.table(f"measured (reset includes settling; rest: transfer, store, more scenes, idle): {title}", rows)
    report.table("of the rest, taken alone, per episode", [found.books])


def against(each: dict[str, float]) -> list[dict]:
    """Each part of an episode beside its limit, both from one process, and what the difference is."""
    steps = each["step"] - each["calls"]
    other = steps - each["decompositions"] - each["predicates"]
    pairs = {
        "control steps": ("step", "calls"),
        "settling": ("settling", "settling calls"),
        "images": ("render", "draw"),
        "chunks": ("inference", "network"),
    }
    rows = [
        {
            "ms per episode": name,
            "product": 1e3 * each[ours],
            "limit": 1e3 * each[bare],
            "limit / product": each[bare] / each[ours],
        }
        for name, (ours, bare) in pairs.items()
        if each[ours]
    ]
    differences = {
        "of a control step: robosuite's decompositions": each["decompositions"],
        "of a control step: goals and what objects do": each["predicates"],
        "of a control step: the rest of the controller, traces, Python": other,
        "of a reset: all but settling": each["reset"] - each["settling"],
    }
    return rows + [{"ms per episode": name, "product": 1e3 * seconds} for name, seconds in differences.items()]


def efficiency(report: Report, found: Measured) -> None:
    rows, alone = [], [bound["total"] for bound in found.bounds[1]]
    single = found.runs.get(1, found.runs.get(0))
    for count, runs in found.runs.items():
        many, processes = len(runs[0].rows), max(1, count)
        cost = [per_episode(watched, processes)["total"] for watched in runs]
        together = [bound["total"] for bound in found.bounds[processes]]
        row = {"": f"workers {count}"}
        row |= {"ep/min steady": median(60 * many / watched.steady for watched in runs)}
        row |= {"ep/min whole": median(60 * many / watched.whole for watched in runs)}
        if single:
            row |= {"x one worker": median(a.steady / b.steady for a, b in zip(single, runs, strict=True))}
        row |= {"limit / measured": median(a / b for a, b in zip(alone, cost, strict=True))}
        row |= {"of the limit, as many at once": median(a / b for a, b in zip(together, cost, strict=True))}
        row |= {"CPU s/ep": median(watched.memory.cpu / many for watched in runs)}
        rows.append(row | {"peak RSS MB": max(watched.memory.rss for watched in runs)})
    report.table("efficiency per core and scaling", rows)


def main() -> None:
    if sys.argv[1:2] == ["--bare"]:
        return bare(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    options = arguments()
    report = Report("cost_breakdown", __doc__)
    found = measure(options)
    episodes = len(next(iter(found.runs.values()))[0].rows)
    title = f"{options.suite}, {options.policy} policy, {episodes} episodes, median of {options.rounds} rounds"
    breakdown(report, title, found)
    efficiency(report, found)
    report.write(options.out)
    return None


if __name__ == "__main__":
    main()
