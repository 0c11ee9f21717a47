"""What an audit costs beside the policy: `simeval audit` against bare inference for the same number of predictions.

    python tests/benchmarks/audit_overhead.py [--frames 120] [--kind start|replay|dataset] [--rounds 4]

A run or a dataset (6 episodes of 20 frames, 256 px) is made first, not timed. Then both sides take turns in this
process: the audit of a part of the frames, with everything that belongs to it (of a run, its episodes executed again;
pictures drawn and perturbed, drift, fsynced rows), and `policy.act` on one and the same input, as often, in the same
batches. Printed per part and in all: seconds of the wall clock and of all threads' CPU, and the ratios.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from envs.rendering import select_backend

select_backend()

from perturbations.spec import parse_sweep  # noqa: E402  MuJoCo reads its backend when it is imported
from simeval.api import assets_of, evaluate  # noqa: E402
from simeval.audit.dataset_frames import DatasetFrames  # noqa: E402
from simeval.audit.folder import AuditWriter  # noqa: E402
from simeval.audit.measure import Measurement, keys, measure  # noqa: E402
from simeval.audit.run_frames import RunFrames  # noqa: E402
from simeval.config import EvalConfig  # noqa: E402
from simeval.policies.base import Policy, PolicyInput  # noqa: E402
from simeval.policies.registry import PolicyChoice, load_policy  # noqa: E402
from simeval.stats.drift import ActionScale  # noqa: E402

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
        self.views, self.why_not = source.views, source.why_not

    def frames(self):
        return self._frames


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - start[0], time.process_time() - start[1]


def bare(policy: Policy, request: PolicyInput, count: int, batch: int) -> tuple[float, float]:
    start = clocks()
    for done in range(0, count, batch):
        policy.act([request] * min(batch, count - done))
    return since(start)


def audited(source, policy: Policy, wanted: Measurement, folder: Path) -> tuple[tuple[float, float], int]:
    start = clocks()
    expected = keys(source.frames(), wanted)
    manifest = {"identity": dict(source.identity)}
    with AuditWriter(folder, manifest, expected) as writer:
        for found in measure(source, policy, wanted):
            writer.write([one.row for one in found])
    infeasible = (folder / "drift.jsonl").read_text().count('"drift_exec":null')
    return since(start), wanted.predictions(len(source.frames())) - infeasible


def source_of(wanted: argparse.Namespace, policy: Policy, scratch: Path) -> RunFrames | DatasetFrames:
    if wanted.kind == "dataset":
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from audit import dataset_fixture

        episodes = dataset_fixture.pictures(frames=20, starts=2, size=256)
        folder = dataset_fixture.write(scratch / "dataset", episodes)
        return DatasetFrames.open(str(folder), policy=policy.spec, max_frames=wanted.frames)
    out = wanted.run or str(scratch / "run")
    run = evaluate(EvalConfig(tasks=wanted.tasks, init_states=wanted.init_states, workers=0, device="cpu", out=out))
    chosen = {"kind": wanted.kind, "per_episode": wanted.per_episode, "max_frames": wanted.frames}
    return RunFrames.open(run, assets_of(run), policy=policy.spec, **chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--kind", choices=["start", "replay", "dataset"], default="replay")
    parser.add_argument("--per-episode", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--tasks", default="0-2")
    parser.add_argument("--init-states", default="0-4", help="of each task")
    parser.add_argument("--run", help="folder of the run; made if it is not there")
    wanted = parser.parse_args()
    policy = load_policy(PolicyChoice("bundled", "cpu", batch_size=wanted.batch_size))
    with tempfile.TemporaryDirectory() as scratch:
        source = source_of(wanted, policy, Path(scratch))
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
        total = [[0.0, 0.0], [0.0, 0.0]]
        for number in range(wanted.rounds):
            part = Part(source, tuple(frames[number * len(frames) // wanted.rounds :][: len(frames) // wanted.rounds]))
            took, count = audited(part, policy, protocol, Path(scratch) / f"audit{number}")
            alone = bare(policy, request, count, wanted.batch_size)
            for clock in range(2):
                total[0][clock] += alone[clock]
                total[1][clock] += took[clock]
            print(
                f"{count} predictions: bare {alone[0]:.1f} s (CPU {alone[1]:.1f}), audit {took[0]:.1f} s "
                f"(CPU {took[1]:.1f}), ratio {took[0] / alone[0]:.2f} (CPU {took[1] / alone[1]:.2f})",
                flush=True,
            )
        (wall, cpu), (audit_wall, audit_cpu) = total
        print(f"in all: wall clock {audit_wall / wall:.2f} times bare inference, CPU {audit_cpu / cpu:.2f} times")


if __name__ == "__main__":
    main()
