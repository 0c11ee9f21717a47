"""What an audit costs beside the policy: `simeval audit` against bare inference for the same number of predictions.

    python tests/benchmarks/audit_overhead.py [--frames 120] [--kind start|replay|dataset] [--workers 1] [--rounds 4]

A run or a dataset (6 episodes of 20 frames, 256 px) is made first, not timed. Then both sides take turns in this
process: the audit of a part of the frames, with everything that belongs to it (of a run, its episodes executed again;
pictures drawn and perturbed, drift, fsynced rows), and `policy.act` on one and the same input, as often, in the same
batches. Printed per part and in all: seconds of the wall clock, of CPU here (all threads) and in the workers, and
how many times bare inference that is. The start of Ray and of the workers, up to a first view from each, is reported
apart and not in the ratios.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from envs.sim.rendering import select_backend

select_backend()

from perturbations.spec import parse_sweep  # noqa: E402  MuJoCo reads its backend when it is imported
from simeval.api import evaluate  # noqa: E402
from simeval.config.evaluation import EvalConfig  # noqa: E402
from simeval.drift.frames.base import ViewRequest  # noqa: E402
from simeval.drift.frames.from_dataset import DatasetFrames  # noqa: E402
from simeval.drift.frames.from_run import RunFrames  # noqa: E402
from simeval.drift.frames.render_pool import renderer_for  # noqa: E402
from simeval.drift.measure import Measurement, keys, measure  # noqa: E402
from simeval.policies.base import Policy, PolicyInput  # noqa: E402
from simeval.policies.registry import PolicyChoice, load_policy  # noqa: E402
from simeval.stats.drift import ActionScale  # noqa: E402
from simeval.store.assets import assets_of  # noqa: E402
from simeval.store.audit import AuditWriter  # noqa: E402

VARIANTS = (
    *("instruction:empty,counterfactual", "brightness:0.4,1.6", "noise:0.12,0.26", "occlusion:0.1,0.3"),
    *("light:0.4", "camera.shift:4", "texture.table:draw", "proprio.noise:0.2"),
)
"""Twelve variants: words, pictures, scenes and state."""
ON_A_DATASET = (*VARIANTS[:4], "contrast:0.4", "saturation:0", "blur.gaussian:3", "proprio.noise:0.2")
"""Twelve that need no simulator."""


class Part:
    """Some of a source's frames, as a source; the scene stays built from part to part."""

    def __init__(self, source: RunFrames | DatasetFrames, frames: tuple) -> None:
        self.identity, self._frames = source.identity, frames
        self.views, self.unsupported_reason = source.views, source.unsupported_reason

    def frames(self):
        return self._frames


@dataclass(frozen=True)
class Cost:
    """Seconds: of the wall clock, of CPU in this process and in the workers."""

    wall: float = 0.0
    here: float = 0.0
    workers: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.here + other.here, self.workers + other.workers)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.here - other.here, self.workers - other.workers)

    def __str__(self) -> str:
        return f"{self.wall:.1f} s (CPU {self.here:.1f}, in workers {self.workers:.1f})"

    def over(self, bare: "Cost") -> str:
        here, workers = self.here / bare.here, self.workers / bare.here
        return f"{self.wall / bare.wall:.2f} times (CPU {here:.2f}, in workers {workers:.2f})"


def now() -> Cost:
    workers = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            workers += sum(child.cpu_times()[:2]) if child.name().startswith("ray::RenderWork") else 0.0
    return Cost(time.perf_counter(), time.process_time(), workers)


def bare(policy: Policy, request: PolicyInput, count: int, batch: int) -> Cost:
    start = now()
    for done in range(0, count, batch):
        policy.act([request] * min(batch, count - done))
    return now() - start


