"""Chaos: random command lines, damaged files, kills and full disks. None may end in a traceback, a hang or a lie.

    python tests/chaos/run.py --kind lines --cases 100    # seeds 0 to 99
    python tests/chaos/run.py --kind lines --seed 123     # that case again, with what it said

`make chaos` runs 500 cases of each kind and stores the table in `results/benchmarks/chaos.json`.
"""

import argparse
import importlib
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from benchmarks.report import Report  # noqa: E402
from chaos.judge import Fault  # noqa: E402
from chaos.kinds import KINDS, Case, Ground  # noqa: E402

import simeval  # noqa: E402, F401  pins numerics before anything loads NumPy

LIGHT = ("pandas", "scipy.stats", "simeval.api", "simeval.cli.app", "simeval.analysis.compare",
         "simeval.report.collect", "simeval.report.terminal.run", "simeval.core.console")  # fmt: skip
HEAVY = ("simeval.policies.lerobot", "lerobot.policies.smolvla.modeling_smolvla", "lerobot.datasets")
LEARNED = ("checkpoints", "datasets")
"""Kinds that need torch and lerobot."""
FAULTS = ("traceback", "hang", "exit code", "numbers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", choices=[*KINDS], help="repeatable; all by default")
    parser.add_argument("--cases", type=int, default=500, help="of each kind")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no further case of a kind after these")
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    parser.add_argument("--seed", type=int, help="only this case, whose folder is kept")
    parser.add_argument("--out", help="JSON file; results/benchmarks/chaos.json by default")
    wanted = parser.parse_args()
    kinds = wanted.kind or [*KINDS]
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    report = Report("chaos", "random command lines, damaged files, kills and full disks: what must not happen, counted")
    for module in (*LIGHT, *(HEAVY if {*kinds} & {*LEARNED} else ())):
        importlib.import_module(module)
    with tempfile.TemporaryDirectory(prefix="chaos-", delete=wanted.seed is None) as folder:
        ground = Ground(Path(folder).resolve())
        if wanted.seed is not None:
            again(kinds, wanted.seed, ground)
            return
        seeds = range(wanted.first, wanted.first + wanted.cases)
        rows = [cases(kind, seeds, ground, 60 * wanted.minutes) for kind in kinds]
    report.table("chaos: cases, and how many of them ended as none may", rows)
    report.write(wanted.out)
    if any(row[kind] for row in rows for kind in FAULTS):
        raise SystemExit(1)


def cases(kind: str, seeds: range, ground: Ground, seconds: float) -> dict:
    """A line of the table, with the number of cases that there was time for."""
    print(f"{kind}: seeds {seeds.start} to {seeds.stop - 1}", flush=True)
    start, bad = time.monotonic(), dict.fromkeys(FAULTS, 0)
    first, ran = None, 0
    for seed in seeds:
        if ran and time.monotonic() - start > seconds:
            break
        found = one(kind, seed, ground)
        ran += 1
        if ran % 5 == 0:
            print(f"  {ran} cases, {time.monotonic() - start:.0f} s", flush=True)
        for fault in found:
            bad[fault.kind] += 1
            told = f"seed {seed}: {fault.kind}: {fault.words}: simeval {' '.join(fault.argv)}"
            told = told.replace(f"{ground.folder}/", "").encode("ascii", "backslashreplace").decode()[:600]
            first = first or told
            print(f"  {told}", flush=True)
    return {"kind": kind, "cases": ran, **bad, "s": time.monotonic() - start, "first": first}


def one(kind: str, seed: int, ground: Ground) -> list[Fault]:
    """Carry out a case; its folder is empty before, and stays until the next."""
    folder = ground.folder / kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return KINDS[kind](Case(ground, folder, Random(f"{kind} {seed}")))


def again(kinds: list[str], seed: int, ground: Ground) -> None:
    for kind in kinds:
        found = one(kind, seed, ground)
        print(f"{kind}, seed {seed}: {found or 'nothing is wrong'}; its folder: {ground.folder / kind}")


if __name__ == "__main__":
    main()
