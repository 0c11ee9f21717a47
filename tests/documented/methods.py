"""Simulated error rates: docs/reference/methods.md."""

from collections.abc import Iterator, Mapping
from functools import partial

from documented.benchmarks import benchmark
from documented.claims import Table
from documented.formats import percent

PAGE = "docs/reference/methods.md"
HEADER = "| {} | aimed at | simulated | runs |"


def statements() -> Iterator[Table]:
    for title in error_rates():
        yield Table(PAGE, HEADER.format(title), partial(error_rate_rows, title))


def error_rates() -> dict[str, list[dict]]:
    """Error rates, by the heading of their tables."""
    return benchmark("error_rates")


def error_rate_rows(title: str) -> dict[str, tuple[str, ...]]:
    """What a table of error rates says, by world."""
    rows = {}
    for row in error_rates()[title]:
        aim = "-" if row["nominal"] is None else f"{row['aim']} {100 * row['nominal']:.3g}"
        found = percent(row["simulated"])
        found = f"**{found}** ± {percent(row['error'])}" if missed(row) else f"{found} ± {percent(row['error'])}"
        rows[row["world"]] = (aim, found, str(row["runs"]))
    return rows


def missed(row: Mapping) -> bool:
    """Whether a simulated share is beyond what was aimed at by more than two standard errors."""
    if row["nominal"] is None:
        return False
    beyond = row["simulated"] - row["nominal"]
    signed = {"at least": -beyond, "at most": beyond, "about": abs(beyond)}[row["aim"]]
    return signed > 2 * row["error"]


def simulated(world: str) -> str:
    """The simulated share of a world, in percent."""
    shares = {row["world"]: percent(row["simulated"]) for rows in error_rates().values() for row in rows}
    return shares[world]
