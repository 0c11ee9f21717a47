"""`simeval run` against `lerobot-eval` 0.6.1: same checkpoint, tasks, initial states, pictures, chunks, cores, threads.

    python tests/benchmarks/against_lerobot_eval.py [--case official-10] [--peer async2] [--tasks 0,2] [--episodes 4]

Both are started as a user would start them, one after the other, `--rounds` times, each with one thread per process for
BLAS and for software OpenGL. `lerobot-eval` runs through `lerobot_peer.py`, which watches it and gives it simeval's
sampling noise. Protocol `lerobot`: 360 px, 280 steps, 10 settling steps, environment seed 1000 + initial state.

"whole" is the command's wall-clock time. "steady" leaves out imports, loading the checkpoint and building scenes:
- simeval: from the start of the first episode to the end of the last, so further scenes, storing and idle tails count;
- lerobot-eval: the sum of its rollouts, the first reset of each task, which builds the scenes, replaced by a later one.

simeval has pinned numerics, its default, and `lerobot-eval` the processor's fastest kernels.

The two do not play the same episodes to the end. With one episode per batch the network gets the same pictures, words
and noise to the last bit, and a state in which one of eight numbers, the hand's rotation, differs in its last bits: it
is worked out in torch there, in numpy here. With that, other kernels and batches of two the first actions differ by
some 1e-7, and contacts amplify that. Single outcomes differ, both ways; each program repeats its own.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from report import PYTHON, ROOT, Memory, Report, environment, unpinned, watch_run

SUITE = "libero_spatial"


@dataclass(frozen=True)
class Case:
    scenes: str
    checkpoint: str
    n_action_steps: int


CASES = {
    "official-10": Case("official", "bundled", 10),
    "official-50": Case("official", "tiny", 50),
    "official-tiny-10": Case("official", "tiny", 10),
    "bundled-10": Case("bundled", "bundled", 10),
}
PEERS = {
    "async2": ("--eval.batch_size=2",),
    "async2-soft": ("--eval.batch_size=2", "--env.hard_reset=false"),
    "single": ("--eval.batch_size=1",),
}
"""Ways to run lerobot-eval on two cores. Its own default here would be a batch of 1. Soft resets are faster and not
exact, by its own documentation. Its `max_parallel_tasks` shares one policy's action queue between threads: unusable."""


@dataclass(frozen=True)
class Episode:
    steps: int
    success: bool
    actions: np.ndarray
    pictures: int


@dataclass(frozen=True)
class Side:
    """One run of one of the two; `episodes` by (task, initial state)."""

    whole: float
    steady: float
    memory: Memory
    episodes: dict[tuple[int, int], Episode]


@dataclass(frozen=True)
class Setting:
    """What both are given."""

    case: Case
    checkpoint: Path
    assets: Path
    tasks: tuple[int, ...]
    episodes: int
    workers: int


def checkpoint(name: str, folder: Path) -> Path:
    """A copy whose text is padded to full length: simeval always does that, lerobot if the checkpoint says so."""
    if name == "tiny":
        subprocess.run([PYTHON, ROOT / "tests" / "support" / "tiny_smolvla.py", folder], env=environment(), check=True)
    elif name == "bundled":
        shutil.copytree(ROOT / "simeval" / "policies" / "bundled" / "checkpoint", folder)
    else:
        shutil.copytree(name, folder)
    steps = folder / "policy_preprocessor.json"
    steps.write_text(steps.read_text().replace('"padding": "longest"', '"padding": "max_length"'))
    return folder


def timed(command: list, log: Path, **options) -> tuple[float, Memory]:
    start = time.perf_counter()
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **options)
        with Memory(process.pid) as memory:
            code = process.wait()
    if code:
        raise SystemExit(f"{command[0]} ended with {code}:\n{log.read_text()[-3000:]}")
    return time.perf_counter() - start, memory


def ours(setting: Setting, folder: Path) -> Side:
    from simeval.store.run import Run

    run = folder / "run"
    watched = watch_run(
        *("--suite", SUITE, "--tasks", ",".join(map(str, setting.tasks))),
        *("--init-states", f"0-{setting.episodes - 1}", "--policy", setting.checkpoint, "--device", "cpu"),
        *("--n-action-steps", setting.case.n_action_steps, "--protocol", "lerobot", "--assets", setting.assets),
        *("--workers", setting.workers, "--out", run),
    )
    episodes, stored = {}, Run.load(run)
    for result in stored.results:
        actions, success = stored.trace(result.spec).actions, result.outcome == "success"
        played = Episode(result.steps, success, actions, result.counts.renders)
        episodes[result.spec.task, result.spec.init_state] = played
    return Side(watched.whole, watched.steady, watched.memory, episodes)


