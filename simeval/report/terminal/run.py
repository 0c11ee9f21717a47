"""Summary tables of a run, printed or as JSON. Importing this loads no simulator and no policy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console

from simeval import report
from simeval.analysis import success
from simeval.analysis.latency import EXECUTION
from simeval.analysis.sequential import Sequential, sequential
from simeval.config.layout import SEARCH, WORST, verb_of
from simeval.report.cautions import cautions, unfinished
from simeval.report.terminal.tables import ROOMY, print_origin
from simeval.store.run import Run


def summarise(run: Run) -> dict[str, Any]:
    """The tables of a run, JSON-ready, with policy, scenes, and how far they can be trusted; of a search its result."""
    if search := _search(run):
        return search.summarise()
    episodes = _episodes(run)
    about = {"policy": run.manifest["identity"]["policy"]["name"], "assets": run.manifest["assets"]}
    followed = sequential(run.manifest, episodes)
    tables = success.summary(episodes, sequential=followed)
    return {**about, "cautions": _cautions(run, episodes, followed), **tables}


def print_tables(console: Console, run: Run, *, tasks: bool = False) -> None:
    """Print the tables of a run, and how far they can be trusted; of a search its result."""
    if search := _search(run):
        search.print(console)
        return
    episodes = _episodes(run)
    policy = run.manifest["identity"]["policy"]["name"]
    followed = sequential(run.manifest, episodes)
    analysed = success.analyse(episodes, sequential=followed, by_task=tasks)
    report.print_run(console, analysed, policy=policy, assets=run.manifest["assets"])
    if tasks:
        console.print(report.render_by_task(analysed, roomy=console.width >= ROOMY))
    for line in _cautions(run, episodes, followed):
        console.print(line, highlight=False, markup=False, emoji=False)
    print_origin(console, run)


class _Search(NamedTuple):
    """How the result of a search is presented."""

    summarise: Callable[[], dict[str, Any]]
    print: Callable[[Console], None]


def _search(run: Run) -> _Search | None:
    """The result of a search; `None` for other runs, which import none of what searches are analysed with."""
    verb = verb_of(run.manifest)
    if verb == SEARCH:
        from simeval.report.terminal.thresholds import print_thresholds, summarise_thresholds, thresholds_of

        if searched := thresholds_of(run):
            return _Search(
                lambda: summarise_thresholds(run, searched), lambda console: print_thresholds(console, run, searched)
            )
    if verb == WORST:
        from simeval.report.terminal.worst import print_worst, summarise_worst, worst_of

        if found := worst_of(run):
            return _Search(lambda: summarise_worst(run, found), lambda console: print_worst(console, run, found))
    return None


def _episodes(run: Run) -> pd.DataFrame:
    return run.table((*success.USED, *EXECUTION, "start_digest"))


def _cautions(run: Run, episodes: pd.DataFrame, followed: Sequential | None) -> tuple[str, ...]:
    return (*unfinished(run.manifest["episodes"], len(episodes), followed), *cautions(run, episodes))
