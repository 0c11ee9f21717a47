"""Terminal output of a search for thresholds: one line per axis, then the strengths that were tried."""

from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.analysis.thresholds import COLUMNS, SCHEMA_VERSION, AxisThreshold, Thresholds, thresholds
from simeval.config.layout import is_search
from simeval.report.format import decimal
from simeval.report.terminal.tables import ROOMY, plain_table, print_origin
from simeval.store.run import Run

METHOD = (
    "[95 % credible interval] of a falling curve of success over all tasks, the clean rate with it. Strengths were "
    "placed where they tell most about the threshold: do not compare them one by one."
)


def thresholds_of(run: Run) -> Thresholds | None:
    """The thresholds of a run; `None` if it was no search for any."""
    return thresholds(run.manifest, run.table(COLUMNS)) if is_search(run.manifest) else None


def summarise_thresholds(run: Run, found: Thresholds) -> dict[str, Any]:
    """The result of a search, JSON-ready, with policy and scenes."""
    about = {"policy": run.manifest["identity"]["policy"]["name"], "assets": run.manifest["assets"]}
    return {"schema_version": SCHEMA_VERSION, **about, **asdict(found), "text": found.line}


def print_thresholds(console: Console, run: Run, found: Thresholds) -> None:
    """Print the result of a search."""
    policy = str(run.manifest["identity"]["policy"]["name"])
    console.print(render_thresholds(found, policy=policy, roomy=console.width >= ROOMY))
    console.print(str(run.manifest["assets"]), soft_wrap=True, highlight=False)
    print_origin(console, run)


def headline_of(found: Thresholds, policy: str) -> str:
    """What was searched for, and the clean rate that it hangs on."""
    clean = f"{found.clean_successes} of {found.clean_episodes} clean episodes succeeded"
    return f"{policy} on {found.suite}: strength at which success falls to {100 * found.level:g} % of clean ({clean})"


def render_thresholds(found: Thresholds, *, policy: str, roomy: bool = False) -> Group:
    """One line per axis, then the strengths that were tried, and how to read them."""
    parts: list[RenderableType] = [Text(headline_of(found, policy), style="bold"), Text()]
    parts += [Text(f"{axis.text}{note_of(axis)}") for axis in found.axes]
    parts.append(Text())
    parts += [part for axis in found.axes for part in (_table(axis, roomy=roomy), Text())]
    return Group(*parts, Text(METHOD))


def note_of(axis: AxisThreshold) -> str:
    """What to add to the result of an axis: how many episodes it took, and whether more are wanted."""
    broken = f", {axis.errors} not counted: broken or infeasible" if axis.errors else ""
    end = "" if axis.is_settled else "; not settled, more episodes would tell more"
    return f"  ({axis.episodes} episodes{broken}{end})"


def _table(axis: AxisThreshold, *, roomy: bool) -> Table:
    table = plain_table(f"{axis.label}, {axis.unit}", "strength", roomy=roomy)
    for header in ("succeeded", "of", "curve, %\n[95 % CI]"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in axis.placed:
        near = min(axis.curve, key=lambda point: abs(point.value - row.value))
        curve = f"{decimal(near.rate)} [{decimal(near.low)}, {decimal(near.high)}]"
        table.add_row(f"{row.value:g}", str(row.successes), str(row.episodes), curve)
    return table
