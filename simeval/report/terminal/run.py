"""Summary tables of a run, printed or as JSON. Importing this loads no simulator and no policy."""

from typing import Any

import pandas as pd
from rich.console import Console

from simeval import report
from simeval.analysis import success
from simeval.analysis.latency import used_columns
from simeval.analysis.sequential import Sequential, sequential
from simeval.report.cautions import cautions, unfinished
from simeval.report.terminal.tables import ROOMY, print_origin
from simeval.report.terminal.thresholds import print_thresholds, summarise_thresholds, thresholds_of
from simeval.report.terminal.worst import print_worst, summarise_worst, worst_of
from simeval.store.run import Run


def summarise(run: Run) -> dict[str, Any]:
    """The tables of a run, JSON-ready, with policy, scenes, and how far they can be trusted; of a search its result."""
    if searched := thresholds_of(run):
        return summarise_thresholds(run, searched)
    if found := worst_of(run):
        return summarise_worst(run, found)
    episodes = _episodes(run)
    about = {"policy": run.manifest["identity"]["policy"]["name"], "assets": run.manifest["assets"]}
    followed = sequential(run.manifest, episodes)
    tables = success.summary(episodes, sequential=followed)
    return {**about, "cautions": _cautions(run, episodes, followed), **tables}


def print_tables(console: Console, run: Run, *, tasks: bool = False) -> None:
    """Print the tables of a run, and how far they can be trusted; of a search its result."""
    if searched := thresholds_of(run):
        print_thresholds(console, run, searched)
        return
    if found := worst_of(run):
        print_worst(console, run, found)
        return
    episodes = _episodes(run)
    policy = run.manifest["identity"]["policy"]["name"]
    followed = sequential(run.manifest, episodes)
    analysed = success.analyse(episodes, sequential=followed)
    report.print_run(console, analysed, policy=policy, assets=run.manifest["assets"])
    if tasks:
        console.print(report.render_by_task(analysed, roomy=console.width >= ROOMY))
    for line in _cautions(run, episodes, followed):
        console.print(line, highlight=False, markup=False, emoji=False)
    print_origin(console, run)


def _episodes(run: Run) -> pd.DataFrame:
    return run.table((*success.USED, *used_columns(run.manifest["conditions"])))


def _cautions(run: Run, episodes: pd.DataFrame, followed: Sequential | None) -> tuple[str, ...]:
    return (*unfinished(run.manifest["episodes"], len(episodes), followed), *cautions(run, episodes))
