"""Success by latency: docs/how-to/latency.md."""

from collections.abc import Iterator

from documented.claims import Table
from documented.formats import percent, span
from documented.runs import analysed, clean_rate

PAGE = "docs/how-to/latency.md"
HEADER = "| latency | block, % | drop, points (95 % interval) | async, % | drop | rtc, % | drop |"


def statements() -> Iterator[Table]:
    yield Table(PAGE, HEADER, latency_rows)


def latency_rows() -> dict[str, tuple[str, ...]]:
    """Success and drop by latency, for each mode."""
    rates = {row.condition: row for row in analysed("latency").rates}
    drops = {row.condition: row for row in analysed("latency").drops}
    rows = {"0": (percent(clean_rate("latency").rate), "", *[""] * 4)}
    for steps in (1, 2, 4, 8):
        cells: list[str] = []
        for mode in ("", "/mode=async", "/mode=rtc"):
            name = f"latency:{steps}{mode}"
            cells += [percent(rates[name].rate), f"{percent(drops[name].drop)} ({span(drops[name].interval)})"]
        rows[f"{50 * steps} ms"] = tuple(cells)
    return rows
