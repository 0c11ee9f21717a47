"""Pairs that are needed when conditions stop by themselves: docs/how-to/stop-early.md."""

from collections.abc import Iterator

from documented.benchmarks import benchmark
from documented.claims import Table

PAGE = "docs/how-to/stop-early.md"
COLUMNS = (
    *("run", "conditions", "pairs of each", "pairs needed"),
    *("drops of 10 points or more", "found again", "pairs needed by them"),
)


def statements() -> Iterator[Table]:
    yield Table(PAGE, f"| {' | '.join(COLUMNS)} |", rows)


def rows() -> dict[str, tuple[str, ...]]:
    """What the stored runs needed, by run."""
    return {
        f"`results/{row['run']}`": (
            str(row["conditions"]),
            f"{row['pairs'] / row['conditions']:.0f}",
            f"{100 * row['share needed']:.0f} %",
            str(row["drops of 10 or more"]),
            str(row["found again"]),
            f"{100 * row['share needed by them']:.0f} %",
        )
        for row in benchmark("until_decided")["together"]
    }
