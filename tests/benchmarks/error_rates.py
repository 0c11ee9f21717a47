"""How often each printed number is wrong: intervals, p-values, words and plans, in simulated worlds of known truth.

Run: python tests/benchmarks/error_rates.py [--runs 2000] [--only WORDS [--merge]] [--out FILE]. Nothing is rolled out:
outcomes and drifts are drawn, and the product's own functions make the numbers. Costly numbers take a share of the
runs; the table says how many. `python tests/stored_numbers.py` writes the stored output into
`docs/reference/methods.md`.
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
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="numbers whose heading has these words; given several times, in that order",
    )
    parser.add_argument(
        "--merge", action="store_true", help="leave the other tables of the file as they are, instead of dropping them"
    )
    parser.add_argument("--out", help="default: results/benchmarks/error_rates.json")
    args = parser.parse_args()
    for words in args.only:
        if not any(words.lower() in name.lower() for name in NUMBERS):
            raise SystemExit(f"--only {words}: no such number; known:\n  " + "\n  ".join(NUMBERS))
    wanted = args.only or [""]
    chosen = {name: measure for words in wanted for name, measure in NUMBERS.items() if words.lower() in name.lower()}
    report, start = Report(NAME, __doc__.splitlines()[0]), time.monotonic()
    for name, measure in chosen.items():
        report.table(name, [asdict(row) for row in measure(args.runs)])
        if args.merge:  # at once: what was made is kept if the rest is stopped
            report.merge(args.out, NUMBERS)
    print(f"\n{time.monotonic() - start:.0f} s")
    if not args.merge:
        report.write(args.out)


if __name__ == "__main__":
    main()