def audited(source, policy: Policy, wanted: Measurement, folder: Path, draw) -> tuple[Cost, int]:
    start = now()
    expected = keys(source.frames(), wanted)
    manifest = {"identity": dict(source.identity)}
    with AuditWriter(folder, manifest, expected) as writer:
        for found in measure(source, policy, wanted, renderer=draw):
            writer.write([one.row for one in found])
    infeasible = (folder / "drift.jsonl").read_text().count('"drift_exec":null')
    return now() - start, wanted.predictions(len(source.frames())) - infeasible


def source_of(wanted: argparse.Namespace, policy: Policy, scratch: Path) -> RunFrames | DatasetFrames:
    if wanted.kind == "dataset":
        sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
        import dataset_fixture

        episodes = dataset_fixture.pictures(frames=20, starts=2, size=256)
        folder = dataset_fixture.write(scratch / "dataset", episodes)
        return DatasetFrames.open(str(folder), policy=policy.spec, max_frames=wanted.frames)
    out = wanted.run or str(scratch / "run")
    run = evaluate(EvalConfig(tasks=wanted.tasks, init_states=wanted.init_states, workers=0, device="cpu", out=out))
    chosen = {"kind": wanted.kind, "per_episode": wanted.per_episode, "max_frames": wanted.frames}
    return RunFrames.open(run, assets_of(run), policy=policy.spec, **chosen)


@contextlib.contextmanager
def drawn(source: RunFrames | DatasetFrames, workers: int):
    """Who draws, ready to."""
    start = now()
    with renderer_for(source, (), workers) as draw:
        if workers:
            frames = source.frames()
            some = [frames[number * len(frames) // workers] for number in range(workers)]
            list(draw([[ViewRequest((frame,), parse_sweep("none")[0], 0)] for frame in some]))
            print(f"{workers} workers: a first view from each after {now() - start}")
        yield draw


def compare(wanted: argparse.Namespace, policy: Policy, source, draw, scratch: Path) -> None:
    """Both sides in turns, a part of the frames each time."""
    frames = source.frames()
    variants = ON_A_DATASET if wanted.kind == "dataset" else VARIANTS
    conditions = tuple(condition for text in variants for condition in parse_sweep(text))
    scale = ActionScale(policy.spec.action_std, policy.spec.n_action_steps)
    protocol = Measurement(conditions, (0,), scale, batch_size=wanted.batch_size)
    request = next(source.views(frames[:1], conditions[2], 0)).request
    if isinstance(source, RunFrames):
        source.close()
    bare(policy, request, 20, wanted.batch_size)
    print(f"{len(frames)} {wanted.kind} frames x {len(conditions)} variants, batch {wanted.batch_size}")
    in_all = Cost(), Cost()
    for number in range(wanted.rounds):
        part = Part(source, tuple(frames[number * len(frames) // wanted.rounds :][: len(frames) // wanted.rounds]))
        took, count = audited(part, policy, protocol, scratch / f"audit{number}", draw)
        alone = bare(policy, request, count, wanted.batch_size)
        in_all = in_all[0] + alone, in_all[1] + took
        print(f"{count} predictions: bare {alone}, audit {took}: {took.over(alone)}", flush=True)
    print(f"in all: {in_all[1].over(in_all[0])} bare inference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--kind", choices=["start", "replay", "dataset"], default="replay")
    parser.add_argument("--per-episode", type=int, default=8)
    parser.add_argument("--workers", type=int, default=0, help="that draw; 0 renders in this process")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--tasks", default="0-2")
    parser.add_argument("--init-states", default="0-4", help="of each task")
    parser.add_argument("--run", help="folder of the run; made if it is not there")
    wanted = parser.parse_args()
    policy = load_policy(PolicyChoice("bundled", "cpu", batch_size=wanted.batch_size))
    with tempfile.TemporaryDirectory() as scratch:
        source = source_of(wanted, policy, Path(scratch))
        with drawn(source, wanted.workers) as draw:
            compare(wanted, policy, source, draw, Path(scratch))


if __name__ == "__main__":
    main()
