"""Numbers of a gate: its verdict, the loss that it excludes, and the pairs that it asks for."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from paired_worlds import TASKS, paired_world, two_policies

from measured.shares import Measure, Measured, share
from simeval.analysis.compare import Comparison, SuiteChange
from simeval.analysis.evidence import of_comparison
from simeval.analysis.gate import Gate, judge
from simeval.stats.change import compare_runs
from simeval.stats.noninferiority import pairs_to_show_within
from simeval.stats.power import POWER

MARGIN = 0.05
OWN_LUCK = 0.34
"""10 % of the pairs of two equal policies flip."""
FIRST = 60
"""Pairs of a run that cannot tell, before it grows."""
PASSES = ("better", "no worse")


@dataclass(frozen=True)
class Case:
    """A candidate beside a baseline.

    Attributes:
        losses: of the candidate under each condition (fraction).
        pairs: initial states of each condition.
        own_luck: see `two_policies`.
        repeats: of each initial state.
    """

    losses: tuple[float, ...]
    pairs: int
    own_luck: float = OWN_LUCK
    repeats: int = 1


def outcomes(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of A and B, float[episodes, conditions]."""
    return two_policies(rng, case.losses, case.own_luck, case.pairs // TASKS, case.repeats)


def gate(a: np.ndarray, b: np.ndarray, repeats: int = 1, *, with_pairs: bool = False) -> Gate:
    """As `simeval compare A B --gate`, from outcomes."""
    units = np.arange(len(a)) // repeats
    # One by one they are no perturbations of each other: robustness, which has no part in the verdict, takes long.
    alone = [compare_runs((f"c{i}",), a[:, [i]], b[:, [i]], units=units) for i in range(a.shape[1])]
    change = replace(alone[0], success=tuple(one.success[0] for one in alone))
    evidence = of_comparison(Comparison("a", "b", "", (SuiteChange("toy", change),)))
    verdict, conditions = judge(evidence, MARGIN, with_pairs=with_pairs)
    return Gate("compare", verdict, MARGIN, conditions, "a", "b")


@cache
def gates(case: Case, runs: int) -> tuple[Gate, ...]:
    """Simulated gates; with several conditions half as many."""
    rng = np.random.default_rng(71)
    times = runs if len(case.losses) == 1 else max(10, runs // 2)
    return tuple(gate(*outcomes(case, rng), case.repeats) for _ in range(times))


ONE_LOSES = Case((MARGIN,), 100)
LOSE = {
    "1 condition, 100 pairs": ONE_LOSES,
    "1 condition, 60 pairs, none flips by chance": Case((MARGIN,), 60, own_luck=0.0),
    "1 condition, 200 initial states, 3 repeats": Case((MARGIN,), 200, repeats=3),
    "one of 6 conditions, the others equal, 500 pairs": Case((MARGIN, *[0.0] * 5), 500),
    "one of 6 conditions, the others gain 30 points, 200 pairs": Case((MARGIN, *[-0.3] * 5), 200),
    "each of 6 conditions, 200 pairs": Case((MARGIN,) * 6, 200),
}
ONE_EQUAL, SIX_EQUAL = Case((0.0,), 200), Case((0.0,) * 6, 200)
EQUAL = {
    "1 condition, 200 pairs": ONE_EQUAL,
    "1 condition, 50 initial states, 3 repeats": Case((0.0,), 50, repeats=3),
    "6 conditions, 50 pairs": Case((0.0,) * 6, 50),
    "6 conditions, 200 pairs": SIX_EQUAL,
}


def passes(runs: int) -> list[Measured]:
    """A candidate that loses the margin in at least one condition, and nowhere more."""
    return [
        share(world, "at most", 0.05, [one.verdict in PASSES for one in gates(case, runs)])
        for world, case in LOSE.items()
    ]


def called(runs: int) -> list[Measured]:
    """A candidate that differs by chance alone."""
    return [
        share(f"{word}, {world}", "at most", 0.025, [one.verdict == word for one in gates(case, runs)])
        for word in ("regression", "better")
        for world, case in EQUAL.items()
    ]


def loses_at_most(runs: int) -> list[Measured]:
    cases = {
        "equal, 200 pairs": ONE_EQUAL,
        "true loss 5 points, 100 pairs": ONE_LOSES,
        "true loss 5 points, 60 pairs, none flips by chance": LOSE["1 condition, 60 pairs, none flips by chance"],
        "true loss 20 points, 50 pairs": Case((0.2,), 50),
    }
    rows = []
    for world, case in cases.items():
        bounds = [one.conditions[0].loses_at_most for one in gates(case, runs)]
        rows.append(share(world, "at least", 0.95, [bound >= case.losses[0] for bound in bounds if bound is not None]))
    return rows


def enough(runs: int) -> list[Measured]:
    """The pairs for which an equal candidate passes, and those that a gate asks for."""
    background, rows = paired_world(0.0, OWN_LUCK).background, []
    for conditions, power, aim in ((1, POWER, POWER), (6, POWER, None), (6, POWER ** (1 / 6), POWER)):
        pairs = pairs_to_show_within(0.0, MARGIN, background=background, power=power)
        assert pairs is not None
        found = gates(Case((0.0,) * conditions, -(-pairs // TASKS) * TASKS), runs)
        where = f"{conditions} condition{'s' * (conditions > 1)}, {pairs} pairs"
        rows.append(
            share(f"an equal candidate passes, {where}", "about", aim, [one.verdict in PASSES for one in found])
        )
    for loss, conditions in ((0.0, 1), (0.1, 1), (0.0, 6)):
        where = f"{'a loss of 10 points' if loss else 'equal'}, {conditions} condition{'s' * (conditions > 1)}"
        found = [settled(conditions, loss, seed) for seed in range(max(10, runs // (4 * conditions)))]
        rows.append(share(f"settled by the pairs that the gate asks for, {where}", "about", POWER, found))
    return rows


def settled(conditions: int, loss: float, seed: int) -> bool | None:
    """Whether a run that cannot tell can, once it has grown by what was asked for; `None` without such a number."""
    rng, losses = np.random.default_rng((72, seed)), (loss,) * conditions
    first = outcomes(Case(losses, FIRST), rng)
    found = gate(*first, with_pairs=True)
    if found.verdict != "cannot tell" or found.pairs_to_settle is None:
        return None
    more = outcomes(Case(losses, -(-(found.pairs_to_settle - FIRST) // TASKS) * TASKS), rng)
    return gate(*(np.concatenate(both) for both in zip(first, more, strict=True))).verdict != "cannot tell"


NUMBERS: dict[str, Measure] = {
    "Gate, margin 5 points: passes a candidate that loses just 5, % of runs": passes,
    "Gate: what is said of an equal candidate, % of runs": called,
    "Gate, loses at most: the true loss is no larger, % of runs": loses_at_most,
    "Gate: so many pairs are enough, % of runs": enough,
}
"""By the heading of their tables."""
