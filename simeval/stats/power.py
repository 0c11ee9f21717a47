"""Statistical power of a number of pairs. Standard library only, so that `simeval plan` starts quickly."""

from math import sqrt
from statistics import NormalDist

BACKGROUND = 0.04
"""Assumed share of pairs that flip without net effect, for the smallest visible drop. Our choice."""


def smallest_visible_drop(
    n: int, *, background: float = BACKGROUND, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Smallest drop that `n` pairs show with the given power: Connor's (1987) sample size for McNemar, inverted.

    Assumes independent pairs, and that a drop of d comes with d + `background` discordant pairs. Connor's formula is a
    normal approximation: the exact test needs about one point more at 50 pairs.

    Args:
        n: pairs.
        background: share of pairs that flip without net effect.
        alpha: two-sided level of the test.
        power: probability of a significant result.

    Returns:
        A fraction in (0, 1]; `None` if `n` pairs cannot show any drop.
    """
    largest = 1 - background
    z_alpha, z_beta = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)

    def pairs_needed(drop: float) -> float:
        discordant = drop + background
        return (z_alpha * sqrt(discordant) + z_beta * sqrt(discordant - drop**2)) ** 2 / drop**2

    # Even if every pair is harmed, the exact test cannot fall below 2 / 2^n.
    if largest <= 0 or 2.0 ** (1 - min(n, 1000)) >= alpha or pairs_needed(largest) > n:
        return None
    too_small, visible = 0.0, largest
    while visible - too_small > 1e-9:
        middle = (too_small + visible) / 2
        too_small, visible = (middle, visible) if pairs_needed(middle) > n else (too_small, middle)
    return visible
