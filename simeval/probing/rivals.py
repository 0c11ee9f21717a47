"""Does what a policy keeps of its start predict the success that it loses? Beside drift, its rival.

Two questions, of the same policies and conditions:
- over policies: under one condition, has the policy that keeps less lost more of the start's success?
- over conditions: of one policy, does the perturbation that hides more from its probes cost more?

Non-obvious behaviour:
- Points are never pooled: a policy has a point under every condition. Values are ranked within a condition (or policy),
  as drift is within a task, and whole recipes (or axes) are exchanged for p and left out for intervals.
- The layer is fixed beforehand: the last one of the language model, which the action expert reads.
- Conditions that change the instruction's meaning are left out: there a good policy should drift, and fail the task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perturbations.spec import parse
from simeval.analysis.study import SuiteStudy
from simeval.core.types import CLEAN
from simeval.probing.results import NAMED, Representations
from simeval.stats.intervals import Interval
from simeval.stats.paired import holm
from simeval.stats.resampling import Resampling
from simeval.stats.within_task import within_task

Floats = NDArray[np.float64]
Question = Literal["over policies", "over conditions"]
ALPHA = 0.05
KEPT, DRIFT, CKA, ATTENTION = "probes", "drift of the action", "CKA to the start", "attention on named objects"
QUESTIONS: tuple[tuple[Question, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "over policies",
        "loss",
        ((KEPT, "probes_lost"), (DRIFT, "drift"), (CKA, "changed"), (ATTENTION, "attention_lost")),
    ),
    ("over conditions", "drop", ((KEPT, "probes_dropped"), (DRIFT, "drift"), (ATTENTION, "attention_dropped"))),
)
"""Question, field of the success that is lost, and (predictor, its field)."""


@dataclass(frozen=True, slots=True)
class RivalPoint:
    """A policy under a condition; `None` where there is no number. All but success are "more is worse".

    Attributes:
        policy, group, condition: of the point.
        loss: the start's success under the condition minus the policy's.
        drop: the policy's clean success minus that under the condition.
        probes_lost: skill of the start's probes minus that of the policy's, mean over probes.
        probes_dropped: the same, the policy's clean frames minus those under the condition.
        drift: of the action under the condition.
        changed: 1 - CKA to the start.
        attention_lost: the start's share of attention on named objects minus the policy's.
        attention_dropped: the same, clean minus perturbed.
    """

    policy: str
    group: str
    condition: str
    loss: float | None
    drop: float | None
    probes_lost: float | None
    probes_dropped: float | None
    drift: float | None
    changed: float | None
    attention_lost: float | None
    attention_dropped: float | None


@dataclass(frozen=True, slots=True)
class Rival:
    """How well one number orders the loss of success.

    Attributes:
        question: over policies within conditions, or the other way round.
        predictor: its name.
        rho: Spearman's correlation after ranking within; positive if it predicts the loss.
        interval: for other recipes (or axes) like these; `None` with too few.
        p: two-sided; whole recipes (or axes) are exchanged.
        p_holm: adjusted over the predictors of a question.
        units: number of policies (or conditions).
        families: number of recipes (or axes).
        within: number of conditions (or policies) that they are ordered in.
        says: `predicts the loss`, or `cannot tell`.
        reason: why a number is missing; empty otherwise.
    """

    question: Question
    predictor: str
    rho: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    units: int
    families: int
    within: int
    says: str
    reason: str


@dataclass(frozen=True, slots=True)
class RivalStudy:
    """All points on one suite, and how well each number orders them; `layer` is the one that probes read."""

    suite: str
    layer: str
    points: tuple[RivalPoint, ...]
    rivals: tuple[Rival, ...]
    left_out: tuple[tuple[str, str], ...]


def rival_study(found: Representations, suite: SuiteStudy, resampling: Resampling | None = None) -> RivalStudy | None:
    """Compare the predictors on the policies and conditions that both have; `None` if there are none."""
    names = [one.name for one in suite.policies if one.name in found.policies]
    tested = {row.condition for one in suite.policies for row in one.analysis.rates if row.rate is not None}
    shared = [condition for condition in found.conditions if condition in tested]
    if found.start not in names or len(names) < 2 or suite.suite not in found.suites:
        return None
    changed = [condition for condition in shared if parse(condition).meaning != "kept"]
    kept = [condition for condition in shared if condition not in changed]
    layer = found.last_layers[0]
    points = tuple(_points(found, suite, names, kept, layer))
    settings = resampling or Resampling()
    rivals: list[Rival] = []
    for question, target, predictors in QUESTIONS:
        compared = [_Compared(question, name, field, target) for name, field in predictors]
        rivals += _adjusted([_rival(one, points, found.start, settings) for one in compared])
    reason = "changes the instruction's meaning: there a good policy drifts"
    return RivalStudy(suite.suite, layer, points, tuple(rivals), tuple((name, reason) for name in changed))


def _points(
    found: Representations, suite: SuiteStudy, names: Sequence[str], conditions: Sequence[str], layer: str
) -> list[RivalPoint]:
    numbers = {one.name: one for one in suite.policies}
    rates = {
        (name, row.condition): row.rate
        for name in names
        for row in numbers[name].analysis.rates
        if row.suite == suite.suite
    }
    drift = {(name, condition): value for name in names for condition, value in numbers[name].drift}
    skills: dict[tuple[str, str], list[float]] = {}
    for row in found.probes:
        if row.layer == layer and row.policy and row.skill is not None:
            skills.setdefault((row.policy, row.condition), []).append(row.skill)
    skill = {key: float(np.mean(values)) for key, values in skills.items()}
    cka = {(row.policy, row.condition): row.cka for row in found.similarity if row.layer == layer}
    share = {(row.policy, row.condition): row.pointing.share for row in found.attention if row.of == NAMED}
    return [
        RivalPoint(
            policy=name,
            group=numbers[name].group,
            condition=condition,
            loss=_less(rates.get((found.start, condition)), rates.get((name, condition))),
            drop=_less(rates.get((name, CLEAN)), rates.get((name, condition))),
            probes_lost=_less(skill.get((found.start, condition)), skill.get((name, condition))),
            probes_dropped=_less(skill.get((name, CLEAN)), skill.get((name, condition))),
            drift=drift.get((name, condition)),
            changed=_less(1.0, cka.get((name, condition))),
            attention_lost=_less(share.get((found.start, condition)), share.get((name, condition))),
            attention_dropped=_less(share.get((name, CLEAN)), share.get((name, condition))),
        )
        for name in names
        for condition in conditions
    ]


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


@dataclass(frozen=True, slots=True)
class _Compared:
    question: Question
    predictor: str
    field: str
    target: str


def _rival(compared: _Compared, points: Sequence[RivalPoint], start: str, resampling: Resampling) -> Rival:
    over_policies = compared.question == "over policies"
    # The start loses nothing against itself, and a clean frame drops nothing: points at (0, 0) would flatter.
    chosen = [point for point in points if (point.policy != start if over_policies else point.condition != CLEAN)]
    unit: Callable[[RivalPoint], str] = (lambda p: p.policy) if over_policies else (lambda p: p.condition)
    stratum: Callable[[RivalPoint], str] = (lambda p: p.condition) if over_policies else (lambda p: p.policy)
    units, strata = (list(dict.fromkeys(map(key, chosen))) for key in (unit, stratum))
    families: Mapping[str, str] = {
        unit(point): point.group if over_policies else _axes(point.condition) for point in chosen
    }
    x, y = (np.full((len(strata), len(units)), np.nan) for _ in range(2))
    for point in chosen:
        place = strata.index(stratum(point)), units.index(unit(point))
        for table, name in ((x, compared.field), (y, compared.target)):
            value = getattr(point, name)
            table[place] = np.nan if value is None else value
    known = ~np.isnan(x).all(axis=1) & ~np.isnan(y).all(axis=1)
    labels = np.array([families[name] for name in units])
    empty = Rival(
        *(compared.question, compared.predictor, None, None, None, None),
        *(len(units), len(set(labels.tolist())), 0, "cannot tell", ""),
    )
    if not known.any():
        return replace(empty, reason="not measured under these conditions")
    found = within_task(np.arange(int(known.sum())), x[known], y[known], labels, resampling)
    return replace(
        empty,
        rho=found.rho,
        interval=found.ci_conditions,
        p=found.p,
        within=found.tasks_used,
        reason=_in_words(found.reason, over_policies=over_policies),
    )


def _adjusted(rows: Sequence[Rival]) -> list[Rival]:
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    found = []
    for row in rows:
        p_holm = None if row.p is None else next(adjusted)
        sure = p_holm is not None and p_holm < ALPHA and row.interval is not None and row.interval.low > 0
        found.append(replace(row, p_holm=p_holm, says="predicts the loss" if sure else "cannot tell"))
    return found


def _in_words(reason: str, *, over_policies: bool) -> str:
    """A reason of `within_task`, which speaks of conditions, their families and tasks, in the terms of the question."""
    if not over_policies:
        return reason.replace("in no task", "for no policy").replace("families", "axes").replace("family", "axis")
    words = {
        "conditions": "policies",
        "in no task": "under no condition",
        "families": "recipes",
        "family": "recipe",
    }
    for one, other in words.items():
        reason = reason.replace(one, other)
    return reason


def _axes(condition: str) -> str:
    return "+".join(parse(condition).axes)
