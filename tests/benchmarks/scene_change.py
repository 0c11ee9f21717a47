"""What a worker pays to change from one task to the next: CPU seconds, with bundled and real files.

    python tests/benchmarks/scene_change.py [--tasks 10] [--suites libero_spatial,libero_goal] [--collect-all]

A change is building the task's environment, and the first images less what two further images cost. Each suite's
tasks follow each other twice in a process of its own; the first time is not counted, because it fills the cache. The
process has lerobot's SmolVLA in memory, as a worker does that runs it. With `--collect-all` Python's collector looks at
its libraries, too, after each scene; a worker leaves them alone.
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


def changes(assets, suite, count, collect_all):
    """Of each task after the first: whether its scene was there already, and CPU seconds by part."""
    import lerobot.policies.smolvla.modeling_smolvla  # noqa: F401

    from envs.build import EnvCache
    from simeval.core.gc_pause import collect_rarely, leave_alone

    collect_rarely()
    if not collect_all:
        leave_alone()
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
    parser.add_argument("--collect-all", action="store_true", help="let the collector look at the libraries")
    parser.add_argument("--out", help="JSON file")
    args = parser.parse_args()
    report = Report("scene_change", __doc__)
    for scenes, assets in scenes_here():
        rows = []
        for suite in args.suites.split(","):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(changes, (assets, suite, args.tasks, args.collect_all))
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
