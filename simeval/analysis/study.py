"""What a study found: its policies side by side, what each gained, and its recipes over their training seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from simeval.analysis.compare import Comparison, compare
from simeval.analysis.ranks import RankedSuite, rank_runs, span
from simeval.analysis.sequential import sequential
from simeval.analysis.study_scores import OVER_ALL, Measure, Scores, drift_means, scores_of
from simeval.analysis.success import USED, RunAnalysis, analyse
from simeval.stats.change import ALPHA, Gain, RunChange, adjusted_gains, adjusted_together
from simeval.stats.ranks import rank_sets
from simeval.stats.resampling import Resampling
from simeval.stats.seeds import SeedGain, SeedMean, seed_gain, seed_mean
from simeval.stats.seeds import adjusted_gains as adjusted_over_seeds
from simeval.stats.study import MAX_MISSING
from simeval.store.audit import Audit
from simeval.store.run import Run, outcomes
from simeval.store.study import StoredPolicy, Study


@dataclass(frozen=True, slots=True)
class PolicyNumbers:
    """A policy of a study: its tables, its rank, and its mean drift by condition."""

    name: str
    group: str
    seed: int | None
    rank: str
    analysis: RunAnalysis
    drift: tuple[tuple[str, float], ...]
    representation: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class PolicyGains:
    """What a policy gained over the one of the baseline with its seed, adjusted over all policies and conditions."""

    policy: str
    baseline: str
    change: RunChange
    following: tuple[Gain, ...]
    drift: tuple[Gain, ...]


@dataclass(frozen=True, slots=True)
class GroupNumbers:
    """A number of a group of policies, and its gain over the baseline.

    Attributes:
        seeds: training seeds of `values.by_seed`.
        gain: `None` for the baseline itself.
        gain_seeds: training seeds of `gain.by_seed`.
    """

    group: str
    measure: Measure
    condition: str
    seeds: tuple[int | None, ...]
    values: SeedMean
    gain: SeedGain | None
    gain_seeds: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class SuiteStudy:
    """A study on one suite.

    Attributes:
        ranking: of the policies; `None` if fewer than two are finished.
        groups: in the order of the measures and conditions; empty unless a group has several seeds.
        group_ranks: of groups, by mean success over the conditions.
    """

    suite: str
    policies: tuple[PolicyNumbers, ...]
    ranking: RankedSuite | None
    gains: tuple[PolicyGains, ...]
    groups: tuple[GroupNumbers, ...]
    group_ranks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StudyResults:
    """What a study found; `left_out` are policies that are not in the numbers, and why."""

    name: str
    baseline: str
    suites: tuple[SuiteStudy, ...]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    assets: str


@dataclass(frozen=True, slots=True)
class _Member:
    """A policy that is in the numbers."""

    name: str
    group: str
    seed: int | None
    run: Run
    audit: Audit | None


def study_results(study: Study, resampling: Resampling | None = None) -> StudyResults:
    """All numbers of a study, finished or not.

    Raises:
        ConfigError: a row cannot be read, or the runs' episodes do not start alike.
    """
    left_out = [(one.member.name, reason) for one in study.policies if (reason := _unusable(one))]
    names = {name for name, _ in left_out}
    used = tuple(
        _Member(m.name, m.group, m.seed, one.run, one.audit if one.audit and one.audit.complete else None)
        for one in study.policies
        if (m := one.member).name not in names and one.run is not None
    )
    remarks = [(one.member.name, one.member.failed) for one in study.policies if one.member.failed]
    notes = [f"{name}: {text}" for name, text in remarks if name not in names]
    if not used:
        return StudyResults(study.folder.name, study.manifest.baseline, (), tuple(left_out), tuple(notes), "")
    runs = [one.run for one in used]
    comparisons = [compare(runs[0], run) for run in runs[1:]]
    ranking = (
        rank_runs(runs, comparisons, names=[one.name for one in used], resampling=resampling) if comparisons else None
    )
    ranked = {suite.suite: suite for suite in ranking.suites} if ranking else {}
    notes += [*(ranking.notes if ranking else ()), *_drift_notes(used)]
    versus = _against_baseline(used, study.manifest.baseline, resampling)
    suites = tuple(
        _suite(suite, used, ranked.get(suite), versus, study.manifest.baseline, resampling)
        for suite in runs[0].manifest["config"]["suite"]
    )
    assets = str(runs[0].manifest["assets"])
    return StudyResults(study.folder.name, study.manifest.baseline, suites, tuple(left_out), tuple(notes), assets)


def _unusable(one: StoredPolicy) -> str:
    """Why a policy cannot be in the numbers; empty if it can."""
    why = f" ({one.member.failed})" if one.member.failed else ""
    if one.run is None:
        return one.member.failed or "has not begun"
    if not one.complete:
        return f"{one.finished} of {one.run.manifest['episodes']} episodes have run{why}"
    ended = list(outcomes(one.run.folder).values())
    broken = ended.count("error")
    return f"{broken} of {len(ended)} episodes broke" if broken > MAX_MISSING * len(ended) else ""


def _drift_notes(used: Sequence[_Member]) -> list[str]:
    audits = [one.audit for one in used if one.audit]
    units = {tuple(audit.manifest["identity"]["action_std"]) for audit in audits}
    notes = []
    if len(units) > 1:
        notes.append("drift: the policies' units differ (spread of their training actions), so compare it with care")
    if audits and all(row.source == "replay" for audit in audits for row in audit.rows[:1]):
        notes.append("drift is not compared: replayed frames come from each policy's own rollouts; use frames: start")
    return notes


def _against_baseline(
    used: Sequence[_Member], baseline: str, resampling: Resampling | None
) -> tuple[tuple[int, int, Comparison], ...]:
    """(policy of the baseline, other policy, comparison): those with equal seeds, or the baseline's only one."""
    found = []
    for b, other in enumerate(used):
        if other.group == baseline:
            continue
        mine = [a for a, one in enumerate(used) if one.group == baseline]
        same = [a for a in mine if used[a].seed == other.seed] or mine
        if same:
            found.append((same[0], b, compare(used[same[0]].run, other.run, None, resampling)))
    return tuple(found)


