"""Does the policy do what it is told? Episodes whose instruction names another goal j of the scene than its own, i.

Non-obvious behaviour:
- The same scene under its own instruction tells how often goal j happens by accident: in the unperturbed twin every
  goal that another instruction of the scene asks for is tracked, though only its own ends the episode.
- A policy that cannot do the task at all neither follows nor ignores; only the pair of both numbers says something.
"""

import json
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import pandas as pd

from simeval.analysis.grouping import LEVEL, Share, groups, share
from simeval.core.types import CLEAN
from simeval.stats.intervals import Interval
from simeval.stats.paired import paired_drop
from simeval.stats.ratio import paired_ratio


@dataclass(frozen=True, slots=True)
class LanguageRate:
    """Which goal was reached first when the instruction named another goal than the original one.

    Attributes:
        n: episodes that ran.
        errors: episodes that broke.
        followed: the goal that it named was reached first.
        ignored: the original goal was.
        neither: none of the two.
        pairs: episodes whose unperturbed twin ran and tracked the named goal; what follows is about these.
        by_accident: share of twins, told their own goal, that reached the other goal before they ended.
        index: language-following index, P(j | told j) - P(j | told i), pooled over pairs.
        index_interval: Bonett-Price interval on pairs.
        ignore_rate: P(i | told j) / P(i | told i); `None` where no twin succeeded.
        ignore_interval: Bonett-Price interval of the ratio of paired proportions; `None` where it has no upper limit.
        approached: share of episodes in which the gripper first closed next to what goal j asks to be moved (which may
            be what goal i asks to be moved as well); `None` where nothing was recorded.
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
    """One row per suite and condition whose instruction names another goal of the scene."""
    table = []
    clean = episodes[episodes["condition"] == CLEAN] if len(episodes) else episodes
    for (suite, condition), rows in groups(episodes, "suite", "condition"):
        ran = rows[rows["outcome"].isin(["success", "failure"])]
        asked = ran["goal"].notna() if "goal" in ran else pd.Series(data=False, index=ran.index)
        if not asked.any() and "instruction:counterfactual" not in condition:
            continue
        ran = ran[asked] if asked.any() else ran
        row = LanguageRate(
            suite=suite,
            condition=condition,
            n=len(ran),
            errors=int((rows["outcome"] == "error").sum()),
            followed=share(ran, ran["reached"] == "counterfactual"),
            ignored=share(ran, ran["reached"] == "original"),
            neither=share(ran, ran["reached"] == "neither"),
        )
        table.append(replace(row, **_against_twins(ran, clean[clean["suite"] == suite])))
    return tuple(table)


def _against_twins(ran: pd.DataFrame, clean: pd.DataFrame) -> dict[str, Any]:
    """The numbers that need the unperturbed twin."""
    if "hits" not in ran or "goal" not in ran:
        return {}
    told = {"approached": _approached(ran)}
    twins = clean[clean["outcome"].isin(["success", "failure"])][["pair_id", "reached", "hits"]]
    pairs = ran.merge(twins, on="pair_id", suffixes=("", "_twin"))
    tracked = [_hits(value) for value in pairs["hits_twin"]]
    pairs = pairs[[hits is not None for hits in tracked]].reset_index(drop=True)
    if pairs.empty:
        return told
    reached = [hits for hits in tracked if hits is not None]
    accident = pd.Series([goal in hits for goal, hits in zip(pairs["goal"], reached, strict=True)])
    units = pairs.groupby(["task", "init_state"]).ngroup()
    index = paired_drop(pairs["reached"] == "counterfactual", accident, units=units, level=LEVEL)
    ratio = paired_ratio(pairs["reached"] == "original", pairs["reached_twin"] == "original", units=units, level=LEVEL)
    return told | {
        "pairs": len(pairs),
        "by_accident": share(pairs, accident),
        "index": index.drop,
        "index_interval": index.interval,
        "ignore_rate": ratio.ratio,
        "ignore_interval": ratio.interval if ratio.ratio is not None and isfinite(ratio.interval.high) else None,
    }


def _approached(ran: pd.DataFrame) -> Share | None:
    """How often the gripper went for what goal j asks to be moved."""
    if "approached" not in ran or not ran["approached"].notna().any():
        return None
    subjects = ran["goal"].fillna("").map(lambda text: [atom.split()[1] for atom in text.split(" & ") if " " in atom])
    hits = [
        isinstance(thing, str) and any(word == thing or word.startswith(f"{thing}_") for word in words)
        for thing, words in zip(ran["approached"], subjects, strict=True)
    ]
    return share(ran, pd.Series(hits, index=ran.index))


def _hits(value: Any) -> dict[str, int] | None:
    """The goals that an episode reached by the way; `None` if it was not tracked (rows of older versions)."""
    if isinstance(value, str):
        found = json.loads(value)
        return None if found is None else dict(found)
    return dict(value) if isinstance(value, tuple | list) else None
