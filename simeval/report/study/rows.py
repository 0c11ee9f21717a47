"""The numbers of a study as flat rows: for its tables, and as they are for CSV files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from simeval.analysis.study import PolicyNumbers, SuiteStudy
from simeval.analysis.study_groups import GroupNumbers
from simeval.analysis.study_scores import MEASURES
from simeval.core.types import CLEAN
from simeval.report.format import decimal
from simeval.stats.change import Direction, Gain
from simeval.stats.intervals import Interval

DRIFT = MEASURES["drift"]
SCALE: Direction = "depends on the scale"
SEEDS = (
    "Gain [over seeds]: per training seed the paired difference on the same episodes, then Student's t: what another "
    "training with the recipe would give on these episodes. [over episodes]: the mean over these seeds, what these "
    "trained policies would give in other initial states. A recipe is called better only where both exclude 0; p is "
    "the larger of the two, adjusted by Holm over all recipes, conditions and measures; drift, which is measured "
    "offline, is adjusted for itself."
)
PAIRED = (
    "Gains over the policy of the baseline with the same training seed, on the same episodes and frames; 95 % "
    "intervals for other initial states; p adjusted by Holm over all policies, conditions and measures; drift, which "
    "is measured offline, is adjusted for itself. Change under perturbation: p is the larger one of points lost and "
    "share kept. Gains are about these trained policies, not about their recipes."
)
RANKS = (
    "rank: 1 + the number of those shown to be better, to the number of those not shown to be worse (by mean success "
    "over the conditions, p adjusted by Holm over all pairs); those that share ranks cannot be told apart."
)


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy in one line; fractions, `None` where there is no number. Drift is the mean over its conditions."""

    policy: str
    group: str
    seed: int | None
    rank: str
    clean: float | None
    clean_interval: Interval | None
    perturbed: float | None
    lost: float | None
    following: float | None
    following_interval: Interval | None
    drift: float | None


@dataclass(frozen=True, slots=True)
class RateRow:
    """Success of a policy under a condition."""

    policy: str
    group: str
    seed: int | None
    condition: str
    n: int
    errors: int
    rate: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class GainRow:
    """A policy's gain over one of the baseline."""

    measure: str
    policy: str
    baseline: str
    gain: Gain


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group over its training seeds, and its gain over the baseline; `None` where there is no number."""

    measure: str
    condition: str
    group: str
    seeds: int
    mean: float | None
    deviation: float | None
    interval: Interval | None
    gain: float | None = None
    gain_deviation: float | None = None
    over_seeds: Interval | None = None
    over_episodes: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    says: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One training seed of a group: its number, and its paired gain over the baseline's seed."""

    measure: str
    condition: str
    group: str
    seed: int | None
    value: float | None
    gain: float | None


def policy_row(one: PolicyNumbers) -> PolicyRow:
    """A policy in one line."""
    rates = {row.condition: row for row in one.analysis.rates}
    clean = rates.get(CLEAN)
    others = [row.rate for name, row in rates.items() if name != CLEAN and row.rate is not None]
    perturbed = _mean(others)
    language = one.analysis.language[0] if one.analysis.language else None
    base = clean.rate if clean else None
    return PolicyRow(
        *(one.name, one.group, one.seed, one.rank),
        clean=base,
        clean_interval=clean.interval if clean else None,
        perturbed=perturbed,
        lost=None if base is None or perturbed is None else base - perturbed,
        following=language.followed.rate if language else None,
        following_interval=language.followed.interval if language else None,
        drift=_mean([value for _, value in one.drift]),
    )


def rate_rows(suite: SuiteStudy) -> list[RateRow]:
    """Success of every policy under every condition."""
    return [
        RateRow(one.name, one.group, one.seed, row.condition, row.n, row.errors, row.rate, row.interval)
        for one in suite.policies
        for row in one.analysis.rates
    ]


def gain_rows(suite: SuiteStudy) -> Iterator[GainRow]:
    """All gains of single policies, by measure."""
    for measure, name in MEASURES.items():
        for one in suite.gains:
            yield from (GainRow(name, one.policy, one.baseline, gain) for gain in one.of(measure))


def group_row(row: GroupNumbers) -> GroupRow:
    """A group in one line."""
    gain, values = row.gain, row.values
    alone = GroupRow(
        measure=MEASURES[row.measure],
        condition=row.condition,
        group=row.group,
        seeds=len(values.by_seed),
        mean=values.mean,
        deviation=values.deviation,
        interval=values.interval,
    )
    if gain is None:
        return alone
    return replace(
        alone,
        gain=gain.gain,
        gain_deviation=gain.deviation,
        over_seeds=gain.over_seeds,
        over_episodes=gain.over_pairs,
        p=gain.p,
        p_holm=gain.p_holm,
        says=word(gain.direction, MEASURES[row.measure]),
        note=gain.reason,
    )


def seed_rows(suite: SuiteStudy) -> list[SeedRow]:
    """Every training seed of every group, in the order of the file."""
    rows = []
    for one in suite.groups:
        values = dict(zip(one.seeds, one.values.by_seed, strict=True))
        gains = dict(zip(one.gain_seeds, one.gain.by_seed if one.gain else (), strict=True))
        for seed in dict.fromkeys((*values, *gains)):
            about = MEASURES[one.measure], one.condition, one.group, seed
            rows.append(SeedRow(*about, values.get(seed), gains.get(seed)))
    return rows


def verdicts(suite: SuiteStudy, baseline: str) -> list[str]:
    """What can be said about the groups, or else the policies, in sentences; the first has their clean success."""
    if suite.groups:
        found = [(row.group, row.says, baseline, row.measure, row.condition) for row in map(group_row, suite.groups)]
        none_of = f"no recipe was shown to differ from {baseline} over training seeds, in"
    else:
        found = [
            (one.policy, word(one.gain.direction, one.measure), one.baseline, one.measure, one.gain.condition)
            for one in gain_rows(suite)
        ]
        none_of = f"no policy was shown to differ from the baseline {baseline}, in"
    conditions: dict[tuple[str, str, str, str], list[str]] = {}
    for name, says, other, measure, condition in found:
        if says and says != SCALE:
            conditions.setdefault((name, says, other, measure), []).append(condition)
    said = [
        f"{suite.suite}: {name} {says if measure == DRIFT else f'is {says}'} than {other}: {measure} "
        f"({', '.join(named)})."
        for (name, says, other, measure), named in conditions.items()
    ]
    measured = dict.fromkeys(measure for _, _, _, measure, _ in found)
    silent = [measure for measure in measured if not any(key[3] == measure for key in conditions)]
    if silent:
        said.append(f"{suite.suite}: {none_of} {_listed(silent)}.")
    return [*_clean(suite), *said]


def _clean(suite: SuiteStudy) -> list[str]:
    """The clean success of all groups, or else of all policies."""
    groups = [
        (row.group, row.mean)
        for row in map(group_row, suite.groups)
        if (row.measure, row.condition) == (MEASURES["success"], CLEAN)
    ]
    rates = groups or [(one.name, policy_row(one).clean) for one in suite.policies]
    known = [f"{name} {decimal(rate)} %" for name, rate in rates if rate is not None]
    over = ", mean over training seeds" if groups else ""
    return [f"{suite.suite}, clean success{over}: {', '.join(known)}."] if known else []


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def word(direction: Direction, measure: str) -> str:
    """What is called of a gain; empty where nothing is. Less drift is not better: not if an instruction is ignored."""
    if direction == "no difference shown" or (measure == DRIFT and direction == SCALE):
        return ""
    return direction if measure != DRIFT else "drifts less" if direction == "better" else "drifts more"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
