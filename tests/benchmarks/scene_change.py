"""What a worker pays to change from one task to the next: CPU seconds, with bundled and real files.

    python tests/benchmarks/scene_change.py [--tasks 10] [--suites libero_spatial,libero_goal]

A change is building the task's environment, and the first images less what two further images cost. Each suite's
tasks follow each other twice in a process of its own; the first time is not counted, because it fills the cache.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import itertools
import multiprocessing
import time
from statistics import mean

from libero_env import Reset
from report import Report, scenes_here

SUITES = "libero_spatial,libero_goal,libero_object,libero_10"


def changes(assets, suite, count):
    """Of each task after the first: whether its scene was there already, and CPU seconds by part."""
    from envs.build import EnvCache

    envs, found, before = EnvCache(assets), [], None
    for task in [*range(count)] * 2:
        times = [time.process_time()]
        env = envs.get(suite, task, 256)
        times.append(time.process_time())
        env.reset(Reset(0))
        times.append(time.process_time())
        for _ in range(2):
            env.observe()
            times.append(time.process_time())
        build, _, first, second = (later - earlier for earlier, later in itertools.pairwise(times))
        found.append({"same": env.world.model is before, "build": build, "first images": first - second})
        before = env.world.model
    return found[count + 1 :]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10, help="tasks of each suite")
    parser.add_argument("--suites", default=SUITES)
    parser.add_argument("--out", help="JSON file")
    args = parser.parse_args()
    report = Report("scene_change", __doc__)
    for scenes, assets in scenes_here():
        rows = []
        for suite in args.suites.split(","):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(changes, (assets, suite, args.tasks))
            for kind in ("same scene", "another scene"):
                chosen = [change for change in found if change["same"] == (kind == "same scene")]
                if chosen:
                    parts = {name: mean(change[name] for change in chosen) for name in ("build", "first images")}
                    row = {"suite": suite, "to": kind, "changes": len(chosen)}
                    rows.append(row | {f"{name} CPU s": value for name, value in parts.items()})
                    rows[-1]["change CPU s"] = sum(parts.values())
        report.table(f"{scenes} scenes, mean of the changes", rows)
    report.write(args.out)


if __name__ == "__main__":
    main()