def _suite(
    suite: str,
    used: Sequence[_Member],
    ranking: RankedSuite | None,
    versus: Sequence[tuple[int, int, Comparison]],
    baseline: str,
    resampling: Resampling | None,
) -> SuiteStudy:
    scores = scores_of([one.run for one in used], [one.audit for one in used], suite)
    ranks = {row.policy: row.rank for row in ranking.policies} if ranking else {}
    numbers = tuple(_numbers(one, suite, ranks.get(one.name, "")) for one in used)
    several = len({one.group for one in used}) < len(used)
    return SuiteStudy(
        suite=suite,
        policies=numbers,
        ranking=ranking,
        gains=_gains(suite, used, scores, versus, resampling),
        groups=_groups(used, scores, baseline, resampling) if several else (),
        group_ranks=_group_ranks(used, scores, resampling) if several else (),
    )


def _numbers(one: _Member, suite: str, rank: str) -> PolicyNumbers:
    rows = one.run.table(USED)
    analysis = analyse(rows[rows["suite"].astype(str) == suite], sequential=sequential(one.run.manifest, rows))
    drift = drift_means(one.audit, suite) if one.audit else ()
    distances = one.audit.set_distances if one.audit else {}
    inside = tuple(
        (f"{condition}, {name}", value)
        for condition, found in distances.items()
        for name, value in found.items()
        if value is not None
    )
    return PolicyNumbers(one.name, one.group, one.seed, rank, analysis, drift, inside)


def _gains(
    suite: str,
    used: Sequence[_Member],
    scores: Sequence[Scores],
    versus: Sequence[tuple[int, int, Comparison]],
    resampling: Resampling | None,
) -> tuple[PolicyGains, ...]:
    changes = [
        (a, b, change.change) for a, b, comparison in versus for change in comparison.suites if change.suite == suite
    ]
    together = adjusted_together([change for _, _, change in changes])

    def of(measure: Measure) -> list[tuple[Gain, ...]]:
        """The gains of a measure, by policy."""
        chosen = [score for score in scores if score.measure == measure]
        found = [
            replace(score.gain([a], [b], resampling)[0], condition=score.condition)
            for a, b, _ in changes
            for score in chosen
        ]
        adjusted = adjusted_gains(found)
        return [adjusted[i * len(chosen) : (i + 1) * len(chosen)] for i in range(len(changes))]

    return tuple(
        PolicyGains(used[b].name, used[a].name, change, following, drift)
        for (a, b, _), change, following, drift in zip(changes, together, of("following"), of("drift"), strict=True)
    )


