"""Make the bundled policy: `python -m simeval.policies.bundled.train collect|fit|export`.

    collect --data DIR --episodes 600                     the expert's demonstrations
    fit --data DIR --run DIR --steps 9000                 train; may be stopped and started again at any time
    collect --data DIR --episodes 400 --policy RUN/export --first-seed 100000
                                                          the policy drives part of the time, the expert corrects
    export --run DIR --out FOLDER                         write the checkpoint

`collect` may run in several processes at once (`--part 0/2`, `--part 1/2`) and beside `fit`, which takes in new
recordings as they come. Nothing is written outside the folders named.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envs.libero.env import LiberoEnv

FIRST_SEED = 7_000_000
"""Added to every recording's number. Evaluation draws nothing from this stream."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the verbs; returns the exit code."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    verbs = {"collect": _collect, "fit": _fit, "export": _export}
    verbs[options.verb](options)
    return 0


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m simeval.policies.bundled.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for torch [1]")
    verbs = parser.add_subparsers(dest="verb", required=True)
    collect = verbs.add_parser("collect", help="record demonstrations")
    collect.add_argument("--data", type=Path, required=True, help="folder for the recordings")
    collect.add_argument("--suites", nargs="+", default=["libero_spatial"], help="suites [libero_spatial]")
    collect.add_argument("--tasks", type=int, nargs="+", help="tasks of them [all that the expert can do]")
    collect.add_argument("--episodes", type=int, required=True, help="recordings to make, over all tasks")
    collect.add_argument("--first-seed", type=int, default=0, help="number of the first recording [0]")
    collect.add_argument("--part", default="0/1", help="this process' share, for instance 0/2 [0/1]")
    collect.add_argument("--edge", type=int, choices=(128, 256), default=128, help="side of the images (px) [128]")
    collect.add_argument("--policy", type=Path, help="checkpoint that drives part of the time")
    fit = verbs.add_parser("fit", help="train")
    fit.add_argument("--data", type=Path, required=True, help="folder with the recordings")
    fit.add_argument("--run", type=Path, required=True, help="folder of this training run")
    fit.add_argument("--steps", type=int, default=9000, help="optimiser steps in all [9000]")
    fit.add_argument("--batch", type=int, default=64, help="observations per step [64]")
    fit.add_argument("--rate", type=float, default=1e-3, help="learning rate [0.001]")
    fit.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    fit.add_argument("--start-from", type=Path, help="checkpoint whose weights a new run begins with")
    fit.add_argument("--rescale", action="store_true", help="scale by the recordings at hand, not as that checkpoint")
    export = verbs.add_parser("export", help="write the checkpoint")
    export.add_argument("--run", type=Path, required=True, help="folder of the training run")
    export.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    return parser


def _collect(options: argparse.Namespace) -> None:
    from envs.sim.rendering import select_backend

    select_backend()
    from simeval.policies.bundled import demonstrations
    from simeval.policies.lerobot import load

    part, parts = (int(number) for number in options.part.split("/"))
    options.data.mkdir(parents=True, exist_ok=True)
    policy = load(str(options.policy), device="cpu") if options.policy else None
    known = [task for suite in options.suites for task in demonstrations.supported_tasks(suite)]
    chosen = [task for task in known if options.tasks is None or task.index in options.tasks]
    if not chosen:
        _parser().error("collect --tasks: the expert can do none of them")
    scenes: dict[str, LiberoEnv] = {}
    made, given_up, begun = 0, 0, time.monotonic()
    for number in range(options.first_seed + part, options.first_seed + options.episodes, parts):
        # A number's task must not depend on the parts: a call with others would record everything again.
        task = chosen[number % len(chosen)]
        file = options.data / f"{task.suite}-{task.index}-{number:06d}.npz"
        if file.exists():
            continue
        if task.name not in scenes:
            scenes[task.name] = demonstrations.bundled_scene(task)
        episode = demonstrations.collect_demos(scenes[task.name], FIRST_SEED + number, policy, edge=options.edge)
        if episode is None:
            given_up += 1
            continue
        demonstrations.write(episode, file)
        made += 1
        if made % 20 == 0:
            rate = made / (time.monotonic() - begun)
            print(f"{made} recorded, {given_up} given up, {60 * rate:.0f} per minute", flush=True)


def _fit(options: argparse.Namespace) -> None:
    import torch

    from simeval.policies.bundled.fitting import Settings, Trainer

    torch.set_num_threads(options.threads)
    settings = Settings(steps=options.steps, batch=options.batch, rate=options.rate)
    fit = Trainer(options.run, options.data, settings, start_from=options.start_from, rescale=options.rescale)
    fit.run(seconds=options.seconds)


def _export(options: argparse.Namespace) -> None:
    shutil.copytree(options.run / "export", options.out, dirs_exist_ok=True)


if __name__ == "__main__":
    sys.exit(main())
