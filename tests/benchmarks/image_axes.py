"""CPU time of every image axis at every preset, for one 256 x 256 picture on one core.

python tests/benchmarks/image_axes.py
"""

import statistics
import time

import numpy as np

from perturbations.base import axes
from perturbations.spec import parse
from simeval.seeding import PairStreams

ROUNDS = 30
PICTURE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)


def milliseconds(condition):
    streams, found = PairStreams(0, (1, 2, 3, 4)), []
    for _ in range(ROUNDS):
        start = time.process_time()
        condition.apply_images({"agentview": PICTURE}, 1, streams.generator)
        found.append(1000 * (time.process_time() - start))
    return statistics.median(found)


def main():
    print(f"CPU ms per 256 px picture, median of {ROUNDS}")
    for axis in axes():
        if axis.channel == "image":
            times = [milliseconds(parse(f"{axis.name}:{value:g}")) for value in axis.presets]
            print(f"{axis.name:18}" + "".join(f"  {v:g}: {t:.1f}" for v, t in zip(axis.presets, times, strict=True)))


if __name__ == "__main__":
    main()
