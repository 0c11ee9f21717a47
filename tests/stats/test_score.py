"""Tango's interval against robostats; the cases in which Bonett and Price's says "below 5 points" too early."""

import pytest
from robostats.compare import paired_difference
from robostats.records import PairedResult

from simeval.stats.score import tango


@pytest.mark.parametrize(
    ("harmed", "helped", "pairs", "level", "low", "high"),
    [(10, 0, 25, 0.95, 0.214, 0.593), (0, 0, 50, 0.95, -0.0713, 0.0713), (0, 0, 50, 0.90, -0.0513, 0.0513)],
)
def test_goldens(harmed, helped, pairs, level, low, high):
    found = tango(harmed, helped, pairs, level)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize("level", [0.90, 0.95])
@pytest.mark.parametrize("pairs", [1, 2, 6, 50, 211])
def test_robostats_finds_the_same(pairs, level):
    cells = {(0, 0), (pairs, 0), (0, pairs), (pairs // 2, pairs - pairs // 2), (pairs // 3, pairs // 5), (1, 0), (0, 1)}
    for harmed, helped in cells:
        found = tango(harmed, helped, pairs, level)
        table = PairedResult("a", "b", 0, harmed, helped, pairs - harmed - helped, (), 0, 0, (), (), None)
        theirs = paired_difference(table, confidence=level)
        assert (found.low, found.high) == pytest.approx((theirs.lower, theirs.upper), abs=1e-8)


def test_no_pairs_know_nothing_and_impossible_counts_are_refused():
    assert (tango(0, 0, 0, 0.9).low, tango(0, 0, 0, 0.9).high) == (-1, 1)
    with pytest.raises(ValueError, match="3 harmed and 2 helped of 4 pairs"):
        tango(3, 2, 4, 0.9)
