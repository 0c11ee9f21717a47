"""Error rates and coverage of every number that is printed, simulated with the product's own functions."""

from measured import compared, drift, gate, runs, searches, until
from measured.shares import Measure

NUMBERS: dict[str, Measure] = {
    **runs.NUMBERS,
    **until.NUMBERS,
    **searches.NUMBERS,
    **compared.NUMBERS,
    **gate.NUMBERS,
    **drift.NUMBERS,
}
"""By the heading of their tables."""
