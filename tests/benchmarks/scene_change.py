"""What a worker pays to change from one task to the next: CPU seconds, with bundled and real files.

    python tests/benchmarks/scene_change.py [--tasks 10] [--suites libero_spatial,libero_goal] [--collect-all]

A change is building the task's environment, and the first images less what two further images cost. Each suite's
tasks follow each other twice in a process of its own; the first time is not counted, because it fills the cache. The
process has lerobot's SmolVLA in memory, as a worker does that runs it. With `--collect-all` Python's collector looks at
its libraries, too, after each scene; a worker leaves them alone.

Much of a change is memory that is used for the first time: 4 KB pages that the system hands out one by one. What a page
costs differs by ten times between machines, most of all between virtual ones and others, so it is measured as well.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import ctypes
import itertools
import mmap
import multiprocessing
import resource
import time
from statistics import mean

import numpy as np
from libero_env import Reset
from report import Report, scenes_here

SUITES = "libero_spatial,libero_goal,libero_object,libero_10"


def page_us(size=256 << 20):
    """Microseconds of CPU for the first write to a page, beyond those of a later one."""
    memory, seconds = mmap.mmap(-1, size), []
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for _ in range(2):
        before = time.process_time()
        ctypes.memset(start, 1, size)
        seconds.append(time.process_time() - before)
    return (seconds[0] - seconds[1]) / (size / mmap.PAGESIZE) * 1e6


def used():
    """CPU seconds of this process, those of the system for it, and its page faults."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([time.process_time(), usage.ru_stime, usage.ru_minflt])


def changes(assets, suite, count, collect_all):
    """Of each task after the first: whether its scene was there already, and CPU seconds and page faults by part."""
    import lerobot.policies.smolvla.modeling_smolvla  # noqa: F401

    from envs.build import EnvCache
    from simeval.core.gc_pause import collect_rarely, leave_alone

    collect_rarely()
    if not collect_all:
        leave_alone()
    envs, found, before = EnvCache(assets), [], None
    for task in [*range(count)] * 2:
        marks = [used()]
        env = envs.get(suite, task, 256)
        marks.append(used())
        env.reset(Reset(0))
        marks.append(used())
        for _ in range(2):
            env.observe()
            marks.append(used())
        build, _, first, second = (later - earlier for earlier, later in itertools.pairwise(marks))
        found.append(
            {
                "same": env.world.model is before,
                "build CPU s": build[0],
                "first images CPU s": (first - second)[0],
                "change CPU s": (build + first - second)[0],
                "of it system s": (build + first - second)[1],
                "page faults": (build + first - second)[2],
            }
        )
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
                    means = {
                        name: float(mean(change[name] for change in chosen)) for name in chosen[0] if name != "same"
                    }
                    rows.append({"suite": suite, "to": kind, "changes": len(chosen)} | means)
        report.table(f"{scenes} scenes, mean of the changes", rows)
    report.table("first use of a page of memory", [{"us of CPU": page_us()}])
    report.write(args.out)


if __name__ == "__main__":
    main()
