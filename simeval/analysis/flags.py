"""Episodes that should not be averaged in silence: infeasible ones, and those in which a perturbation did nothing."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from simeval.analysis.grouping import COLUMNS, groups


@dataclass(frozen=True, slots=True)
class FlagCount:
    """How many episodes of one condition carry a flag.

    Attributes:
        flag: see `simeval.core.types.EpisodeResult.flags`.
        episodes: how many carry it.
        planned: how many episodes of the condition there are.
        reason: for infeasible ones, the first reason given; else empty.
        example: id of the first of them.
    """

    suite: str
    condition: str
    flag: str
    episodes: int
    planned: int
    reason: str
    example: str


def flag_table(episodes: pd.DataFrame) -> tuple[FlagCount, ...]:
    """One row per suite, condition and flag."""
    table = []
    if "flags" not in episodes:
        return ()
    for (suite, condition), rows in groups(
        episodes.filter(items=(*COLUMNS, "flags", "error_text")), "suite", "condition"
    ):
        flagged = rows[rows["flags"].astype(bool)]
        flags = flagged["flags"].map(_flags)
        for flag in sorted({flag for found in flags for flag in found}):
            marked = flagged[[flag in found for found in flags]]
            reasons = marked["error_text"].dropna() if flag == "infeasible" and "error_text" in marked else ()
            reason = str(next(iter(reasons), ""))
            example = str(marked["id"].iloc[0])
            table.append(FlagCount(suite, condition, flag, len(marked), len(rows), reason, example))
    return tuple(table)


def _flags(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else list(value) if isinstance(value, tuple | list) else []
