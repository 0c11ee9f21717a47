"""How often a threshold that is printed is true: docs/how-to/thresholds.md."""

from collections.abc import Iterator

from documented.claims import Claim
from documented.methods import simulated

PAGE = "docs/how-to/thresholds.md"
AXES = {
    "light": "| light | 0.58 | 0.60 [0.54, 0.67] |",
    "occlusion": "| occlusion | 0.27 | 0.33 [0.21, 0.43] |",
    "noise": "| noise | 0.97 | beyond 0.78 |",
}
"""Rows of the table of thresholds, without their rates."""


def statements() -> Iterator[Claim]:
    for axis, row in AXES.items():
        yield Claim(PAGE, f"{row} {{true}} % |", {"true": simulated(f"{axis}, rates of `results/correlation`")})
