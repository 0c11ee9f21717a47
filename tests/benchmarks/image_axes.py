"""CPU time of every image axis at every preset, for one 256 x 256 picture on one core.

    OMP_NUM_THREADS=1 python tests/benchmarks/image_axes.py

Exit code 1 if an axis is slower than it may be. CPU time of all threads counts, so threads do not flatter.
"""

import simeval  # noqa: I001, F401  before NumPy

import statistics
import sys
import time

import cv2
import numpy as np

from perturbations.base import Masks, axes
from perturbations.spec import parse
from simeval.core.seeding import PairStreams

ROUNDS = 30
LIMIT_MS = 12.0
SLOW = {"blur.motion": 25.0, "blur.zoom": 25.0, "fog": 25.0}
PICTURE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
SPARED = np.zeros((256, 256), bool)
SPARED[100:156, 100:156] = True
"""A target in the middle, which an occluder has to spare."""


def milliseconds(condition):
    found = []
    for frame in range(ROUNDS):
        applied = condition.start(PairStreams(0, (1, 2, 3, 4)).generator)
        applied.masks = {"agentview": Masks(SPARED, {})}
        start = time.process_time()
        applied.images({"agentview": PICTURE}, frame)
        found.append(1000 * (time.process_time() - start))
    return statistics.median(found)


def main():
    cv2.setNumThreads(1)
    print(f"CPU ms per 256 px picture, median of {ROUNDS}")
    slow = []
    for axis in axes():
        if axis.channel != "image":
            continue
        limit = SLOW.get(axis.name, LIMIT_MS)
        times = [milliseconds(parse(f"{axis.name}:{value:g}")) for value in axis.presets]
        shown = "".join(f"{f'{v:g}: {t:.1f}':>12}" for v, t in zip(axis.presets, times, strict=True))
        print(f"{axis.name:15}{shown}   {'OVER' if max(times) > limit else 'within'} {limit:g}")
        slow += [axis.name] if max(times) > limit else []
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
