"""The first screens and rates: README.md and docs/get-started.md."""

import io
import tempfile
from collections.abc import Iterator
from functools import cache

from rich.console import Console

from documented import ROOT
from documented.claims import Claim, Screen, Statement
from documented.formats import percent
from documented.runs import clean_numbers, clean_rate, rate_of, run
from simeval.api import evaluate
from simeval.config.evaluation import from_mapping
from simeval.config.options import load_yaml
from simeval.report.terminal.run import print_tables
from simeval.store.run import Run

README, PAGE = "README.md", "docs/get-started.md"
WIDTH = 80
"""Columns of the tables that are shown as a terminal prints them."""


def statements() -> Iterator[Statement]:
    dark = {"dark": percent(rate_of("correlation", "light:0.4").rate), **clean_numbers("spatial")}
    both = {"object": percent(clean_rate("object").rate), "goal": percent(clean_rate("goal").rate)}
    for file in (README, PAGE):
        yield Screen(file, "`make run` ends like this:", first_run)
    yield Screen(PAGE, "It prints this table:", toy)
    yield Claim(PAGE, "perturbations cost it success: {rate} % clean over {n} published initial", dark)
    yield Claim(PAGE, "(`simeval show results/spatial`), {dark} % under `light:0.4`", dark)
    yield Claim(PAGE, "reach {object} and {goal} % (`simeval show results/object`", both)


def first_run() -> str:
    """What `make run` prints of its run."""
    lines = printed(run("quickstart")).splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("libero_spatial"))
    return "".join(line for line in lines[start:] if not line.startswith("run folder"))


@cache
def toy() -> str:
    """The first lines that the recipe of the toy suite prints. It is played here."""
    config = load_yaml(str(ROOT / "configs" / "toy.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        done = evaluate(from_mapping({**config, "workers": 0, "traces": "none", "out": f"{folder}/toy"}))
        lines = printed(done).splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("toy "))
    return "".join([*lines[start : start + 10], "...\n"])


def printed(run_: Run) -> str:
    stream = io.StringIO()
    print_tables(Console(file=stream, width=WIDTH, color_system=None), run_)
    return stream.getvalue()
