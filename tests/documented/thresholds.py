"""How often a threshold that is printed is true: docs/how-to/thresholds.md."""

from collections.abc import Iterator

from documented.claims import Claim
from documented.methods import simulated

PAGE = "docs/how-to/thresholds.md"
AXES = {
    "light": "| light | 0.59 | 0.59 [0.53, 0.66] |",
    "occlusion": "| occlusion | 0.27 | 0.25 [0.12, 0.47] |",
    "noise": "| noise | 1.00 | beyond 0.60 |",
}
"""Rows of the table of thresholds, without their rates."""


def statements() -> Iterator[Claim]:
    for axis, row in AXES.items():
        yield Claim(PAGE, f"{row} {{true}} % |", {"true": simulated(f"{axis}, rates of `results/correlation`")})
