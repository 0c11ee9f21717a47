"""Language following: does the policy pursue goal j when instructed to j in a scene whose original goal is i?

Non-obvious behaviour:
- The unperturbed twin shows how often goal j is reached by accident: it tracks the goals of all other instructions of
  the scene, though only its own goal ends the episode.
- A policy that cannot do the task neither follows nor ignores; only both numbers together are meaningful.
"""

import json
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import pandas as pd

from simeval.analysis.grouping import LEVEL, Share, groups, share_over_tasks
from simeval.core.types import CLEAN
from simeval.stats.intervals import Interval
from simeval.stats.paired import paired_drop
from simeval.stats.ratio import paired_ratio


@dataclass(frozen=True, slots=True)
class LanguageRate:
    """The goal reached first when the instruction names another goal (j) than the original one (i).

    Attributes:
        n: completed episodes.
        errors: episodes that ended in an error.
        followed: the instructed goal was reached first.
        ignored: the original goal was reached first.
        neither: neither goal was reached.
        pairs: episodes whose unperturbed twin completed and tracked goal j; all fields below are about these.
        by_accident: share of twins, instructed to reach goal i, that reached goal j before they ended.
        index: language-following index, P(j | instructed to j) - P(j | instructed to i). In all rates of this row, in
            `index` and in `ignore_rate` tasks weigh alike.
        index_interval: Bonett-Price interval on pairs.
        ignore_rate: P(i | instructed to j) / P(i | instructed to i); `None` where no twin succeeded.
        ignore_interval: Bonett-Price interval of the ratio of paired proportions; `None` where it has no upper limit.
        approached: share of episodes in which the gripper first closed next to an object of goal j (which may be one of
            goal i as well); `None` where nothing was recorded.
    """

    suite: str
    condition: str
    n: int
    errors: int
    followed: Share
    ignored: Share
    neither: Share
    pairs: int = 0
    by_accident: Share | None = None
    index: float | None = None
    index_interval: Interval | None = None
    ignore_rate: float | None = None
    ignore_interval: Interval | None = None
    approached: Share | None = None


def language_table(episodes: pd.DataFrame) -> tuple[LanguageRate, ...]:
    """One row per suite and condition with instructions that name another goal of the scene."""
    table = []
    clean = episodes[episodes["condition"] == CLEAN] if len(episodes) else episodes
    for (suite, condition), rows in groups(episodes, "suite", "condition"):
        ran = rows[rows["outcome"].isin(["success", "failure"])]
        names_goal = ran["goal"].notna() if "goal" in ran else pd.Series(data=False, index=ran.index)
        if not names_goal.any() and "instruction:counterfactual" not in condition:
            continue
        ran = ran[names_goal] if names_goal.any() else ran
        row = LanguageRate(
            suite=suite,
            condition=condition,
            n=len(ran),
            errors=int((rows["outcome"] == "error").sum()),
            followed=share_over_tasks(ran, ran["reached"] == "counterfactual"),
            ignored=share_over_tasks(ran, ran["reached"] == "original"),
            neither=share_over_tasks(ran, ran["reached"] == "neither"),
        )
        table.append(replace(row, **_against_twins(ran, clean[clean["suite"] == suite])))
    return tuple(table)


def _against_twins(ran: pd.DataFrame, clean: pd.DataFrame) -> dict[str, Any]:
    """The numbers that need the unperturbed twin."""
    if "hits" not in ran or "goal" not in ran:
        return {}
    approached = {"approached": _approached(ran)}
    twins = clean[clean["outcome"].isin(["success", "failure"])][["pair_id", "reached", "hits"]]
    pairs = ran.merge(twins, on="pair_id", suffixes=("", "_twin"))
    tracked = [_tracked_goals(value) for value in pairs["hits_twin"]]
    pairs = pairs[[hits is not None for hits in tracked]].reset_index(drop=True)
    if pairs.empty:
        return approached
    twin_goals = [hits for hits in tracked if hits is not None]
    accident = pd.Series([goal in hits for goal, hits in zip(pairs["goal"], twin_goals, strict=True)])
    units = pairs.groupby(["task", "init_state"]).ngroup()
    followed = pairs["reached"] == "counterfactual"
    index = paired_drop(followed, accident, units=units, tasks=pairs["task"], level=LEVEL)
    ignored = pairs["reached"] == "original", pairs["reached_twin"] == "original"
    ratio = paired_ratio(*ignored, units=units, tasks=pairs["task"], level=LEVEL)
    return approached | {
        "pairs": len(pairs),
        "by_accident": share_over_tasks(pairs, accident),
        "index": index.drop,
        "index_interval": index.interval,
        "ignore_rate": ratio.ratio,
        "ignore_interval": ratio.interval if ratio.ratio is not None and isfinite(ratio.interval.high) else None,
    }


def _approached(ran: pd.DataFrame) -> Share | None:
    """How often the gripper first closed next to an object that goal j asks to move."""
    if "approached" not in ran or not ran["approached"].notna().any():
        return None
    targets = ran["goal"].fillna("").map(lambda text: [atom.split()[1] for atom in text.split(" & ") if " " in atom])
    hits = [
        isinstance(object_name, str)
        and any(word == object_name or word.startswith(f"{object_name}_") for word in names)
        for object_name, names in zip(ran["approached"], targets, strict=True)
    ]
    return share_over_tasks(ran, pd.Series(hits, index=ran.index))


def _tracked_goals(value: Any) -> dict[str, int] | None:
    """Other goals that an episode reached; `None` if they were not tracked (rows of older versions)."""
    if isinstance(value, str):
        goals = json.loads(value)
        return None if goals is None else dict(goals)
    return dict(value) if isinstance(value, tuple | list) else None
