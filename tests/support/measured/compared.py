"""Numbers of a comparison of two policies."""

from functools import cache

import numpy as np
from drift_worlds import policies

from measured.shares import Measure, Measured, covers, share
from simeval.stats.change import RunChange, compare_drift, compare_runs
from simeval.stats.resampling import Resampling

WORDS = ("better", "worse")
CASES = {
    "both alike: 60 % clean, keep 70 %": ((0.6, 0.6), (0.7, 0.7)),
    "B better clean (35 and 85 %), both keep half": ((0.35, 0.85), (0.5, 0.5)),
    "B keeps more (30 and 65 % of 70 %)": ((0.7, 0.7), (0.3, 0.65)),
}
STATES = 50


@cache
def changes(case: str, runs: int) -> tuple[RunChange, ...]:
    """Comparisons of two policies under five conditions, 50 initial states."""
    rng = np.random.default_rng(51)
    return tuple(
        compare_runs(
            ("none", *"abcde"), *policies(rng, STATES, *CASES[case]), resampling=Resampling(seed, n_permutations=399)
        )
        for seed in range(max(10, runs // 5))
    )


def mean(values) -> float | None:
    """Share over the conditions of a run; `None` without any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def success(runs: int) -> list[Measured]:
    rows = []
    for case, (clean, kept) in CASES.items():
        truth = [clean[1] - clean[0]] + [clean[1] * kept[1] - clean[0] * kept[0]] * 5
        found = [
            mean(covers(gain.interval, true) for gain, true in zip(change.success, truth, strict=True))
            for change in changes(case, runs)
        ]
        rows.append(share(case, "at least", 0.95, found))
    return rows


def words(runs: int) -> list[Measured]:
    alike, clean_only = list(CASES)[:2]
    found = changes(alike, runs)
    rows = [
        share(f"success, any of 6 rows, {alike}", "at most", 0.05, [said(change.success) for change in found]),
        share(f"robustness, any of 5 rows, {alike}", "at most", 0.05, [said(change.robustness) for change in found]),
        share(f"robustness, the mean, {alike}", "at most", 0.05, [said([change.overall]) for change in found]),
    ]
    found = changes(clean_only, runs)
    return [
        *rows,
        share(f"robustness, any of 5 rows, {clean_only}", "at most", 0.05, [said(one.robustness) for one in found]),
        share(f"robustness, the mean, {clean_only}", "at most", 0.05, [said([one.overall]) for one in found]),
    ]


def said(gains) -> bool:
    return any(gain.direction in WORDS for gain in gains)


def drops(runs: int) -> list[Measured]:
    rows = []
    for case, (clean, kept) in CASES.items():
        lost = [rate * (1 - part) for rate, part in zip(clean, kept, strict=True)]
        truth = lost[0] - lost[1]
        found = [mean(covers(gain.interval, truth) for gain in change.robustness) for change in changes(case, runs)]
        rows.append(share(case, "at least", 0.95, found))
    return rows


def kept(runs: int) -> list[Measured]:
    rows = []
    for case, (_, parts) in CASES.items():
        found = changes(case, runs)
        one = [mean(covers(row.a_interval, parts[0]) for row in change.retention) for change in found]
        ratio = [mean(covers(row.interval, parts[1] / parts[0]) for row in change.retention) for change in found]
        rows += [share(f"of A; {case}", "at least", 0.95, one), share(f"B / A; {case}", "at least", 0.95, ratio)]
    return rows


def drift(runs: int) -> list[Measured]:
    rows = []
    for conditions, clusters in ((1, 5), (12, 5), (12, 50)):
        rng, held, word = np.random.default_rng(52), [], []
        names = tuple(f"c{i}" for i in range(conditions))
        for seed in range(max(10, runs // 5)):
            place = rng.lognormal(0, 0.7, (clusters, conditions))
            a, b = (place * rng.lognormal(0, 0.5, (clusters, conditions)) for _ in range(2))
            gains = compare_drift(
                names, a, b, units=np.arange(clusters), resampling=Resampling(seed, n_permutations=1999)
            )
            held.append(mean(covers(gain.interval, 0.0) for gain in gains))
            word.append(said(gains))
        where = f"{conditions} condition{'s' * (conditions > 1)}, {clusters} episodes"
        rows += [
            share(f"the interval has 0; {where}", "at least", 0.95, held),
            share(f"any word; {where}", "at most", 0.05, word),
        ]
    return rows


NUMBERS: dict[str, Measure] = {
    "Compare, gain in success: the interval has the truth, % of rows": success,
    "Compare: called better or worse without a difference, % of runs": words,
    "Compare, difference of the drops: the interval has the truth, % of rows": drops,
    "Compare, success kept: the interval has the truth, % of rows": kept,
    "Compare, drift of two that drift alike, % of runs": drift,
}
"""By the heading of their tables."""
