"""Joins a run and an audit: the closed-loop drop of each condition next to its action drift.

Non-obvious behaviour:
- Drift on a run's pairs is averaged over the frames and seeds of each pair. Drift on the frames of a dataset belongs to
  no pair: it is used for every suite, and not within tasks or episodes.
- A condition's axis family is its axis, because strengths of one axis are not independent. Strengths are ordered only
  among conditions that are otherwise equal; numbers with a direction by their distance from the identity.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from perturbations.base import SpecError
from perturbations.condition import Condition
from perturbations.spec import parse
from simeval.core.drift_row import FLOOR, DriftRow
from simeval.core.errors import ConfigError
from simeval.core.types import CLEAN
from simeval.stats.drift import PRIMARY, VARIANTS, windowed_max
from simeval.stats.screening import Predictor
from simeval.stats.study import ConditionInfo, DriftOutcomes, FrameDrift, validity

Floats = NDArray[np.float64]

PIXEL_CHANGE = "mean_abs"
"""A rival predictor that needs no policy: the change of the images."""


@dataclass(frozen=True, slots=True, eq=False)
class JoinedSuite:
    """One policy on one suite.

    Attributes:
        suite: suite name.
        study: outcomes and primary drift.
        rivals: other predictors, one value per condition.
        frames: number of frames with drift, over all conditions.
    """

    suite: str
    study: DriftOutcomes
    rivals: tuple[Predictor, ...]
    frames: int


def join(episodes: pd.DataFrame, rows: Sequence[DriftRow]) -> tuple[JoinedSuite, ...]:
    """One study per suite of a run.

    Args:
        episodes: `simeval.store.run.Run.episodes`.
        rows: of an audit of the same policy.
    """
    drifts = _table(rows)
    conditions = [str(name) for name in episodes["condition"].cat.categories if name != CLEAN]
    suites = []
    for suite in episodes["suite"].cat.categories:
        suite_episodes = episodes[episodes["suite"] == suite]
        suite_drifts = drifts[drifts["suite"].isin([suite, ""])]
        if not suite_episodes.empty:
            suites.append(_join_suite(str(suite), suite_episodes, suite_drifts, conditions))
    return tuple(suites)


def study_conditions(names: Sequence[str]) -> tuple[ConditionInfo, ...]:
    """Describe perturbed conditions, given by their canonical texts, for the statistics.

    Raises:
        ConfigError: a condition is unknown, for instance because its axis is a plugin's.
    """
    try:
        parsed = [parse(name) for name in names]
    except SpecError as error:
        raise ConfigError(f"a condition of the run cannot be read: {error}") from None
    most_common: dict[str, Any] = {}
    for condition in parsed:
        variants = [_variant(other) for other in parsed if _family(other) == _family(condition)]
        most_common[_family(condition)] = Counter(filter(None, variants)).most_common(1)
    return tuple(
        ConditionInfo(
            name,
            axis_family=_family(condition),
            severity=_strength(condition) if _variant(condition) in dict(most_common[_family(condition)]) else None,
            validity=validity(condition.meaning, {term.info.channel for term in condition.active_terms()}),
            identity=not any(condition.active_terms()),
        )
        for name, condition in zip(names, parsed, strict=True)
    )


def _family(condition: Condition) -> str:
    return "+".join(condition.axes)


def _variant(condition: Condition) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Camera and options of a condition with one numeric term; `None` for words and combinations."""
    if len(condition.terms) != 1 or isinstance(condition.terms[0].value, str):
        return None
    return condition.terms[0].camera, condition.terms[0].options


def _strength(condition: Condition) -> float:
    (term,) = condition.terms
    return abs(float(term.value) - float(term.info.identity))


def _table(rows: Sequence[DriftRow]) -> pd.DataFrame:
    columns = ["frame", "source", "cluster", "step", "suite", "pair_id", "condition", "seed", "mean_abs", *VARIANTS]
    table = pd.DataFrame([[getattr(row, name) for name in columns] for row in rows], columns=columns)
    table[[PIXEL_CHANGE, *VARIANTS]] = table[[PIXEL_CHANGE, *VARIANTS]].astype(float)
    representation = pd.DataFrame([dict(row.representation) for row in rows], index=table.index, dtype=float)
    return pd.concat([table, representation.add_prefix("representation: ")], axis=1)


