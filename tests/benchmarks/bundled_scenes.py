"""What a look at the bundled scenes costs: both cameras, CPU time on one core with software OpenGL.

    python tests/benchmarks/bundled_scenes.py [--suite libero_spatial] [--size 256] [--rounds 20]

The budget is 20 ms per observation at 256 px. CPU time is what counts on a busy machine: with LP_NUM_THREADS=0 Mesa
rasterises in the calling thread.
"""

import argparse
import dataclasses
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LP_NUM_THREADS", "0")


@dataclasses.dataclass(frozen=True)
class Reset:
    init_state: int = 0
    env_seed: int = 0
    settle_steps: int = 10


def measure(suite, task, size, rounds, assets):
    from envs.build import make_env

    env = make_env(suite, task, size, assets)
    env.reset(Reset())
    env.observe()
    costs = []
    for _ in range(rounds):
        start = time.process_time()
        env.observe()
        costs.append((time.process_time() - start) * 1000)
    env.close()
    return statistics.median(costs), max(costs)


def main():
    from envs.libero.catalog import LIBERO_SUITES
    from envs.libero.files import resolve_assets
    from envs.suites import tasks

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=LIBERO_SUITES[:4])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--assets", default="bundled")
    options = parser.parse_args()
    assets = resolve_assets(options.assets)
    for suite in (options.suite,) if options.suite else LIBERO_SUITES[:4]:
        for task in tasks(suite):
            median, worst = measure(suite, task.index, options.size, options.rounds, assets)
            print(f"{suite} {task.index}: median {median:.1f} ms, worst {worst:.1f} ms per observation", flush=True)


if __name__ == "__main__":
    main()
