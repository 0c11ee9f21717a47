"""What a number of pairs can find: exact power of McNemar's exact test. Standard library only: `plan` starts quickly.

A true drop of d is taken to come with d + background discordant pairs, of which background / 2 are helped. Pairs are
taken to be independent and alike; where tasks differ in their loss, the power is a little lower.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist, median

ALPHA = 0.05
"""Two-sided level of all tests, after Holm's adjustment."""
BACKGROUND = 0.15
"""Assumed share of pairs that flip without net effect. Our choice; stored runs of the bundled policies: 10 to 18 %."""
LEAST_BACKGROUND = 0.04
"""Taken instead of a smaller share: no flip in a few pairs does not mean that none can happen. Our choice."""
POWER = 0.8
"""Share of runs that find the drop which tables and plans name."""
PRECISION = 1e-5
"""Of a smallest drop (fraction)."""
MAX_EXACT = 20_000
"""Pairs above which the normal approximation is used; there it is right to a tenth of a point."""


def background_of(counts: Iterable[tuple[int, int, int]], least: float = LEAST_BACKGROUND) -> float | None:
    """Share of pairs that flip without net effect: the median over conditions, at least `least`.

    Args:
        counts: harmed, helped and all pairs of each condition; conditions without pairs are left out.
        least: taken instead of a smaller share.

    Returns:
        A fraction; `None` without pairs.
    """
    shares = [2 * min(harmed, helped) / pairs for harmed, helped, pairs in counts if pairs]
    return max(least, median(shares)) if shares else None


def fewest_harmed(alpha: float = ALPHA, helped: int = 0) -> int:
    """Harmed pairs that suffice for p < `alpha` beside some helped ones. With none helped: the fewest pairs at all."""
    # P(at most `helped` of the changed pairs are helped), and the probability of exactly `helped`
    changed, tail, log_exactly = helped, 1.0, -helped * log(2)
    while 2 * tail >= alpha:
        tail -= exp(log_exactly) / 2
        log_exactly += log((changed + 1) / (changed + 1 - helped) / 2)
        changed += 1
    return changed - helped


def chance_to_find(n: int, drop: float, *, background: float = BACKGROUND, alpha: float = ALPHA) -> float:
    """Probability that `n` pairs show a true drop: McNemar's exact p < `alpha`, and more harmed than helped.

    Args:
        n: pairs.
        drop: a fraction in (0, 1].
        background: share of pairs that flip without net effect; less where `drop` leaves no room for it.
        alpha: two-sided level of the test.
    """
    discordant = min(1.0, drop + background)
    if n > MAX_EXACT:
        z_alpha = NormalDist().inv_cdf(1 - alpha / 2)
        return NormalDist().cdf((drop * sqrt(n) - z_alpha * sqrt(discordant)) / sqrt(discordant - drop**2 + 1e-12))
    share = (discordant + drop) / 2 / discordant
    last = min(n, ceil(n * discordant + 10 * sqrt(n * discordant)) + 10)  # more discordant pairs hardly happen
    logs = [lgamma(k + 1) for k in range(n + 1)]

    def probability(k: int, trials: int, chance: float) -> float:
        if chance == 1:
            return float(k == trials)
        ways = logs[trials] - logs[k] - logs[trials - k]
        return exp(ways + k * log(chance) + (trials - k) * log1p(-chance))

    # `under_null`, `under_drop`: P(harmed >= critical) among `trials` discordant pairs. One pair more adds chance times
    # P(harmed = critical - 1) and raises the critical number by 1 at most, so one walk sums the power.
    total, critical, under_null, under_drop = 0.0, 1, 0.0, 0.0
    for trials in range(1, last + 1):
        under_null += 0.5 * probability(critical - 1, trials - 1, 0.5)
        under_drop += share * probability(critical - 1, trials - 1, share)
        if 2 * under_null >= alpha:
            under_null -= probability(critical, trials, 0.5)
            under_drop -= probability(critical, trials, share)
            critical += 1
        total += probability(trials, n, discordant) * under_drop
    return min(1.0, max(0.0, total))


