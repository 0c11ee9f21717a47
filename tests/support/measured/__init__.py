"""Error rates and coverage of every number that is printed, simulated with the product's own functions."""

from measured import compared, drift, runs, until
from measured.shares import Measure

NUMBERS: dict[str, Measure] = {**runs.NUMBERS, **until.NUMBERS, **compared.NUMBERS, **drift.NUMBERS}
"""By the heading of their tables."""
