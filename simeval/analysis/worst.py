"""The find of a search for a bad condition, from its manifest and its rows; needs no simulator and no registered axis.

Non-obvious behaviour:
- The find is named by the rows of the search, and its rate and drop are of the confirmation alone. How often it failed
  in the search is told beside it, as what it is: chosen for being low.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from simeval.analysis import success
from simeval.analysis.success import ConditionRate, analyse
from simeval.config.decisions import FINISHED
from simeval.config.layout import WORST, verb_of
from simeval.config.worst import parts_of
from simeval.config.worst_schedule import Schedule, schedule_of
from simeval.config.worst_space import Space
from simeval.core.types import CLEAN
from simeval.stats.intervals import wilson
from simeval.stats.worst import FailurePosterior

SCHEMA_VERSION = 1
COLUMNS = tuple(dict.fromkeys((*success.COLUMNS, "repeat")))
"""Columns that `worst` reads."""
LISTED = 10
"""Most conditions in a table, the find among them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A success rate: a fraction with its 95 % interval; `None` without episodes."""

    successes: int
    episodes: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Tried:
    """A condition that the search tried.

    Attributes:
        condition: canonical text.
        successes, episodes: of the search.
        suggested: success rate that these and those of its neighbours suggest.
        shares: per axis the strength as a signed share of its range; 0 where the axis is left alone.
    """

    condition: str
    successes: int
    episodes: int
    suggested: float
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What fresh pairs say of the find.

    Attributes:
        pairs: that ran to an end on both sides.
        rate: of the find.
        clean: of the clean twins.
        drop: clean minus perturbed; `None` without pairs, as the following.
        low, high: 95 % interval of `drop`.
        harmed, helped: pairs that only the clean, only the perturbed episode solved.
        p: exact, two-sided.
    """

    pairs: int
    rate: Rate
    clean: Rate
    drop: float | None
    low: float | None
    high: float | None
    harmed: int
    helped: int
    p: float | None


@dataclass(frozen=True, slots=True)
class WorstFound:
    """The result of a search.

    Attributes:
        suite: suite.
        labels: of the axes.
        conditions: how many could be tried.
        tried: how many were.
        condition: the find; `None` before any condition has run.
        confirmation: of it.
        is_complete: whether the confirmation has all its pairs, those included that cannot be made.
        uniform: mean success over all conditions: of the episodes at random alone.
        in_search: of the find in the search: biased, since it was chosen for it.
        seen: the conditions that were tried, those that looked worst first: the first is the find.
        searched: episodes of the search that count.
        errors: episodes that broke or could not be made, which do not count.
        text: the result in a sentence.
    """

    suite: str
    labels: tuple[str, ...]
    conditions: int
    tried: int
    condition: str | None
    confirmation: Confirmation
    is_complete: bool
    uniform: Rate
    in_search: Rate
    seen: tuple[Tried, ...]
    searched: int
    errors: int
    text: str

    @property
    def listed(self) -> tuple[Tried, ...]:
        """The conditions that tables list."""
        return self.seen[:LISTED]


def worst(manifest: Mapping[str, Any], episodes: pd.DataFrame) -> WorstFound | None:
    """The find of a run; `None` if it was no search for a bad condition.

    Args:
        manifest: the run's.
        episodes: its rows, with `COLUMNS`.
    """
    if verb_of(manifest) != WORST:
        return None
    read = _read(manifest, episodes)
    counting = read.search["outcome"].isin(FINISHED)
    searched = read.search[counting]
    keys = zip(searched["condition"], searched["task"], searched["init_state"], searched["repeat"], strict=True)
    drawn = [(read.numbers[str(name)], tuple(place)) in read.schedule.at_random for name, *place in keys]
    uniform = _rate(*_counts(searched[pd.Series(drawn, searched.index, dtype=bool)]))
    seen = _seen(read)
    confirmed = _confirmation(read)
    find = seen[0] if seen else None
    return WorstFound(
        suite=str(manifest["config"]["suite"][0]),
        labels=read.space.labels,
        conditions=len(read.space.candidates),
        tried=int(searched["condition"].nunique()),
        condition=read.find,
        confirmation=confirmed,
        is_complete=_is_complete(read),
        uniform=uniform,
        in_search=_rate(find.successes, find.episodes) if find else _rate(0, 0),
        seen=seen,
        searched=len(searched),
        errors=int((~episodes["outcome"].isin(FINISHED)).sum()),
        text=_text(read.find, confirmed, uniform),
    )