def smallest_visible_drop(
    n: int, *, background: float = BACKGROUND, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """Smallest true drop that `n` pairs find with the given probability, see `chance_to_find`.

    Returns:
        A fraction in (0, 1]; `None` if `n` pairs find no drop so often.
    """
    if n < fewest_harmed(alpha) or chance_to_find(n, 1.0, background=background, alpha=alpha) < power:
        return None
    too_small, visible = 0.0, 1.0
    while visible - too_small > PRECISION:
        middle = (too_small + visible) / 2
        found = chance_to_find(n, middle, background=background, alpha=alpha) >= power
        too_small, visible = (too_small, middle) if found else (middle, visible)
    return visible


def pairs_needed(drop: float, *, background: float = BACKGROUND, alpha: float = ALPHA, power: float = POWER) -> int:
    """Number of pairs that find a true drop with the given probability, while one pair fewer does not.

    Args:
        drop: a fraction in (0, 1].
        background: share of pairs that flip without net effect.
        alpha: two-sided level of the test.
        power: the probability, in (0, 1).
    """
    enough = fewest_harmed(alpha)
    while chance_to_find(enough, drop, background=background, alpha=alpha) < power:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        found = chance_to_find(middle, drop, background=background, alpha=alpha) >= power
        too_few, enough = (too_few, middle) if found else (middle, enough)
    return enough


def pairs_to_decide(
    drop: float, margin: float, *, background: float = BACKGROUND, alpha: float = ALPHA, power: float = POWER
) -> float:
    """About how many pairs find a true drop, or show with 5 % risk that it is below a margin, whichever takes fewer.

    Normal approximations (for the test: Connor 1987).

    Args:
        drop: a fraction, negative for a gain.
        margin: a fraction.
        background: share of pairs that flip without net effect.
        alpha: two-sided level of the test.
        power: the probability.
    """
    discordant = min(1.0, abs(drop) + background)
    z_alpha, z_beta, z_margin = (NormalDist().inv_cdf(x) for x in (1 - alpha / 2, power, 1 - ALPHA))
    spread = sqrt(max(0.0, discordant - drop**2))
    find = ((z_alpha * sqrt(discordant) + z_beta * spread) / drop) ** 2 if drop > 0 else inf
    exclude = ((z_margin + z_beta) * spread / (margin - drop)) ** 2 if drop < margin else inf
    return min(find, exclude)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a comparison of some size can find.

    Attributes:
        pairs: pairs, or initial states that were run several times each.
        tests: comparisons in Holm's adjustment; their smallest p must be below `ALPHA / tests`.
        background: share of pairs that flip without net effect.
        power: share of runs that find `visible`.
        visible: smallest true drop found so often, if it were the only one; `None` if there is none.
        half_found: share of runs that find a drop half as large.
        harmed: harmed pairs, none helped, from which a drop is called if it is the only one; `None` for a t test.
        usual_helped, usual_harmed: the same beside as many helped pairs as `background` lets expect; `None` if that is
            no pair, or for a t test.
        equal: false where the numbers are those of as many pairs in equal tasks, and the tasks are not equal: there a
            count of harmed pairs does not say how many points they cost.
    """

    pairs: int
    tests: int
    background: float
    power: float
    visible: float | None
    half_found: float | None
    harmed: int | None
    usual_helped: int | None = None
    usual_harmed: int | None = None
    equal: bool = True


@lru_cache(maxsize=256)
def sensitivity(pairs: int, tests: int, *, background: float = BACKGROUND, power: float = POWER) -> Sensitivity:
    """What this many pairs can find; arguments as for `Sensitivity`."""
    alpha = ALPHA / max(1, tests)
    visible = smallest_visible_drop(pairs, background=background, alpha=alpha, power=power)
    half = None if visible is None else chance_to_find(pairs, visible / 2, background=background, alpha=alpha)
    helped = round(pairs * background / 2)
    harmed = fewest_harmed(alpha, helped)
    usual = (helped, harmed) if helped and harmed + helped <= pairs else (None, None)
    return Sensitivity(pairs, tests, background, power, visible, half, fewest_harmed(alpha), *usual)