def _by_group(used: Sequence[_Member]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, one in enumerate(used):
        found.setdefault(one.group, []).append(number)
    return found


def _matched(used: Sequence[_Member], a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """Policies of two groups with equal training seeds; one without a seed is matched with each of the other group."""
    if any(used[i].seed is None for i in (*a, *b)):
        return [(i, j) for i in a for j in b]
    seeds = {used[j].seed: j for j in b}
    return [(i, seeds[used[i].seed]) for i in a if used[i].seed in seeds]


def _seeds(used: Sequence[_Member], a: Sequence[int], b: Sequence[int]) -> tuple[int | None, ...]:
    """The training seed of each matched pair."""
    return tuple(used[i].seed if used[j].seed is None else used[j].seed for i, j in _matched(used, a, b))


def _groups(
    used: Sequence[_Member], scores: Sequence[Scores], baseline: str, resampling: Resampling | None
) -> tuple[GroupNumbers, ...]:
    groups = _by_group(used)
    found: list[GroupNumbers] = []
    for measure in dict.fromkeys(score.measure for score in scores):
        chosen = [score for score in scores if score.measure == measure]
        others = [name for name in groups if name != baseline] if baseline in groups else []
        gains = adjusted_over_seeds(
            _gain(used, score, groups[baseline], groups[name], resampling) for score in chosen for name in others
        )
        by_key = dict(zip([(score.condition, name) for score in chosen for name in others], gains, strict=True))
        for score in chosen:
            for name, members in groups.items():
                means = [(used[i].seed, mean) for i in members if (mean := score.mean(i)) is not None]
                gain = by_key.get((score.condition, name))
                if gain and measure == "robustness":
                    gain = _on_both_scales(gain, scores, groups[baseline], members)
                values, seeds = (
                    seed_mean([mean for _, mean in means], limits=score.limits),
                    tuple(seed for seed, _ in means),
                )
                of_gain = _seeds(used, groups[baseline], members) if gain and gain.by_seed else ()
                found.append(GroupNumbers(name, measure, score.condition, seeds, values, gain, of_gain))
    return tuple(found)


def _gain(
    used: Sequence[_Member], score: Scores, a: Sequence[int], b: Sequence[int], resampling: Resampling | None
) -> SeedGain:
    matched = _matched(used, a, b)
    if not matched:
        return seed_gain((), Gain(score.condition, 0, 0, reason="no training seed that both have"))
    pairs, by_seed = score.gain([i for i, _ in matched], [j for _, j in matched], resampling)
    step = 0.0 if score.measure == "drift" else 1 / max(1, pairs.n)
    low, high = score.limits
    return seed_gain(by_seed, pairs, step=step, limits=(low - high, high - low))


def _on_both_scales(gain: SeedGain, scores: Sequence[Scores], a: Sequence[int], b: Sequence[int]) -> SeedGain:
    """A loss in points punishes the policy that is better everywhere: the share that is kept must say the same."""
    if gain.direction == "no difference shown":
        return gain
    kept = [_kept(scores, members) for members in (a, b)]
    agrees = None not in kept and (kept[1] > kept[0]) == (gain.direction == "better")  # type: ignore[operator]
    return gain if agrees else replace(gain, direction="depends on the scale")


def _kept(scores: Sequence[Scores], members: Sequence[int]) -> float | None:
    """Share of clean success that a group keeps, on average over the conditions."""
    success = [score for score in scores if score.measure == "success"]
    means = [[score.mean(i) or 0.0 for i in members] for score in success]
    clean = sum(means[0])
    return sum(map(sum, means[1:])) / (len(means) - 1) / clean if clean else None


def _group_ranks(
    used: Sequence[_Member], scores: Sequence[Scores], resampling: Resampling | None
) -> tuple[tuple[str, str], ...]:
    groups = _by_group(used)
    names, success = list(groups), [score for score in scores if score.measure == "success"]
    values = np.mean([score.values for score in success], axis=0)
    mean = replace(success[0], condition=OVER_ALL, values=values)
    pairs = list(combinations(range(len(names)), 2))
    gains = adjusted_over_seeds(_gain(used, mean, groups[names[i]], groups[names[j]], resampling) for i, j in pairs)
    shown = []
    for (i, j), gain in zip(pairs, gains, strict=True):
        if gain.p_holm is not None and gain.p_holm < ALPHA and gain.direction != "no difference shown":
            shown.append((j, i) if gain.direction == "better" else (i, j))
    ranks = rank_sets(len(names), shown)
    order = sorted(range(len(names)), key=lambda i: ranks[i])
    return tuple((names[i], span(*ranks[i])) for i in order)
