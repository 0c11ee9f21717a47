"""Which episodes a page lists: the part of its address after the question mark, and the same as a mask."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown
from simeval.viewer.index import OUTCOMES, Ints, Rows

FLIPS = ("any", "harmed", "helped")
_WORDS = {"any": "changed by the perturbation", "harmed": "harmed", "helped": "helped"}
FLAGGED = "any"


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a filter may have, its text, and how many episodes have it."""

    value: str
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Stages:
    """Where the episodes of a run failed.

    Attributes:
        names: what the codes stand for; empty where the stages of a run are not known.
        codes: one per episode, in the order of `Rows`; negative where it has none.
        note: why those that are stored cannot be read.
    """

    names: tuple[str, ...] = ()
    codes: Ints | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice of episodes; an empty text is no restriction.

    Attributes:
        suite: name of a suite.
        task: number of a task.
        condition: canonical condition.
        outcome: outcome.
        flip: one of `FLIPS`: the outcome is another one than that of the unperturbed twin.
        flag: a flag of the episode, or `any`.
        stage: the stage at which it failed.
    """

    suite: str = ""
    task: str = ""
    condition: str = ""
    outcome: str = ""
    flip: str = ""
    flag: str = ""
    stage: str = ""

    @staticmethod
    def of(query: Mapping[str, str]) -> "Filter":
        """The filter in an address."""
        return Filter(**{item.name: query[item.name] for item in fields(Filter) if item.name in query})

    def query(self) -> dict[str, str]:
        """The part of an address that says the same."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name))}

    def mask(self, rows: Rows, stages: Stages) -> NDArray[np.bool_]:
        """`bool[N]`: the episodes that are chosen.

        Raises:
            ConfigError: a value is none that the run has.
        """
        chosen = np.ones(len(rows), bool)
        columns = rows.columns
        for name, names in (("suite", rows.suites), ("condition", rows.conditions), ("outcome", OUTCOMES)):
            if value := str(getattr(self, name)):
                chosen &= columns[name] == _code(name, value, names)
        if self.task:
            if not (self.task.isascii() and self.task.isdigit() and len(self.task) < 10):
                raise ConfigError(f"task={shown(self.task)}: not the number of a task")
            chosen &= columns["task"] == int(self.task)
        if self.flip:
            chosen &= (rows.flip != 0, rows.flip > 0, rows.flip < 0)[_code("flip", self.flip, FLIPS)]
        if self.flag:
            sets = [bool(flags) if self.flag == FLAGGED else self.flag in flags for flags in rows.flag_sets]
            chosen &= np.asarray(sets, bool)[columns["flags"]]
        if self.stage:
            code = _code("stage", self.stage, stages.names)
            chosen &= stages.codes == code if stages.codes is not None else False
        return chosen


def _code(name: str, value: str, names: tuple[str, ...]) -> int:
    if value not in names:
        raise ConfigError(f"{name}={shown(value)}: this run has none{nearest(value, names[:500])}")
    return names.index(value)


def choices(rows: Rows, stages: Stages) -> dict[str, tuple[Choice, ...]]:
    """What each filter can be set to, by its name; a filter with nothing to choose is left out."""
    columns, every = rows.columns, len(rows)
    offered = {
        "suite": _named(rows.suites, columns["suite"]),
        "task": [Choice(str(task), f"task {task}", int(n)) for task, n in zip(*_counted(columns["task"]), strict=True)],
        "condition": _named(rows.conditions, columns["condition"]),
        "outcome": _named(OUTCOMES, columns["outcome"]),
        "flip": [
            Choice(word, _WORDS[word], int(np.count_nonzero(Filter(flip=word).mask(rows, stages)))) for word in FLIPS
        ],
        "flag": _flags(rows),
        "stage": _named(stages.names, stages.codes) if stages.codes is not None else [],
    }
    kept = {name: tuple(one for one in found if one.count) for name, found in offered.items()}
    return {
        name: found
        for name, found in kept.items()
        if len(found) > 1 or (found and name in ("flip", "flag", "stage")) or (found and found[0].count < every)
    }


def _counted(codes: Ints) -> tuple[Ints, Ints]:
    values, counts = np.unique(codes, return_counts=True)
    return values, counts


def _named(names: tuple[str, ...], codes: Ints) -> list[Choice]:
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    return [Choice(name, name, int(count)) for name, count in zip(names, counts, strict=True)]


def _flags(rows: Rows) -> list[Choice]:
    counts = np.bincount(rows.columns["flags"], minlength=len(rows.flag_sets))
    known = sorted({flag for flags in rows.flag_sets for flag in flags})
    single = [
        Choice(flag, flag, int(sum(n for flags, n in zip(rows.flag_sets, counts, strict=True) if flag in flags)))
        for flag in known
    ]
    flagged = sum(int(n) for flags, n in zip(rows.flag_sets, counts, strict=True) if flags)
    return [Choice(FLAGGED, "any flag", flagged), *single] if single else []
