"""Episodes to report before averaging: infeasible ones, and those in which a perturbation had no effect."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from simeval.analysis.grouping import COLUMNS, groups


@dataclass(frozen=True, slots=True)
class FlagCount:
    """Number of episodes of one condition with a flag.

    Attributes:
        flag: see `simeval.core.types.EpisodeResult.flags`.
        episodes: episodes with the flag.
        planned: all episodes of the condition.
        reason: for infeasible episodes, the first reason; else empty.
        example: id of the first flagged episode.
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
        for flag in sorted({flag for names in flags for flag in names}):
            marked = flagged[[flag in names for names in flags]]
            reasons = marked["error_text"].dropna() if flag == "infeasible" and "error_text" in marked else ()
            reason = str(next(iter(reasons), ""))
            example = str(marked["id"].iloc[0])
            table.append(FlagCount(suite, condition, flag, len(marked), len(rows), reason, example))
    return tuple(table)


def _flags(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else list(value) if isinstance(value, tuple | list) else []