def confirmation(manifest: Mapping[str, Any], episodes: pd.DataFrame) -> pd.DataFrame:
    """The rows of a search that its choices have not touched: the find on fresh pairs, and the clean twins."""
    return _read(manifest, episodes).confirmation


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """The rows of a search by what they are for.

    Attributes:
        space, schedule: of the search.
        numbers: of its conditions.
        posterior: after the search.
        search: perturbed rows of the search.
        confirmation: rows of the confirmation.
        find: the condition that looks worst.
        wanted: pairs that it should have.
    """

    space: Space
    schedule: Schedule
    numbers: Mapping[str, int]
    posterior: FailurePosterior
    search: pd.DataFrame
    confirmation: pd.DataFrame
    find: str | None
    wanted: int


def _read(manifest: Mapping[str, Any], episodes: pd.DataFrame) -> _Read:
    (space, size), config = parts_of(manifest[WORST]), manifest["config"]
    layout = manifest["layout"][config["suite"][0]]
    schedule = schedule_of(space, size, layout, (config["seed"], config["repeats"]))
    places = zip(episodes["task"], episodes["init_state"], episodes["repeat"], strict=True)
    fresh = pd.Series([place in schedule.reserved for place in places], episodes.index, dtype=bool)
    search = episodes[~fresh & (episodes["condition"] != CLEAN)]
    numbers = {one.condition: index for index, one in enumerate(space.candidates)}
    posterior = FailurePosterior([one.point for one in space.candidates])
    for condition, outcome in zip(search["condition"], search["outcome"], strict=True):
        if outcome in FINISHED:
            posterior.add(numbers[str(condition)], success=outcome == "success")
    worst = posterior.worst()
    find = None if worst is None else space.candidates[worst].condition
    rows = episodes[fresh & episodes["condition"].isin([CLEAN, find])]
    rows = rows.assign(condition=pd.Categorical(rows["condition"], [CLEAN, *([find] if find else [])]))
    gone = layout["left_out"].get(str(find), ())
    wanted = sum(task not in gone for task, _, _ in schedule.confirmation)
    return _Read(space, schedule, numbers, posterior, search, rows, find, wanted)


def _confirmation(read: _Read) -> Confirmation:
    analysed = analyse(read.confirmation)
    rates = {row.condition: row for row in analysed.rates}
    clean, perturbed = (_of_table(rates.get(str(name))) for name in (CLEAN, read.find))
    if not analysed.drops:
        return Confirmation(0, perturbed, clean, None, None, None, 0, 0, None)
    (row,) = analysed.drops
    low, high = (row.interval.low, row.interval.high) if row.interval else (None, None)
    return Confirmation(row.pairs, perturbed, clean, row.drop, low, high, row.harmed, row.helped, row.p)


def _is_complete(read: _Read) -> bool:
    ran = read.confirmation[read.confirmation["outcome"] != "error"]
    sides = [int((ran["condition"] == name).sum()) for name in (CLEAN, read.find)]
    return min(sides) >= read.wanted > 0


def _of_table(row: ConditionRate | None) -> Rate:
    if row is None or row.rate is None:
        return _rate(0, 0)
    return Rate(row.successes, row.n, row.rate, row.interval.low, row.interval.high)


def _rate(successes: int, episodes: int) -> Rate:
    if not episodes:
        return Rate(0, 0, None, None, None)
    interval = wilson(successes, episodes)
    return Rate(successes, episodes, successes / episodes, interval.low, interval.high)


def _counts(rows: pd.DataFrame) -> tuple[int, int]:
    return int((rows["outcome"] == "success").sum()), len(rows)


def _seen(read: _Read) -> tuple[Tried, ...]:
    """The conditions that were tried, those that looked worst first."""
    suggested = 1 - read.posterior.means()
    rows = [
        Tried(one.condition, *read.posterior.counts(index), float(suggested[index]), one.point)
        for index, one in enumerate(read.space.candidates)
    ]
    return tuple(sorted((row for row in rows if row.episodes), key=lambda row: row.suggested))


def _text(find: str | None, found: Confirmation, uniform: Rate) -> str:
    """The result in a sentence."""
    if find is None:
        return "no condition has run yet"
    if found.drop is None:
        return f"worst found {find}, not confirmed yet"
    at_random = f", {percent(uniform)} at random conditions" if uniform.rate is not None else ""
    drop = f"{100 * found.drop:.1f} points"
    if found.low is not None and found.high is not None:
        drop += f" [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return (
        f"worst found {find}: {percent(found.rate)} on {found.pairs} fresh pairs, {drop} below clean "
        f"({percent(found.clean)}){at_random}"
    )


def percent(rate: Rate) -> str:
    """A success rate with its interval."""
    if rate.rate is None or rate.low is None or rate.high is None:
        return "-"
    return f"{100 * rate.rate:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
