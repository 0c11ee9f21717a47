"""What a gate judges: one comparison per condition, in one form for two runs and for a run against its clean episodes.

Non-obvious behaviour:
- Episodes that both runs have planned and one lacks would otherwise just be left out: a candidate that crashed on the
  hard half would pass. So they are counted, and more than `MAX_MISSING` of them make a condition not comparable.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from simeval.analysis.compare import Comparison
from simeval.analysis.sequential import sequential
from simeval.analysis.success import RunAnalysis
from simeval.config.layout import Planned, planned
from simeval.stats.change import Gain
from simeval.stats.intervals import Interval
from simeval.stats.power import BACKGROUND, background_of
from simeval.stats.study import MAX_MISSING
from simeval.store.run import Run

COMPLETE = ("success", "failure")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One comparison. A is the baseline: the other policy, or the same one unperturbed.

    Attributes:
        suite, condition: of B's episodes.
        n: pairs.
        units: their initial states; smaller than `n` with repeats.
        a, b: success rates.
        only_a, only_b: pairs that only A, only B solved.
        gain: b - a.
        interval: of `gain`.
        interval_90: its lower limit is the bound of a one-sided test at 5 %; `None` where `settled` says the verdict.
        p: two-sided, not adjusted; `None` where nothing can be compared.
        background: share of pairs of the suite that flip without net effect.
        settled: verdict of anytime-valid tests, which replaces the tests of a fixed size; empty if it is open.
        anytime: whether these tests are in use.
        more_pairs: with them, about how many pairs more would decide.
        reason: why nothing can be compared; empty otherwise.
        n_eff: number of initial states of equal weight that would be as precise; `None` if all have it.
    """

    suite: str
    condition: str
    n: int
    units: int
    a: float | None = None
    b: float | None = None
    only_a: int = 0
    only_b: int = 0
    gain: float | None = None
    interval: Interval | None = None
    interval_90: Interval | None = None
    p: float | None = None
    background: float = BACKGROUND
    settled: str = ""
    anytime: bool = False
    more_pairs: int | None = None
    reason: str = ""
    n_eff: float | None = None


def of_comparison(
    comparison: Comparison, absent: Mapping[tuple[str, str], str] = MappingProxyType({})
) -> tuple[Evidence, ...]:
    """Two runs: every condition that both have, the unperturbed one included.

    Args:
        comparison: of the runs.
        absent: by suite and condition, why it cannot be compared; see `absent_pairs`.
    """
    found = []
    for suite in comparison.suites:
        gains = suite.change.success
        counts = [(gain.only_a or 0, gain.only_b or 0, gain.n) for gain in gains]
        background = background_of(counts) or BACKGROUND
        for gain in gains:
            reason = absent.get((suite.suite, gain.condition), "") or gain.reason
            found.append(_of_gain(suite.suite, gain, background, reason))
    return tuple(found)


def _of_gain(suite: str, gain: Gain, background: float, reason: str) -> Evidence:
    return Evidence(
        suite=suite,
        condition=gain.condition,
        n=gain.n,
        units=gain.units,
        a=gain.a,
        b=gain.b,
        only_a=gain.only_a or 0,
        only_b=gain.only_b or 0,
        gain=gain.gain,
        interval=gain.interval,
        interval_90=gain.interval_90,
        p=None if reason else gain.p,
        background=background,
        reason=reason,
    )


def of_run(analysis: RunAnalysis) -> tuple[Evidence, ...]:
    """One run: every perturbed condition against the unperturbed episodes."""
    anytime = analysis.inference == "anytime"
    found = []
    for row in analysis.drops:
        size = row.sensitivity
        settled = {"drop": "drop", "within margin": "within"}.get(row.verdict or "", "") if anytime else ""
        found.append(
            Evidence(
                suite=row.suite,
                condition=row.condition,
                n=row.pairs,
                units=size.pairs if size else row.pairs,
                a=row.clean_rate,
                b=row.perturbed_rate,
                only_a=row.harmed,
                only_b=row.helped,
                gain=None if row.drop is None else -row.drop,
                interval=_negative(row.interval),
                interval_90=_negative(row.interval_90),
                p=row.p,
                background=size.background if size else BACKGROUND,
                settled=settled,
                anytime=anytime,
                more_pairs=row.more_pairs,
                n_eff=row.n_eff,
                reason="" if row.verdict else row.note.removeprefix("n/a: ") or "no complete pair",
            )
        )
    return tuple(found)


def _negative(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(-interval.high, -interval.low, interval.level, interval.method)


def absent_pairs(a: Run, b: Run) -> dict[tuple[str, str], str]:
    """By suite and condition, why it cannot be compared: too many episodes that both runs planned are missing."""
    (planned_a, outcomes_a), (planned_b, outcomes_b) = _episodes(a), _episodes(b)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for episode in planned_a & planned_b:
        outcomes = outcomes_a.get(episode, ""), outcomes_b.get(episode, "")
        whole = all(outcome in COMPLETE for outcome in outcomes)
        kind = "infeasible" if "infeasible" in outcomes else "complete" if whole else "missing"
        counts[episode.suite, episode.condition][kind] += 1
    reasons = {key: _why_absent(count) for key, count in counts.items()}
    return {key: reason for key, reason in reasons.items() if reason}


def _why_absent(count: Counter[str]) -> str:
    pairs = count["complete"] + count["missing"]
    if not pairs:
        return "infeasible in every pair"
    if count["missing"] <= MAX_MISSING * pairs:
        return ""
    return f"{count['missing']} of {pairs} pairs are missing or broke; finish the runs"


def unshared(a: Run, b: Run) -> tuple[str, ...]:
    """A sentence for conditions that only one of two runs has: they are not judged."""
    sides = ((a, b, "A"), (b, a, "B"))
    only = [
        (side, [name for name in run.manifest["conditions"] if name not in other.manifest["conditions"]])
        for run, other, side in sides
    ]
    return tuple(f"not judged, only in {side}: {', '.join(names)}" for side, names in only if names)


def equal_episodes(a: Run, b: Run) -> tuple[str, ...]:
    """A sentence if all common episodes went through the same states: then the change did not reach the actions.

    The verdict is that of their outcomes all the same: other initial states may differ.
    """
    digests = {result.spec.id: result.state_digest for result in a.results}
    common = [(digests[id_], result.state_digest) for result in b.results if (id_ := result.spec.id) in digests]
    if not common or any(left != right or not left for left, right in common):
        return ()
    return (f"all {len(common)} common episodes went through the same states in both runs",)


def _episodes(run: Run) -> tuple[set[Planned], dict[Planned, str]]:
    """The episodes that a run is to have, and the outcomes of those that it has."""
    rows: pd.DataFrame = run.episodes
    followed = sequential(run.manifest, rows)
    if followed and followed.stops:  # what no decision needed is not missing
        rows = followed.counted
    columns = [rows[name] for name in ("suite", "task", "init_state", "condition", "repeat")]
    ran = {
        Planned(str(suite), int(task), int(state), str(condition), int(repeat)): str(outcome)
        for suite, task, state, condition, repeat, outcome in zip(*columns, rows["outcome"], strict=True)
    }
    manifests = (run.manifest, *run.manifest.get("grown", ()))
    if (followed and followed.stops) or not all(part.get("layout") for part in manifests):
        return set(ran), ran
    return {episode for _, cell in planned(run.manifest) for episode in cell}, ran
