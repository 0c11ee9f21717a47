"""Is a loss below a margin? The rule of a gate on paired outcomes, its exact power, and the pairs that settle it.

A loss is A minus B on the same episodes. It is called less than the margin if Tango's score test rejects "the loss is
the margin" at 5 %, one-sided. While hardly any pair changes, that test errs in up to 7 % of runs (no change in 52 pairs
already excludes 5 points), so the exact binomial test of the harmed pairs has to reject it as well. Then a loss of the
margin passes in at most 5.7 % of runs, and in about 5.0 % from 100 pairs and 5 % flips on (exact, see the tests).
"""

from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import gammaln, xlogy

from simeval.stats.intervals import Interval
from simeval.stats.power import ALPHA, BACKGROUND, POWER, pairs_needed

MOST_PAIRS = 100_000
"""No suite has more; a larger number that would settle it is not searched."""
LEAST_LOSS = 0.005
"""A smaller loss is shown to be within a margin before it is called."""
_SPREAD = 8
"""Standard deviations around the expected counts whose tables are summed."""


def is_within(harmed: ArrayLike, helped: ArrayLike, n: int, margin: float) -> NDArray[np.bool_]:
    """Whether counts of pairs show that the loss is below a margin, at 5 % one-sided.

    Args:
        harmed: int[...], pairs that only A solved.
        helped: int[...], pairs that only B solved.
        n: pairs.
        margin: a fraction in (0, 1).
    """
    lost, won = np.asarray(harmed, dtype=float), np.asarray(helped, dtype=float)
    b = (2 * n - lost + won) * margin - lost - won
    root = np.sqrt(np.maximum(0.0, b * b + 8 * n * won * margin * (1 - margin)))
    help_chance = (root - b) / (4 * n)  # the likeliest one if the margin were the loss
    variance = n * (2 * help_chance + margin * (1 - margin))
    score = (lost - won - n * margin) / np.sqrt(np.maximum(variance, 1e-300))
    below = score < -stats.norm.isf(ALPHA)
    few: NDArray[np.bool_] = (
        stats.binom.cdf(np.arange(n + 1), n, margin) < ALPHA
    )  # that is, `largest_harm` is below the margin
    shown: NDArray[np.bool_] = below & (few[lost.astype(int)] | (won > 0))
    return shown


def largest_harm(harmed: float, n: float) -> float:
    """Clopper and Pearson's upper limit of the share of harmed pairs, at 5 % one-sided.

    Args:
        harmed: pairs; no whole number where weights make them a share of `n`.
        n: pairs, or as many of equal weight.
    """
    whole = 1e-9  # a share times n comes with rounding
    return float(stats.beta.isf(ALPHA, harmed + 1, n - harmed)) if harmed < n - whole else 1.0


def chance_to_show_within(n: int, loss: float, margin: float, *, background: float = BACKGROUND) -> float:
    """Exact probability that `n` pairs show a true loss to be below a margin, see `is_within`.

    Args:
        n: pairs.
        loss: the true loss, a fraction; negative for a gain.
        margin: a fraction in (0, 1).
        background: share of pairs that flip without net effect; less where `loss` leaves no room for it.
    """
    discordant = min(1.0, abs(loss) + background)
    chances = (discordant + loss) / 2, (discordant - loss) / 2
    harmed, helped = np.meshgrid(*(_likely(n, chance) for chance in chances), indexing="ij")
    possible = harmed + helped <= n
    harmed, helped = harmed[possible], helped[possible]
    same = n - harmed - helped
    log_chance = gammaln(n + 1) - gammaln(harmed + 1) - gammaln(helped + 1) - gammaln(same + 1)
    log_chance += xlogy(harmed, chances[0]) + xlogy(helped, chances[1]) + xlogy(same, max(0.0, 1 - discordant))
    return float(min(1.0, np.exp(log_chance[is_within(harmed, helped, n, margin)]).sum()))


