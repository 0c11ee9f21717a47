"""Thresholds beside a sweep, and how often what is printed is true: docs/how-to/thresholds.md."""

from collections.abc import Iterator

import numpy as np

from documented.claims import Claim
from documented.methods import simulated
from documented.runs import rate_of
from simeval.core.types import CLEAN

PAGE = "docs/how-to/thresholds.md"
SWEEPS = {
    "light": [("reference", "light:0.8"), ("reference", "light:0.6"), ("correlation", "light:0.4")],
    "occlusion": [("reference", f"occlusion:{strength}") for strength in ("0.1", "0.2", "0.4")],
    "noise": [("reference", f"noise:{strength}") for strength in ("0.3", "0.5", "1")],
}
"""Strengths of an axis, from weak to strong, with the runs that have them."""
SEARCHED = {"light": "0.59 [0.53, 0.66]", "occlusion": "0.25 [0.12, 0.47]", "noise": "beyond 0.60"}
"""What the search of the page found."""


def statements() -> Iterator[Claim]:
    for axis, found in SEARCHED.items():
        numbers = {"half": f"{half(axis):.2f}", "true": simulated(f"{axis}, rates of `results/correlation`")}
        yield Claim(PAGE, f"| {axis} | {{half}} | {found} | {{true}} % |", numbers)
    yield Claim(PAGE, "on: in {slow} % of searches", {"slow": simulated("success fades slowly").removesuffix(".0")})
    names = {"clean": CLEAN, "weak": "occlusion:0.1", "middle": "occlusion:0.2", "strong": "occlusion:0.4"}
    rates = {word: f"{100 * rate_of('reference', name).rate:.0f}" for word, name in names.items()}
    yield Claim(PAGE, "({clean} % clean, {weak} % at 0.1, {middle} % at 0.2, {strong} % at 0.4)", rates)


def half(axis: str) -> float:
    """The strength at which half of the clean success is left, on straight lines between those of the sweep."""
    strengths = [float(condition.partition(":")[2]) for _, condition in SWEEPS[axis]]
    kept = [rate_of(run, condition).rate / rate_of("reference", CLEAN).rate for run, condition in SWEEPS[axis]]
    assert kept[0] > 0.5 >= kept[-1]
    return float(np.interp(0.5, kept[::-1], strengths[::-1]))
