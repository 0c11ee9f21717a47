"""Terminal output of a search for a bad condition: the find, and the conditions that looked worst."""

from dataclasses import asdict
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from simeval.analysis.worst import COLUMNS, SCHEMA_VERSION, WorstFound, percent, worst
from simeval.config.layout import WORST, verb_of
from simeval.report.format import decimal
from simeval.report.terminal.tables import ROOMY, plain_table, print_origin
from simeval.store.run import Run

METHOD = (
    "Worst found, not the worst there is. Its rate and drop are of the fresh pairs alone: initial states that no "
    "episode of the search used. Its rate in the search is biased, as it was named for being low. [95 % CI]: success "
    "by Wilson's formula, drop by Bonett-Price on pairs. Both weigh tasks equally; the drop is over "
    "complete pairs."
)


def worst_of(run: Run) -> WorstFound | None:
    """The find of a run; `None` if it was no search for a bad condition."""
    return worst(run.manifest, run.table(COLUMNS)) if verb_of(run.manifest) == WORST else None


def summarise_worst(run: Run, found: WorstFound) -> dict[str, Any]:
    """The result of a search, JSON-ready, with policy and scenes."""
    about = {"policy": run.manifest["identity"]["policy"]["name"], "assets": run.manifest["assets"]}
    return {"schema_version": SCHEMA_VERSION, **about, **asdict(found)}


def print_worst(console: Console, run: Run, found: WorstFound) -> None:
    """Print the result of a search."""
    policy = str(run.manifest["identity"]["policy"]["name"])
    console.print(render_worst(found, policy=policy, roomy=console.width >= ROOMY))
    console.print(str(run.manifest["assets"]), soft_wrap=True, highlight=False)
    print_origin(console, run)


def headline_of(found: WorstFound, policy: str) -> str:
    """What was searched."""
    broken = f", {found.errors} episodes not counted: broken or infeasible" if found.errors else ""
    return (
        f"{policy} on {found.suite}: {found.tried} of {found.conditions} conditions of {', '.join(found.labels)} "
        f"tried in {found.searched} episodes{broken}"
    )


def facts_of(found: WorstFound) -> tuple[tuple[str, str], ...]:
    """The numbers of the find, as (label, value)."""
    confirmed = found.confirmation
    if found.condition is None:
        return ()
    drop = "-"
    if confirmed.drop is not None:
        drop = f"{decimal(confirmed.drop)} points"
        if confirmed.low is not None:
            drop += f" [{decimal(confirmed.low)}, {decimal(confirmed.high)}]"
        drop += f", {confirmed.harmed} harmed, {confirmed.helped} helped"
    pairs = f"{confirmed.pairs} fresh pairs" + ("" if found.is_complete else ", not complete")
    searched = found.in_search
    return (
        ("worst found", found.condition),
        ("success there", f"{percent(confirmed.rate)}  ({pairs})"),
        ("clean", f"{percent(confirmed.clean)}  (their twins)"),
        ("drop", drop),
        ("success at random conditions", f"{percent(found.uniform)}  ({found.uniform.episodes} episodes)"),
        ("in the search, biased", f"{searched.successes} of {searched.episodes} succeeded"),
    )


def render_worst(found: WorstFound, *, policy: str, roomy: bool = False) -> Group:
    """The find, then the conditions that looked worst, and how to read them."""
    facts = facts_of(found) or (("worst found", found.text),)
    width = max(len(label) for label, _ in facts)
    table = plain_table("looked worst in the search", "condition", roomy=roomy)
    for header in ("succeeded", "of", "suggested, %"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in found.listed:
        table.add_row(row.condition, str(row.successes), str(row.episodes), decimal(row.suggested))
    lines = [Text(f"{label:{width}}  {value}") for label, value in facts]
    return Group(Text(headline_of(found, policy), style="bold"), Text(), *lines, Text(), table, Text(), Text(METHOD))
