"""Fine-tune several recipes with several seeds, side by side: `python -m examples.finetune.sweep --recipes flow l1`.

Each fine-tune has a folder RECIPE-SEED in --out. The same command resumes: what is finished is left alone. The
demonstrations are read once, before the processes split. One fine-tune that fails does not stop the others.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.finetune.train import make_parser, prepare, save_dtype, settings_from

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from examples.finetune.demos import Demonstrations
    from examples.finetune.training import Settings

    Shared = tuple[Demonstrations, NDArray[np.uint8]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all of them; returns 1 if one failed."""
    parser = make_parser("python -m examples.finetune.sweep", __doc__)
    parser.add_argument("--recipes", nargs="+", required=True, help="recipes, for instance flow flow+contrast l1")
    parser.add_argument("--seeds", default="0,1,2", help="seeds [0,1,2]")
    parser.add_argument("--jobs", type=int, default=1, help="fine-tunes side by side [1]")
    options = parser.parse_args(arguments)
    # Asking whether there is a GPU would otherwise start CUDA, and processes that split off later could not use it.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    prepare(options)
    from simeval.core.errors import ConfigError

    try:
        if not all(seed.strip().isdigit() for seed in options.seeds.split(",")):
            raise ValueError(f"--seeds is '{options.seeds}'; write numbers with commas: 0,1,2")
        seeds = [int(seed) for seed in options.seeds.split(",")]
        wanted = [settings_from(options, recipe, seed) for seed in seeds for recipe in options.recipes]
        todo = [one for one in wanted if not (folder_of(options.out, one) / "model.safetensors").is_file()]
        print(f"{len(wanted) - len(todo)} of {len(wanted)} are finished", flush=True)
        failed = _run(todo, options) if todo else []
    except (ConfigError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for folder in failed:
        print(f"error: {folder} failed; {folder}/training/output.txt says why", file=sys.stderr)
    return 1 if failed else 0


def folder_of(out: Path, settings: "Settings") -> Path:
    """The folder of one fine-tune, for instance `OUT/flow_contrast-0`."""
    return out / f"{settings.recipe.file_name}-{settings.seed}"


def _run(todo: Sequence["Settings"], options: argparse.Namespace) -> list[Path]:
    """Train, at most `--jobs` at a time; returns the folders of those that failed."""
    # Imported and read here, so that all processes share them. None of it may start CUDA or threads before the split.
    from examples.finetune.training import Training  # noqa: F401

    begun = time.monotonic()
    shared: Shared | None = _read(options.demos)
    context: Any = multiprocessing.get_context("fork")
    if not _can_split(options.device):
        print("CUDA had been started here: every fine-tune reads the demonstrations for itself", flush=True)
        context, shared = multiprocessing.get_context("spawn"), None
    print(f"demonstrations read in {time.monotonic() - begun:.0f} s", flush=True)
    waiting, running, failed = list(todo), dict[Path, BaseProcess](), list[Path]()
    while waiting or running:
        while waiting and len(running) < options.jobs:
            settings = waiting.pop(0)
            folder = folder_of(options.out, settings)
            running[folder] = context.Process(target=_one, args=(folder, settings, shared, options), daemon=True)
            running[folder].start()
        for folder, process in list(running.items()):
            process.join(timeout=0.2)
            if process.exitcode is not None:
                del running[folder]
                failed += [folder] if process.exitcode else []
                outcome = "failed" if process.exitcode else "finished"
                print(f"{time.monotonic() - begun:6.0f} s  {folder.name} {outcome}", flush=True)
    return failed


def _read(file: Path) -> "Shared":
    """The demonstrations, and a permitted view of each frame."""
    from examples.finetune.demos import load_demonstrations
    from examples.finetune.frames import views_of

    demonstrations = load_demonstrations(file)
    return demonstrations, views_of(demonstrations)


def _can_split(device: str) -> bool:
    """Whether a process that splits off from this one can use the device."""
    if device == "cpu":
        return True
    probe = multiprocessing.get_context("fork").Process(target=_use, args=(device,))
    probe.start()
    probe.join()
    return bool(probe.exitcode == 0)


def _use(device: str) -> None:
    """Use the device once."""
    import torch

    torch.ones(1, device="cuda" if device == "auto" else device)


def _one(folder: Path, settings: "Settings", shared: "Shared | None", options: argparse.Namespace) -> None:
    """One fine-tune, in a process of its own; what it prints goes to a file."""
    prepare(options)
    from examples.finetune.training import Training

    (folder / "training").mkdir(parents=True, exist_ok=True)
    said = (folder / "training" / "output.txt").open("a")  # until the process ends, with its last words
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    sys.stdout = sys.stderr = said
    demonstrations, views = shared or _read(options.demos)
    training = Training(folder, settings, demonstrations, views=views, device=options.device)
    training.run(keep=options.keep, save_dtype=save_dtype(options))


if __name__ == "__main__":
    sys.exit(main())
