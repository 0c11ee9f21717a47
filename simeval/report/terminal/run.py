"""Summary tables of a run, printed or as JSON. Importing this loads no simulator and no policy."""

from typing import Any

from rich.console import Console

from simeval import report
from simeval.analysis import success
from simeval.report.terminal.tables import ROOMY
from simeval.report.terminal.thresholds import print_thresholds, summarise_thresholds, thresholds_of
from simeval.store.run import Run


def summarise(run: Run) -> dict[str, Any]:
    """The tables of a run, JSON-ready, with policy and scenes."""
    if searched := thresholds_of(run):
        return summarise_thresholds(run, searched)
    about = {"policy": run.manifest["identity"]["policy"]["name"], "assets": run.manifest["assets"]}
    return {**about, **success.summary(run.table(success.USED))}


def print_tables(console: Console, run: Run, *, tasks: bool = False) -> None:
    """Print the tables of a run, and the number of missing episodes; of a search for thresholds its result."""
    if searched := thresholds_of(run):
        print_thresholds(console, run, searched)
        return
    episodes = run.table(success.USED)
    policy, ran = run.manifest["identity"]["policy"]["name"], len(episodes)
    analysed = success.analyse(episodes)
    report.print_run(console, analysed, policy=policy, assets=run.manifest["assets"])
    if tasks:
        console.print(report.render_by_task(analysed, roomy=console.width >= ROOMY))
    if ran < run.manifest["episodes"]:
        missing = run.manifest["episodes"] - ran
        console.print(f"unfinished: {missing} of {run.manifest['episodes']} episodes have not run", highlight=False)
    for note in run.manifest["notes"]:
        console.print(f"note: {note}", soft_wrap=True, highlight=False, markup=False, emoji=False)
    grown = run.manifest.get("grown")
    if grown:
        steps = " -> ".join(str(n) for n in (*(step["episodes"] for step in grown), run.manifest["episodes"]))
        text = f"grown: {steps} episodes; the intervals take the last number for one that was fixed beforehand"
        console.print(text, highlight=False)
    console.print(f"run folder: {run.folder}", soft_wrap=True, highlight=False, markup=False, emoji=False)
