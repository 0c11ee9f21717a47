"""What a planned run with `--until decided` can find: its tests are not those of a run of fixed size."""

from dataclasses import dataclass

from simeval.config.evaluation import EvalConfig
from simeval.config.outlook import Background, Wish, simulated_runs
from simeval.config.plan import Plan
from simeval.core.chances import counted, odds
from simeval.core.types import CLEAN


@dataclass(frozen=True, slots=True)
class UntilOutlook:
    """What one suite can find.

    Attributes:
        suite: its name.
        conditions: number of perturbed conditions.
        pairs: most pairs of a condition; repeats of an initial state are one pair.
        earliest: pairs after which a first drop is called at the earliest.
        expected: mean number of pairs of a condition with the wished drop; `None` without a wish.
        found: share of such runs that call it.
    """

    suite: str
    conditions: int
    pairs: int
    earliest: int
    expected: float | None
    found: float | None


def until_outlooks(plan: Plan, config: EvalConfig, background: Background, wish: Wish) -> tuple[UntilOutlook, ...]:
    """One per suite of the plan, as each is tested apart."""
    return tuple(_outlook(plan, config, suite, background, wish) for suite in config.suite)


def _outlook(plan: Plan, config: EvalConfig, suite: str, background: Background, wish: Wish) -> UntilOutlook:
    from simeval.stats.anytime import expected_pairs, fewest_pairs  # not earlier: SciPy takes half a second

    mine = [spec for spec in plan.episodes if spec.suite == suite]
    tests = len({spec.condition for spec in mine if spec.condition != CLEAN})
    cells = len({(spec.task, spec.init_state) for spec in mine})
    pairs = cells if config.max_pairs is None else min(cells, config.max_pairs)
    expected = found = None
    if wish.drop is not None:
        share = min(background.share, 1 - wish.drop)
        expected, found = expected_pairs(
            wish.drop, background=share, tests=tests, most=pairs, runs=simulated_runs(pairs)
        )
    return UntilOutlook(suite, tests, pairs, fewest_pairs(tests), expected, found)


def until_lines(found: tuple[UntilOutlook, ...], background: Background, wish: Wish) -> list[str]:
    """What `plan` prints of them."""
    lines = []
    for outlook in found:
        where = f"{outlook.suite}: " if len(found) > 1 else ""
        most = counted(outlook.pairs, "pair")
        lines.append(f"{where}at most {most} per condition; each stops as soon as it is decided")
        earliest = f"{counted(outlook.earliest, 'pair')} that are all harmed"
        if outlook.pairs < outlook.earliest:
            lines.append(f"{where}no drop can be called: that takes at least {earliest}")
        else:
            lines.append(f"{where}a drop is called at the earliest after {earliest}")
        if wish.drop is not None and outlook.expected is not None and outlook.found is not None:
            lines.append(
                f"{where}a true drop of {100 * wish.drop:g} points is called in {odds(outlook.found)} such runs, and "
                f"takes {counted(round(outlook.expected), 'pair')} on average"
            )
    if wish.drop is not None:
        share = f"{100 * background.share:.0f} %"
        lines.append(f"assumes that {share} of pairs flip without net effect: {background.source}")
    return lines
