"""Record demonstrations and write them to one file: `python -m examples.finetune.collect --out FILE --episodes 400`.

The recordings are those that the bundled policies were trained on: the privileged expert in the bundled scenes, from
placements that LIBERO's samplers draw. The published initial states, on which policies are evaluated, are never loaded.
May be stopped and started again at any time; several may run at once (--part 0/2, --part 1/2), and a last call without
--part then writes the file.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from envs.libero.catalog import LIBERO_SUITES  # before NumPy, for the same numbers everywhere
from envs.suites import other_goals, tasks

# isort: split
import numpy as np
from numpy.typing import NDArray

from examples.finetune.demos import Demonstrations, save_demonstrations
from simeval.policies.bundled.layout import CHUNK

SUITES = LIBERO_SUITES
"""With bundled scenes and tasks for the expert."""

FIRST = 500_000
"""Number of the first recording, and with it its seed: the bundled policies' recordings have smaller ones."""

STRIDE = 2
"""Control steps between recorded frames; must equal `simeval.policies.bundled.demonstrations.STRIDE`, tested."""

MIN_VALID = 4
"""Steps of a frame's chunk that the expert must have driven, as in the bundled policies' training."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Record what is missing, then write the file; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _collect(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _collect(options: argparse.Namespace) -> None:
    if unknown := [suite for suite in options.suites if suite not in SUITES]:
        raise ValueError(f"--suites: no demonstrations for '{unknown[0]}'; there are {', '.join(SUITES)}")
    for name in ("episodes", "every", "chunk"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}; it must be at least 1")
    if not re.fullmatch(r"\d+/[1-9]\d*", options.part):
        raise ValueError(f"--part is '{options.part}'; write 0/2 for the first of two shares")
    from simeval.policies.bundled.train import main as bundled

    begun = time.monotonic()
    before = len(list(options.recordings.glob("*.npz")))
    words = ["collect", "--data", str(options.recordings), "--suites", *options.suites]
    words += ["--episodes", str(options.episodes), "--first-seed", str(options.first), "--part", options.part]
    words += ["--edge", str(options.edge)]
    bundled(words)
    files = sorted(options.recordings.glob("*.npz"))
    print(f"{len(files) - before} recorded in {time.monotonic() - begun:.0f} s, {len(files)} in the folder")
    if options.part != "0/1":
        return
    chosen = [file for file in files if file.name.split("-")[0] in options.suites]
    demonstrations = packed(chosen, every=options.every, chunk=options.chunk)
    save_demonstrations(demonstrations, options.out)
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {len(chosen)} episodes, {len(demonstrations)} frames, {size:.1f} MB")


def packed(files: Sequence[Path], *, every: int = 1, chunk: int = CHUNK) -> Demonstrations:
    """The frames of recordings.

    Args:
        files: recordings, named `SUITE-TASK-NUMBER.npz`, in which the expert acted all the time.
        every: keep one frame of so many.
        chunk: actions from each frame on; those after the end of an episode are not valid.
    """
    kept = list(_read(files, every, chunk))
    texts = tuple(sorted({text for *_, text, others in kept for text in (text, *others)}))
    if len(sizes := {images.shape[1:] for images, *_ in kept}) != 1:
        raise ValueError(
            f"recordings: images of {len(sizes)} sizes in one folder; choose another --recordings for --edge"
        )
    frames = [len(states) for _, states, *_ in kept]
    wanted, conflicts = np.zeros(len(kept), np.int64), np.zeros((len(kept), len(texts)), bool)
    for number, (*_, text, others) in enumerate(kept):
        wanted[number] = texts.index(text)
        conflicts[number, [texts.index(other) for other in others]] = True
    of_frame = np.repeat(np.arange(len(kept)), frames)
    return Demonstrations(
        images=np.concatenate([images for images, *_ in kept]),
        states=np.concatenate([states for _, states, *_ in kept]),
        actions=np.concatenate([actions for _, _, actions, *_ in kept]),
        valid=np.concatenate([valid for _, _, _, valid, *_ in kept]),
        episodes=of_frame,
        instructions=wanted[of_frame],
        conflicts=conflicts[of_frame],
        texts=texts,
    )


def windows(actions: NDArray[Any], valid: NDArray[np.bool_], chunk: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Chunks of another length, from chunks that begin every `STRIDE` steps.

    Args:
        actions: `float32[n, T, 7]`.
        valid: `bool[n, T]`.
        chunk: the length wanted.

    Returns:
        `float32[n, chunk, 7]` and `bool[n, chunk]`.
    """
    whole = np.concatenate([*actions[:-1, :STRIDE], actions[-1]])
    driven = np.concatenate([*valid[:-1, :STRIDE], valid[-1]])
    starts = np.arange(len(actions)) * STRIDE
    steps = starts[:, None] + np.arange(chunk)
    inside = np.minimum(steps, len(whole) - 1)
    return whole[inside], np.logical_and.accumulate((steps < len(whole)) & driven[inside], axis=1)


def _read(files: Sequence[Path], every: int, chunk: int) -> Iterator[tuple[Any, ...]]:
    """Images, states, actions, valid steps, instruction and conflicting instructions of each recording."""
    for file in files:
        suite, task = file.stem.split("-")[:2]
        with np.load(file) as stored:
            text = str(stored["instruction"])
            actions, valid = windows(stored["actions"], stored["valid"], chunk)
            useful = np.flatnonzero(stored["valid"].sum(1) >= MIN_VALID)[::every]
            arrays = [*(stored[name][useful] for name in ("images", "states")), actions[useful], valid[useful]]
        scene = (tasks(suite)[int(task)].instruction, *(other.instruction for other in other_goals(suite, int(task))))
        if len(useful):
            yield *arrays, text, tuple(other for other in dict.fromkeys(scene) if other != text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.finetune.collect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="file of demonstrations to write")
    parser.add_argument("--recordings", type=Path, required=True, help="folder for the recordings, 4 MB each")
    parser.add_argument("--suites", nargs="+", default=["libero_object"], help="suites [libero_object]")
    parser.add_argument("--episodes", type=int, default=400, help="recordings, over all tasks [400]")
    parser.add_argument("--first", type=int, default=FIRST, help=f"number of the first recording [{FIRST}]")
    parser.add_argument("--every", type=int, default=1, help="keep one frame of so many [1]")
    parser.add_argument("--edge", type=int, choices=(128, 256), default=128, help="side of the images (px) [128]")
    parser.add_argument("--chunk", type=int, default=CHUNK, help=f"actions from each frame on [{CHUNK}]")
    parser.add_argument("--part", default="0/1", help="this process' share, for instance 0/2 [0/1]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
