"""Stored runs, and their rates as texts."""

from functools import cache

from documented import ROOT
from documented.formats import percent, span
from simeval.analysis import success
from simeval.core.types import CLEAN
from simeval.store.run import Run


@cache
def run(name: str) -> Run:
    """A stored run."""
    return Run.load(ROOT / "results" / name)


@cache
def analysed(name: str) -> success.RunAnalysis:
    return success.analyse(run(name).table(success.USED))


def rate_of(name: str, condition: str) -> success.ConditionRate:
    return next(row for row in analysed(name).rates if row.condition == condition)


def clean_rate(name: str) -> success.ConditionRate:
    return rate_of(name, CLEAN)


def clean_numbers(name: str) -> dict[str, str]:
    """The unperturbed rate of a run, its counts and its interval."""
    row = clean_rate(name)
    low, high = span(row.interval).split(" to ")
    return {"wins": str(row.successes), "n": str(row.n), "rate": percent(row.rate), "low": low, "high": high}