def _join_suite(suite: str, episodes: pd.DataFrame, drifts: pd.DataFrame, conditions: Sequence[str]) -> JoinedSuite:
    outcomes = episodes.pivot(index="pair_id", columns="condition", values="outcome")
    pairs = episodes.drop_duplicates("pair_id").set_index("pair_id").loc[outcomes.index]
    success = outcomes.astype(object).replace({"success": 1.0, "failure": 0.0, "error": np.nan, "infeasible": np.nan})
    success = success.reindex(columns=[CLEAN, *conditions]).astype(float)
    infeasible = (outcomes.reindex(columns=conditions) == "infeasible").to_numpy(dtype=bool)
    perturbed = drifts[~drifts["condition"].isin([CLEAN, FLOOR])]
    on_pairs = perturbed[perturbed["pair_id"].isin(outcomes.index)]
    floor = drifts.loc[drifts["condition"] == FLOOR, PRIMARY].mean()
    drift = frames = None
    if len(on_pairs):
        means = on_pairs.pivot_table(index="pair_id", columns="condition", values=PRIMARY, aggfunc="mean")
        drift = means.reindex(index=outcomes.index, columns=conditions).to_numpy(dtype=float)
    elif len(perturbed):
        frames = _frame_drift(perturbed, conditions)
    study = DriftOutcomes(
        conditions=study_conditions(conditions),
        tasks=pairs["task"].to_numpy(dtype=np.int64),
        init_states=pairs["init_state"].to_numpy(dtype=np.int64),
        clean=success[CLEAN].to_numpy(),
        perturbed=success[conditions].to_numpy(),
        drift=drift,
        frames=frames,
        infeasible=infeasible,
        floor=None if np.isnan(floor) else float(floor),
    )
    used = on_pairs if drift is not None else perturbed
    return JoinedSuite(suite, study, _rivals(used, conditions), int(used["frame"].nunique()))


def _frame_drift(drifts: pd.DataFrame, conditions: Sequence[str]) -> FrameDrift:
    table = drifts.pivot_table(index=["cluster", "frame"], columns="condition", values=PRIMARY, aggfunc="mean")
    clusters = pd.factorize(table.index.get_level_values("cluster"))[0]
    values = table.reindex(columns=list(conditions)).to_numpy(dtype=float)
    return FrameDrift(values, np.asarray(clusters, np.int64))


def _rivals(drifts: pd.DataFrame, conditions: Sequence[str]) -> tuple[Predictor, ...]:
    """All other measured numbers of the audit, as means over clusters per condition."""
    others = [name for name in VARIANTS if name != PRIMARY]
    representation_columns = [name for name in drifts.columns if name.startswith("representation: ")]
    rivals = []
    for name in (*others, PIXEL_CHANGE, *representation_columns):
        means = drifts.groupby(["condition", "cluster"])[name].mean().groupby("condition").mean()
        values = means.reindex(list(conditions)).to_numpy(dtype=float)
        if not np.isnan(values).all():
            rivals.append(Predictor(name.removeprefix("representation: "), values))
    if (drifts["source"] == "replay").any():
        rivals.append(Predictor("drift_exec, worst moment", _worst_moments(drifts, conditions)))
    return tuple(rivals)


def _worst_moments(drifts: pd.DataFrame, conditions: Sequence[str]) -> Floats:
    """Largest sliding mean over the frames of an episode, averaged over episodes."""
    ordered = drifts.dropna(subset=[PRIMARY]).sort_values("step", kind="stable")
    episodes = ordered.groupby(["condition", "cluster", "seed"])[PRIMARY]
    worst = episodes.agg(lambda values: windowed_max(values.to_numpy()))
    means = worst.groupby("condition").mean()
    return np.asarray(means.reindex(list(conditions)).to_numpy(dtype=float))
