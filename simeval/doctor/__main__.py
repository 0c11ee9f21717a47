"""`python -m simeval.doctor`: the same as `simeval doctor`, without loading the rest of the command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from simeval.core.errors import ConfigError
from simeval.doctor import Request, run_and_print


def main(words: Sequence[str] | None = None) -> int:
    """Run the checks and print them; 0 if nothing is wrong, 1 if something is, 2 for a bad option."""
    parser = argparse.ArgumentParser(prog="simeval doctor", description="Is this machine ready for a run?")
    parser.add_argument("--policy", help="a checkpoint that will be run: a folder or hub id")
    parser.add_argument("--ray", help="local: start Ray for a moment; auto or HOST:PORT: ask a running cluster")
    parser.add_argument("--out", default="results", help="where runs will be written  [default: results]")
    parser.add_argument("--only", default="", help="checks to run, for instance gpu,opengl  [default: all]")
    parser.add_argument("--json", action="store_true", help="JSON for machines instead of text for people")
    given = parser.parse_args(words)
    only = tuple(name for name in given.only.split(",") if name)
    try:
        return run_and_print(Request(given.policy, given.ray, Path(given.out), only), sys.stdout.write, json=given.json)
    except ConfigError as error:
        sys.stderr.write(f"simeval: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
