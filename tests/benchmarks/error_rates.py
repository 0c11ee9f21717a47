"""How often each printed number is wrong: intervals, p-values, words and plans, in simulated worlds of known truth.

Run: python tests/benchmarks/error_rates.py [--runs 2000] [--only WORDS] [--out FILE]. Nothing is rolled out: outcomes
and drifts are drawn, and the product's own functions make the numbers. Costly numbers take a share of the runs; the
table says how many. `python tests/stored_numbers.py` writes the stored output into `docs/reference/methods.md`.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import sys
import time
from dataclasses import asdict

from report import ROOT, Report

NAME = "error_rates"


def main() -> None:
    """Print and store what was found."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from measured import NUMBERS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000, help="simulated runs of the numbers that cost little")
    parser.add_argument("--only", default="", help="numbers whose heading has these words")
    parser.add_argument("--out", help="default: results/benchmarks/error_rates.json")
    args = parser.parse_args()
    chosen = {name: measure for name, measure in NUMBERS.items() if args.only.lower() in name.lower()}
    if not chosen:
        raise SystemExit(f"--only {args.only}: no such number; known:\n  " + "\n  ".join(NUMBERS))
    report, start = Report(NAME, __doc__.splitlines()[0]), time.monotonic()
    for name, measure in chosen.items():
        report.table(name, [asdict(row) for row in measure(args.runs)])
    print(f"\n{time.monotonic() - start:.0f} s")
    report.write(args.out)


if __name__ == "__main__":
    main()
