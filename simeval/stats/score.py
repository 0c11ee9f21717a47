"""Tango's score interval of a paired difference: the differences that the score test does not reject."""

from math import sqrt

from simeval.stats.intervals import Interval
from simeval.stats.quantiles import normal_isf


def tango(harmed: float, helped: float, n: float, level: float) -> Interval:
    """Interval of the drop (Tango 1998); (-1, 1) without pairs.

    Args:
        harmed: pairs that only the clean episode solved.
        helped: pairs that only the perturbed episode solved.
        n: pairs. All three are fractions where they stand for as many pairs of equal weight.
        level: nominal coverage.

    Raises:
        ValueError: there are more changed pairs than pairs.
    """
    if harmed < 0 or helped < 0 or harmed + helped > n * (1 + 1e-12):
        raise ValueError(f"{harmed} harmed and {helped} helped of {n} pairs")
    z, estimate = normal_isf((1 - level) / 2), (harmed - helped) / n if n else 0.0

    def distance(drop: float) -> float:
        """Positive where the test rejects `drop`; times a variance, so that it is finite at -1 and 1."""
        a = 2 * n
        b = (2 * n - harmed + helped) * drop - harmed - helped
        c = -helped * drop * (1 - drop)
        help_chance = (sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)  # the likeliest one if `drop` were true
        return (harmed - helped - n * drop) ** 2 - z**2 * n * (2 * help_chance + drop * (1 - drop))

    def limit(end: float) -> float:
        if n == 0 or estimate == end or distance(end) <= 0:
            return end
        # By halving, as importing SciPy's root finders takes longer than all else that `show` does.
        inside, outside = estimate, end
        while abs(outside - inside) > 1e-15:
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if distance(middle) > 0 else (middle, outside)
        return inside

    return Interval(limit(-1.0), limit(1.0), level, "tango")
