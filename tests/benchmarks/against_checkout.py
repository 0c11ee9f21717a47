"""This checkout against another one of simeval, for instance the last release: the same commands, alternating.

    git worktree add ../before COMMIT && make -C ../before setup
    python tests/benchmarks/against_checkout.py ../before [--case bundled-10] [--rounds 3]

"steady" is from the start of the first episode to the end of the last, so imports and the first scenes are left out.
The two need not play the same episodes: numerics and fixed faults change rows. So control steps per second are the
fairest number. `native` is this checkout with the processor's own kernels, which checkouts from before pinned numerics
have, too. Needs LIBERO's meshes (make official).
"""

import argparse
import contextlib
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from report import SIMEVAL, Report, environment, unpinned, watch_run

CASES = {
    "bundled-10": ("--assets", "bundled", "--n-action-steps", 10, "--tasks", "0-9", "--init-states", "0-3"),
    "bundled-50": ("--assets", "bundled", "--n-action-steps", 50, "--tasks", "0-9", "--init-states", "0-3"),
    "official-10": ("--n-action-steps", 10, "--tasks", "0,2", "--init-states", "0-3"),
    "official-50": ("--n-action-steps", 50, "--tasks", "0,2", "--init-states", "0-3"),
}


def measured(program: str, words: tuple, out: Path) -> dict[str, float]:
    """Play the episodes of a case once."""
    run = watch_run(
        *("--suite", "libero_spatial", "--policy", "bundled", "--workers", 2, "--traces", "none", "--out", out, *words),
        program=program,
        env={name: value for name, value in unpinned(environment()).items() if name != "PYTHONPATH"},
    )
    steps = sum(row["steps"] for row in run.rows)
    return {
        "steps/s": steps / run.steady,
        "ep/min steady": 60 * len(run.rows) / run.steady,
        "ep/min whole": 60 * len(run.rows) / run.whole,
        "start s": run.whole - run.steady,
        "CPU ms/step": 1000 * run.memory.cpu / steps,
        "worker PSS MB": run.memory.worker_pss,
    }


def commit(program: str) -> str:
    """Commit of the checkout that a program belongs to."""
    folder = Path(program).resolve().parents[2]
    told = subprocess.run(["git", "-C", folder, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="the other checkout, with its .venv")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    before = str(options.other.resolve() / ".venv" / "bin" / "simeval")
    if not Path(before).is_file():
        parser.error(f"{options.other}: has no .venv/bin/simeval; make setup there")
    from envs.libero.files import resolve_assets

    assets = ("--assets", resolve_assets(None))
    sides = {"before": (before, ()), "now": (SIMEVAL, ()), "now, native": (SIMEVAL, ("--numerics", "native"))}
    report = Report("against_checkout", __doc__)
    report.table("checkouts", [{"": name, "commit": commit(program)} for name, (program, _) in sides.items()])
    for case in options.case or CASES:
        words, found = CASES[case], {name: [] for name in sides}
        words = words if "--assets" in words else (*words, *assets)
        with tempfile.TemporaryDirectory(prefix="simeval-bench-") as folder, contextlib.chdir(folder):
            # Elsewhere the workers of an old checkout might import what is in the present folder.
            for number in range(options.rounds):
                for name, (program, more) in sides.items():
                    found[name].append(measured(program, (*words, *more), Path(folder, f"{name[-6:]}{number}")))
        middle = {name: {key: median(row[key] for row in rows) for key in rows[0]} for name, rows in found.items()}
        report.table(f"{case}, median of {options.rounds} rounds", [{"": name, **row} for name, row in middle.items()])
        ratios = {
            name: [row["steps/s"] / first["steps/s"] for row, first in zip(rows, found["before"], strict=True)]
            for name, rows in found.items()
        }
        report.table(
            f"{case}: control steps per second, times before",
            [{"": n, "median": median(r), "min": min(r), "max": max(r)} for n, r in ratios.items() if n != "before"],
        )
    report.write(options.out)


if __name__ == "__main__":
    main()
