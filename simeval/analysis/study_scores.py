"""The numbers of a study's policies, pair by pair and frame by frame, side by side: what all its comparisons are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simeval.core.drift_row import FLOOR
from simeval.core.types import CLEAN
from simeval.stats.change import Gain, compare_drift, compare_scores
from simeval.stats.drift import PRIMARY
from simeval.stats.resampling import Resampling
from simeval.store.audit import Audit
from simeval.store.run import Run

Measure = Literal["success", "robustness", "following", "drift"]
MEASURES: Mapping[Measure, str] = {
    "success": "success",
    "robustness": "change under perturbation",
    "following": "instruction followed",
    "drift": "drift of the action",
}
"""Measure -> what it is called. Robustness is perturbed minus clean success, mean over all perturbed
conditions, in points."""
OVER_ALL = "all conditions"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UsedPolicy:
    """A policy that is in the numbers."""

    name: str
    group: str
    seed: int | None
    run: Run
    audit: Audit | None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One measure under one condition.

    Attributes:
        values: float[policies, pairs or frames]; NaN where there is none. More is better, except for drift.
        units: int[pairs or frames], initial state or cluster of each.
    """

    measure: Measure
    condition: str
    values: Floats
    units: NDArray[np.intp]

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value that is possible."""
        return {"drift": (0.0, np.inf), "robustness": (-1.0, 1.0)}.get(self.measure, (0.0, 1.0))

    def mean(self, policy: int) -> float | None:
        """A policy's mean; that of drift is over clusters first."""
        known = ~np.isnan(self.values[policy])
        if not known.any():
            return None
        if self.measure != "drift":
            return float(self.values[policy][known].mean())
        return float(pd.Series(self.values[policy][known]).groupby(self.units[known]).mean().mean())

    def gain(self, a: Sequence[int], b: Sequence[int], resampling: Resampling | None) -> tuple[Gain, tuple[float, ...]]:
        """The gain of the mean of policies `b` over that of policies `a`, and that of each pair of them."""
        whole = ~np.isnan(self.values[[*a, *b]]).any(axis=0)
        units = self.units[whole]
        first, second = self.values[list(a)][:, whole], self.values[list(b)][:, whole]
        if not whole.any():
            return Gain(self.condition, 0, 0, reason="no pair that all of them have"), ()
        means = first.mean(axis=0), second.mean(axis=0)
        if self.measure != "drift":
            found = compare_scores(*means, units=units, resampling=resampling)
            return found, tuple((second - first).mean(axis=1))
        (found,) = compare_drift(
            [self.condition], means[0][:, None], means[1][:, None], units=units, resampling=resampling
        )
        over = pd.DataFrame((first - second).T).groupby(units).mean().mean(axis=0)  # less drift is better
        return found, tuple(map(float, over))


def scores_of(used: Sequence[UsedPolicy], suite: str) -> tuple[Scores, ...]:
    """All measures of the policies on one suite: success, robustness, following, then drift."""
    frames = [_episodes(one.run, suite) for one in used]
    conditions = [name for name in used[0].run.manifest["conditions"] if name in set(frames[0]["condition"])]
    pairs = frames[0].drop_duplicates("pair_id").set_index("pair_id")[["task", "init_state"]]
    units = pairs.groupby(["task", "init_state"]).ngroup().to_numpy()

    def table(column: str) -> Floats:
        """A column of the rows: float[policies, pairs, conditions]."""
        wide = [frame.pivot(index="pair_id", columns="condition", values=column) for frame in frames]
        return np.stack([one.reindex(index=pairs.index, columns=conditions).to_numpy(dtype=float) for one in wide])

    success, followed = table("success"), table("followed")
    found = [Scores("success", name, success[:, :, i], units) for i, name in enumerate(conditions)]
    if len(conditions) > 1 and conditions[0] == CLEAN:
        found.append(Scores("robustness", OVER_ALL, success[:, :, 1:].mean(axis=2) - success[:, :, 0], units))
    for i, name in enumerate(conditions):
        if name != CLEAN and not np.isnan(followed[:, :, i]).all():
            found.append(Scores("following", name, followed[:, :, i], units))
    return (*found, *_drift([one.audit for one in used], suite))


def _episodes(run: Run, suite: str) -> pd.DataFrame:
    rows = run.episodes[run.episodes["suite"].astype(str) == suite]
    ended = rows["outcome"].isin(["success", "failure"])
    followed = (rows["reached"] == "counterfactual").astype(float).where(ended & rows["goal"].notna())
    return pd.DataFrame(
        {
            "pair_id": rows["pair_id"].astype(str),
            "task": rows["task"].astype(int),
            "init_state": rows["init_state"].astype(int),
            "condition": rows["condition"].astype(str),
            "success": (rows["outcome"] == "success").astype(float).where(ended),
            "followed": followed,
        }
    )


def _drift(audits: Sequence[Audit | None], suite: str) -> list[Scores]:
    """Drift on frames that show the same state to all policies: not on those of their own rollouts."""
    if not any(audits):
        return []
    wide = [_frames(audit, suite) if audit else None for audit in audits]
    measured = [one for one in wide if one is not None and len(one)]
    if not measured:
        return []
    index, conditions = measured[0].index, list(measured[0].columns)
    clusters = np.asarray(pd.factorize(index.get_level_values("cluster"))[0], dtype=np.intp)
    nothing = pd.DataFrame(index=index, columns=conditions, dtype=float)
    tables = [(nothing if one is None else one).reindex(index=index, columns=conditions) for one in wide]
    values = np.stack([one.to_numpy(dtype=float) for one in tables])
    return [Scores("drift", name, values[:, :, i], clusters) for i, name in enumerate(conditions)]


def drift_means(audit: Audit, suite: str) -> tuple[tuple[str, float], ...]:
    """A policy's mean drift by condition, over clusters, on whatever frames its audit has."""
    table = _drift_rows(audit, suite).dropna()
    by_cluster = table.groupby(["condition", "cluster"], sort=False)["drift"].mean()
    means = by_cluster.groupby("condition", sort=False).mean()
    return tuple((str(condition), float(value)) for condition, value in means.items())


def _frames(audit: Audit, suite: str) -> pd.DataFrame:
    table = _drift_rows(audit, suite)
    table = table[table["source"] != "replay"]
    order = list(dict.fromkeys(table["condition"]))
    return table.pivot_table(index=["cluster", "frame"], columns="condition", values="drift").reindex(columns=order)


def _drift_rows(audit: Audit, suite: str) -> pd.DataFrame:
    rows = [
        (row.cluster, row.frame, row.source, row.condition, getattr(row, PRIMARY))
        for row in audit.rows
        if row.suite in (suite, "") and row.condition not in (CLEAN, FLOOR)
    ]
    return pd.DataFrame(rows, columns=["cluster", "frame", "source", "condition", "drift"]).astype({"drift": float})
