"""How many pairs `--until decided` needs: stored runs of fixed size, replayed in rounds.

Run: python tests/benchmarks/until_decided.py [RUN ...]. Nothing is rolled out. For each condition it prints the verdict
of the whole run by its fixed-size test, and the verdict and the pairs of the same rows when a condition stops as soon
as it is decided.
"""

import sys
from pathlib import Path

from report import ROOT, Report

from simeval.analysis.success import analyse
from simeval.config.decisions import RunDecisions
from simeval.config.evaluation import from_mapping
from simeval.config.layout import Planned, layout_of, planned
from simeval.config.plan import make_plan
from simeval.store.run import Run

RUNS = ("reference", "correlation", "spatial", "object", "goal")
LARGE = 10.0
"""Drops that have to be found again (points)."""
WORDS = {"drop": "drop", "within": "within margin"}


def replay(run: Run, margin: float) -> RunDecisions:
    """Follow a stored run in rounds until everything is decided."""
    plan = make_plan(from_mapping(run.manifest["config"]))
    manifest = {**run.manifest, "grown": [], "layout": layout_of(plan)}
    decisions = RunDecisions(planned(manifest), margin)
    rows = run.episodes
    names = zip(rows["suite"], rows["task"], rows["init_state"], rows["condition"], rows["repeat"], strict=True)
    for key, outcome in zip(names, rows["outcome"], strict=True):
        decisions.record(Planned(*key), outcome)
    return decisions


def compare(run: Run) -> list[dict]:
    """One row per condition."""
    whole = analyse(run.episodes)
    decisions, rows = replay(run, whole.margin), []
    for row in whole.drops:
        test = decisions.test(row.suite)
        found = test.decisions.get(row.condition)
        pairs = found.pairs if found else len(test.differences(row.condition))
        rows.append(
            {
                "suite": row.suite,
                "condition": row.condition,
                "drop": round(100 * row.drop, 1) if row.drop is not None else None,
                "pairs": row.pairs,
                "whole run": row.verdict or "n/a",
                "until decided": WORDS[found.verdict] if found else "undecided",
                "after pairs": pairs,
            }
        )
    return rows


def total(name: str, rows: list[dict]) -> dict:
    """What the rows of a run say together."""
    large = [row for row in rows if row["whole run"] == "drop" and row["drop"] >= LARGE]
    return {
        "run": name,
        "conditions": len(rows),
        "pairs": sum(row["pairs"] for row in rows),
        "share needed": round(sum(row["after pairs"] for row in rows) / sum(row["pairs"] for row in rows), 3),
        "drops of 10 or more": len(large),
        "found again": sum(row["until decided"] == "drop" for row in large),
        "share needed by them": round(sum(row["after pairs"] / row["pairs"] for row in large) / max(1, len(large)), 3),
        "other words": sum({row["whole run"], row["until decided"]} == {"drop", "within margin"} for row in rows),
    }


def main() -> None:
    """Print and store the comparison."""
    report = Report("until_decided", __doc__.splitlines()[0])
    totals = []
    for folder in [Path(name) for name in sys.argv[1:]] or [ROOT / "results" / name for name in RUNS]:
        rows = compare(Run.load(folder))
        if rows:
            report.table(folder.name, rows)
            totals.append(total(folder.name, rows))
    report.table("together", totals)
    report.write(None)


if __name__ == "__main__":
    main()