def peers(setting: Setting, options: tuple[str, ...], folder: Path) -> Side:
    from envs.assets import is_bundled
    from envs.libero.files import import_libero

    case = setting.case
    folder.mkdir(parents=True)
    # As stock LIBERO wants it; without this file it asks a question on standard input.
    import_libero()
    told = {"LIBERO_CONFIG_PATH": os.environ["LIBERO_CONFIG_PATH"], "PEER_ASSETS": str(setting.assets)}
    told |= {"PEER_LOG": str(folder), "PEER_NOISE": "1"}
    told |= {"PEER_LIGHT_ROBOT": "1"} if is_bundled(setting.assets) else {}
    command = [PYTHON, ROOT / "tests" / "benchmarks" / "lerobot_peer.py", f"--policy.path={setting.checkpoint}"]
    command += ["--policy.device=cpu", f"--policy.n_action_steps={case.n_action_steps}", "--env.type=libero"]
    command += [f"--env.task={SUITE}", f"--env.task_ids={list(setting.tasks)}", f"--output_dir={folder / 'out'}"]
    command += [f"--eval.n_episodes={setting.episodes}", *options]
    # A checkpoint of ours names its language model's folder relative to itself.
    env = unpinned(environment(**told)) | {"SIMEVAL_NUMERICS": "native"}  # the bundled scenes import our modules
    whole, memory = timed(list(map(str, command)), folder / "log.txt", env=env, cwd=setting.checkpoint)
    rollouts = [json.loads(line) for line in (folder / "rollouts.jsonl").read_text().splitlines()]
    later = [r["reset_seconds"] for i, r in enumerate(rollouts) if i and r["task"] == rollouts[i - 1]["task"]]
    steady, episodes, task = 0.0, {}, None
    for number, rollout in enumerate(rollouts):
        steady += rollout["seconds"]
        if rollout["task"] != task and later:
            steady += median(later) - rollout["reset_seconds"]
        task = rollout["task"]
        actions = np.load(folder / f"actions-{number}.npy")
        for slot, init_state in enumerate(rollout["init_states"]):
            steps = rollout["steps"][slot]
            # Both cameras at every control step, the ten settling ones included.
            played = Episode(steps, rollout["successes"][slot], actions[slot, :steps], 2 * (steps + 10))
            episodes.setdefault((task, init_state), played)
    return Side(whole, steady, memory, episodes)


def speeds(side: Side, cores: int) -> dict[str, float]:
    many, steps = len(side.episodes), sum(episode.steps for episode in side.episodes.values())
    return {
        "ep/min whole": 60 * many / side.whole,
        "ep/min steady": 60 * many / side.steady,
        "start s": side.whole - side.steady,
        "steps/s/core": steps / side.steady / cores,
        "pictures/ep": sum(episode.pictures for episode in side.episodes.values()) / many,
        "CPU s/ep": side.memory.cpu / many,
        "RSS MB": side.memory.rss,
        "PSS MB": side.memory.pss,
    }


def middle(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(row[key] for row in rows) for key in rows[0]}


def agreement(mine: Side, theirs: Side) -> list[dict]:
    """Per episode: outcomes, lengths, how many control steps have equal actions, by how much they differ after that."""
    rows = []
    for (task, init_state), own in sorted(mine.episodes.items()):
        peer = theirs.episodes[task, init_state]
        length = min(own.steps, peer.steps)
        differ = np.abs(own.actions[:length].astype(np.float64) - peer.actions[:length]).max(axis=1)
        where = np.flatnonzero(differ)
        rows.append(
            {
                "episode": f"{task}/init{init_state:02d}",
                "simeval": "success" if own.success else "failure",
                "lerobot": "success" if peer.success else "failure",
                "steps": own.steps,
                "lerobot steps": peer.steps,
                "equal actions": int(where[0]) if len(where) else length,
                "first difference": float(differ[where[0]]) if len(where) else 0.0,
                "largest": float(differ.max()),
            }
        )
    return rows


def measure(report: Report, name: str, options: argparse.Namespace, scratch: Path) -> None:
    from envs.base import EnvError
    from envs.libero.files import resolve_assets

    case = CASES[name]
    try:
        assets = resolve_assets(case.scenes if case.scenes == "bundled" else "cached")
    except EnvError as error:
        print(f"{name} is left out: {error}")
        return
    saved = checkpoint(case.checkpoint, scratch / name / "checkpoint")
    tasks = tuple(map(int, options.tasks.split(",")))
    setting = Setting(case, saved, assets, tasks, options.episodes, options.workers)
    sides: dict[str, list[Side]] = {"simeval": []} | {peer: [] for peer in options.peer}
    for round_ in range(options.rounds):
        sides["simeval"].append(ours(setting, scratch / name / f"simeval{round_}"))
        for peer in options.peer:
            folder = scratch / name / f"{peer}{round_}"
            sides[peer].append(peers(setting, PEERS[peer], folder))
    cores = max(1, options.workers)
    found = {who: middle([speeds(side, cores) for side in runs]) for who, runs in sides.items()}
    rows = [{"": who, **values} for who, values in found.items()]
    title = f"{name}: {case.checkpoint} checkpoint, {case.scenes} scenes, n_action_steps {case.n_action_steps}, "
    title += f"{len(tasks)} tasks x {options.episodes} initial states, median of {options.rounds} rounds"
    report.table(title, rows)
    ratios = []
    for peer in options.peer:
        for kind in ("ep/min whole", "ep/min steady"):
            each = [speeds(a, 1)[kind] / speeds(b, 1)[kind] for a, b in zip(sides["simeval"], sides[peer], strict=True)]
            ratios.append({"simeval /": peer, "in": kind, "median": median(each), "min": min(each), "max": max(each)})
    report.table(f"{name}: how many times faster", ratios)
    for peer in options.peer:
        report.table(f"{name}: the same episodes, simeval and {peer}", agreement(sides["simeval"][0], sides[peer][0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--peer", choices=PEERS, action="append")
    parser.add_argument("--tasks", default="0,2")
    parser.add_argument("--episodes", type=int, default=4, help="initial states per task, from 0")
    parser.add_argument("--workers", type=int, default=2, help="of simeval; also the number of cores")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    options.peer = options.peer or ["async2"]
    report = Report("against_lerobot_eval", __doc__)
    with tempfile.TemporaryDirectory(prefix="simeval-bench-") as scratch:
        for name in options.case or ("official-10", "official-50", "bundled-10"):
            measure(report, name, options, Path(scratch))
    report.write(options.out)


if __name__ == "__main__":
    main()
