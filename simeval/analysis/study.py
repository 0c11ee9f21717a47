"""What a study found: its policies side by side, what each gained, and its recipes over their training seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simeval.analysis.compare import Comparison, compare
from simeval.analysis.ranks import RankedSuite, rank_runs
from simeval.analysis.sequential import sequential
from simeval.analysis.study_groups import GroupNumbers, group_numbers, group_ranks
from simeval.analysis.study_scores import OVER_ALL, Measure, Scores, UsedPolicy, drift_means, scores_of
from simeval.analysis.success import USED, RunAnalysis, analyse
from simeval.stats.change import Gain, RunChange, adjusted_gains
from simeval.stats.resampling import Resampling
from simeval.stats.study import MAX_MISSING
from simeval.store.run import outcomes
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
    """What a policy gained over the one of the baseline with its seed.

    All gains of a study but those in drift are adjusted together, so that a study of equal policies calls a difference
    in 5 % of repetitions at most. Drift, which is measured offline, is adjusted for itself.
    """

    policy: str
    baseline: str
    success: tuple[Gain, ...]
    robustness: tuple[Gain, ...]
    following: tuple[Gain, ...]
    drift: tuple[Gain, ...]

    def of(self, measure: Measure) -> tuple[Gain, ...]:
        """The gains in a measure."""
        return {
            "success": self.success,
            "robustness": self.robustness,
            "following": self.following,
            "drift": self.drift,
        }[measure]


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


def study_results(study: Study, resampling: Resampling | None = None) -> StudyResults:
    """All numbers of a study, finished or not.

    Raises:
        ConfigError: a row cannot be read, or the runs' episodes do not start alike.
    """
    left_out = [(one.member.name, reason) for one in study.policies if (reason := _unusable(one))]
    names = {name for name, _ in left_out}
    used = tuple(
        UsedPolicy(m.name, m.group, m.seed, one.run, one.audit if one.audit and one.audit.complete else None)
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


def _drift_notes(used: Sequence[UsedPolicy]) -> list[str]:
    audits = [one.audit for one in used if one.audit]
    units = {tuple(audit.manifest["identity"]["action_std"]) for audit in audits}
    notes = []
    if len(units) > 1:
        notes.append("drift: the policies' units differ (spread of their training actions), so compare it with care")
    if audits and all(row.source == "replay" for audit in audits for row in audit.rows[:1]):
        notes.append("drift is not compared: replayed frames come from each policy's own rollouts; use frames: start")
    return notes


def _against_baseline(
    used: Sequence[UsedPolicy], baseline: str, resampling: Resampling | None
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
    used: Sequence[UsedPolicy],
    ranking: RankedSuite | None,
    versus: Sequence[tuple[int, int, Comparison]],
    baseline: str,
    resampling: Resampling | None,
) -> SuiteStudy:
    scores = scores_of(used, suite)
    ranks = {row.policy: row.rank for row in ranking.policies} if ranking else {}
    numbers = tuple(_numbers(one, suite, ranks.get(one.name, "")) for one in used)
    several = len({one.group for one in used}) < len(used)
    return SuiteStudy(
        suite=suite,
        policies=numbers,
        ranking=ranking,
        gains=_gains(suite, used, scores, versus, resampling),
        groups=group_numbers(used, scores, baseline, resampling) if several else (),
        group_ranks=group_ranks(used, scores, resampling) if several else (),
    )


def _numbers(one: UsedPolicy, suite: str, rank: str) -> PolicyNumbers:
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
    used: Sequence[UsedPolicy],
    scores: Sequence[Scores],
    versus: Sequence[tuple[int, int, Comparison]],
    resampling: Resampling | None,
) -> tuple[PolicyGains, ...]:
    changes = [
        (a, b, change.change) for a, b, comparison in versus for change in comparison.suites if change.suite == suite
    ]

    def of(measure: Measure) -> list[tuple[Gain, ...]]:
        """The gains in a measure, by policy, not adjusted."""
        chosen = [score for score in scores if score.measure == measure]
        return [
            tuple(replace(one.gain([a], [b], resampling)[0], condition=one.condition) for one in chosen)
            for a, b, _ in changes
        ]

    closed = [
        (*change.success, _robustness(change), *followed)
        for (_, _, change), followed in zip(changes, of("following"), strict=True)
    ]
    gains = iter(adjusted_gains([gain for rows in closed for gain in rows]))
    by_drift = of("drift")
    drifts = iter(adjusted_gains([gain for rows in by_drift for gain in rows]))
    return tuple(
        PolicyGains(
            policy=used[b].name,
            baseline=used[a].name,
            success=tuple(next(gains) for _ in change.success),
            robustness=(next(gains),),
            following=tuple(next(gains) for _ in rows[len(change.success) + 1 :]),
            drift=tuple(next(drifts) for _ in drift),
        )
        for (a, b, change), rows, drift in zip(changes, closed, by_drift, strict=True)
    )


def _robustness(change: RunChange) -> Gain:
    """The gain in robustness over all conditions; its p-value is the larger one of both scales.

    A loss in points punishes the policy that is better everywhere, so the share of success that is kept must agree.
    """
    points, kept = replace(change.overall, condition=OVER_ALL), change.overall_retention
    if points.p is None or points.gain is None:
        return points
    if kept is None or kept.p is None or kept.ratio is None:
        return replace(points, p=None, reason=points.reason or "the share of success that is kept is not known")
    return replace(points, p=max(points.p, kept.p) if (kept.ratio > 1) == (points.gain > 0) else 1.0)
