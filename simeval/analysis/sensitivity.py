"""What a finished comparison can find, and how many pairs more would decide it."""

from dataclasses import replace
from math import ceil, floor, log10

from simeval.stats.paired import PairedDrop
from simeval.stats.power import ALPHA, Sensitivity, pairs_to_decide, sensitivity
from simeval.stats.states import chance_over_states, smallest_visible_over_states


def size_of(paired: PairedDrop, tests: int, background: float) -> Sensitivity:
    """What a comparison of this size can find by the test in use.

    Args:
        paired: the comparison.
        tests: number of conditions in Holm's adjustment.
        background: share of pairs that flip without net effect.
    """
    size = sensitivity(paired.units, tests, background=background)
    if paired.half is None or size.visible is None:
        return replace(size, equal=paired.n_eff is None)
    size = replace(size, harmed=None, usual_helped=None, usual_harmed=None)
    # Repeats differ: the test is of the states, and what it finds depends on how far these differ, weights included.
    states = max(2, int((paired.n_eff or paired.units) + 1e-9))
    level, alpha = paired.interval.level, ALPHA / tests
    visible = smallest_visible_over_states(states, paired.half, level=level, alpha=alpha)
    if visible > 1:
        return replace(size, visible=None, half_found=None)
    half_found = chance_over_states(visible / 2, states, paired.half, level=level, alpha=alpha)
    return replace(size, visible=visible, half_found=half_found)


def more_pairs(paired: PairedDrop, size: Sensitivity, margin: float) -> int | None:
    """About how many pairs more would call the drop, or show that it is below the margin, if it is as estimated.

    Returns:
        A number with two digits that count; `None` for repeated initial states, and where the pairs should have
        sufficed.
    """
    if paired.drop is None or paired.units < paired.n:
        return None
    needed = pairs_to_decide(paired.drop, margin, background=size.background, alpha=ALPHA / size.tests)
    # More pairs of the same tasks in the same proportions.
    wanted = max(needed, size.harmed or 0) * (paired.units / paired.n_eff if paired.n_eff else 1)
    missing = ceil(wanted) - paired.units
    if missing <= 0:
        return None
    unit: int = 10 ** max(0, floor(log10(missing)) - 1)
    return ceil(missing / unit) * unit
