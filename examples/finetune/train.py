"""Fine-tune a SmolVLA: `python -m examples.finetune.train --recipe flow+contrast --demos FILE --out DIR`.

The folder ends as a checkpoint: `simeval run --policy DIR`. The same command resumes after a kill.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.finetune.recipes import parse_recipe, parse_weights

if TYPE_CHECKING:
    from examples.finetune.training import Settings

DTYPES = ("float32", "bfloat16")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one recipe with one seed; returns the exit code."""
    parser = make_parser("python -m examples.finetune.train", __doc__)
    parser.add_argument(
        "--recipe", required=True, help="flow, l1, frozen or lora, and +contrast, +consistency, +augment, +align"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random [0]")
    options = parser.parse_args(arguments)
    prepare(options)
    from simeval.core.errors import ConfigError

    try:
        settings = settings_from(options, options.recipe, options.seed)
        from examples.finetune.demos import load_demonstrations
        from examples.finetune.frames import views_of
        from examples.finetune.training import Training

        if not (options.out / "model.safetensors").is_file():
            demonstrations = load_demonstrations(options.demos)
            training = Training(
                options.out, settings, demonstrations, views=views_of(demonstrations), device=options.device
            )
            training.run(keep=options.keep, save_dtype=save_dtype(options))
    except (ConfigError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {settings.recipe}, seed {settings.seed}, {settings.steps} steps")
    return 0


def make_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """The options that one fine-tune and a sweep of them share."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", default="bundled", help="starting checkpoint: name, folder or hub id [bundled]")
    parser.add_argument("--demos", type=Path, required=True, help="file of demonstrations that collect wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint, or of all of a sweep")
    parser.add_argument("--steps", type=int, default=1500, help="optimiser steps [1500]")
    parser.add_argument("--batch", type=int, default=32, help="samples per step [32]")
    parser.add_argument("--draws", type=int, default=3, help="noisy chunks per sample [3]")
    parser.add_argument("--share", type=float, default=0.5, help="fraction of the samples that is regularised [0.5]")
    parser.add_argument("--rate", type=float, default=5e-4, help="largest learning rate [0.0005]")
    parser.add_argument("--weights", default="", help="contrast=0.5,consistency=10,augment=1,align=0.2,margin=0.5")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto [cpu]")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    parser.add_argument("--save-dtype", choices=DTYPES, default=DTYPES[0], help="of the saved weights [float32]")
    parser.add_argument("--keep", type=int, default=100, help="steps between states to resume from [100]")
    parser.add_argument("--threads", type=int, default=1, help="threads for torch [1]")
    return parser


def prepare(options: argparse.Namespace) -> None:
    """Set what torch reads when it is loaded or first used."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Kernels that are the same on every processor are for evaluation; they would take three times as long here. Where
    # simeval is loaded, it is too late to choose, and other parts of the process read the variable.
    if "simeval" not in sys.modules:
        os.environ.setdefault("SIMEVAL_NUMERICS", "native")
    import simeval  # noqa: F401  (before NumPy and torch, whose kernels it chooses)

    # isort: split
    import torch

    torch.set_num_threads(options.threads)


def settings_from(options: argparse.Namespace, recipe: str, seed: int) -> "Settings":
    """The settings of one fine-tune.

    Raises:
        ValueError: an option is out of range or malformed; one line.
    """
    parsed, weights = parse_recipe(recipe), parse_weights(options.weights)
    for name in ("steps", "batch", "draws", "keep", "threads"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}; it must be at least 1")
    if not 0 < options.share <= 1:
        raise ValueError(f"--share is {options.share}; it must be above 0 and at most 1")
    if seed < 0:
        raise ValueError(f"--seed is {seed}; it must be 0 or larger")
    from examples.finetune.training import Settings

    numbers = {name: getattr(options, name) for name in ("steps", "batch", "draws", "share", "rate", "bf16")}
    return Settings(options.start, parsed, seed, weights=weights, **numbers)


def save_dtype(options: argparse.Namespace) -> Any:
    """The dtype of the saved weights, as torch has it."""
    import torch

    return getattr(torch, options.save_dtype)


if __name__ == "__main__":
    sys.exit(main())