def _likely(n: int, chance: float) -> NDArray[np.int_]:
    """The counts that happen in `n` pairs, but for a negligible rest."""
    half = _SPREAD * sqrt(n * chance * (1 - chance)) + _SPREAD
    return np.arange(max(0, int(n * chance - half)), min(n, ceil(n * chance + half)) + 1)


def pairs_to_show_within(
    loss: float, margin: float, *, background: float = BACKGROUND, power: float = POWER, most: int = MOST_PAIRS
) -> int | None:
    """Number of pairs that show a true loss to be below a margin with the given probability.

    Args:
        loss: the true loss, a fraction; negative for a gain.
        margin: a fraction in (0, 1).
        background: share of pairs that flip without net effect.
        power: the probability.
        most: a larger number is not searched.

    Returns:
        A number of which one pair fewer does not; `None` if the loss is not below the margin, or that takes more than
        `most`.
    """
    if loss >= margin or _about(loss, margin, background, power) > 2 * most:
        return None
    enough = max(8, round(_about(loss, margin, background, power) / 4))
    while chance_to_show_within(enough, loss, margin, background=background) < power:
        enough = ceil(enough * 1.5)
        if enough > 2 * most:
            return None
    too_few = enough // 2
    while too_few and chance_to_show_within(too_few, loss, margin, background=background) >= power:
        too_few //= 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        shown = chance_to_show_within(middle, loss, margin, background=background) >= power
        too_few, enough = (too_few, middle) if shown else (middle, enough)
    return enough if enough <= most else None


def _about(loss: float, margin: float, background: float, power: float) -> float:
    """The same by a normal approximation: where to search."""
    spread = sqrt(max(0.0, min(1.0, abs(loss) + background) - loss**2))
    return ((NormalDist().inv_cdf(1 - ALPHA) + NormalDist().inv_cdf(power)) * spread / (margin - loss)) ** 2


def pairs_to_settle(loss: float, margin: float, *, background: float, tests: int, beyond: float = 0) -> int | None:
    """Number of pairs that call a true loss, or show it to be below the margin, whichever takes fewer.

    In 80 % of runs; where a run has as many already and is still undecided, in 90 or 95 %.

    Args:
        loss: the true loss, a fraction; negative for a gain.
        margin: a fraction in (0, 1).
        background: share of pairs that flip without net effect.
        tests: comparisons in Holm's adjustment.
        beyond: the run's pairs, or as many of equal weight.

    Returns:
        `None` if there is no such number up to `MOST_PAIRS`.
    """
    for power in (POWER, 0.9, 0.95):
        find = MOST_PAIRS + 1
        if loss > LEAST_LOSS:
            find = pairs_needed(loss, background=background, alpha=ALPHA / max(1, tests), power=power)
        most = min(find, MOST_PAIRS)
        show = pairs_to_show_within(loss, margin, background=background, power=power, most=most)
        enough = find if show is None else show
        if enough > MOST_PAIRS:
            return None
        if enough > beyond:
            return enough
    return None


def states_to_settle(interval: Interval, loss: float, margin: float, *, states: float, tests: int) -> int | None:
    """As `pairs_to_settle`, for initial states whose repeats differ; from the width of Student's t interval.

    Args:
        interval: of the gain, over the states.
        loss: the true loss.
        margin: a fraction.
        states: number of initial states, or as many of equal weight.
        tests: comparisons in Holm's adjustment.
    """
    free = max(1, int(states + 1e-9) - 1)
    error = (interval.high - interval.low) / 2 / float(stats.t.isf((1 - interval.level) / 2, free))
    z_power, z_margin, z_find = (NormalDist().inv_cdf(x) for x in (POWER, 1 - ALPHA, 1 - ALPHA / 2 / max(1, tests)))
    ratios = [(z_margin + z_power) / (margin - loss)] if loss < margin else []
    ratios += [(z_find + z_power) / loss] if loss > 0 else []
    enough = ceil(states * (error * min(ratios)) ** 2)
    return enough if states < enough <= MOST_PAIRS else None
