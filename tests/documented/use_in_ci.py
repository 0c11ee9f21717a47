"""How often an equal candidate passes the gate: docs/how-to/use-in-ci.md."""

from collections.abc import Iterator

from documented.claims import Claim
from documented.methods import simulated

PAGE = "docs/how-to/use-in-ci.md"


def statements() -> Iterator[Claim]:
    yield Claim(
        PAGE,
        "six conditions of {pairs} pairs pass together in {rate} % of runs",
        {"pairs": "263", "rate": simulated("an equal candidate passes, 6 conditions, 263 pairs")},
    )
