"""The map of tasks and conditions: successes of each cell, and what the perturbation changed in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simeval.viewer.index import FAILURE, SUCCESS, Rows

LEVELS = 5
"""Shades of a cell either way."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One condition on one task.

    Attributes:
        task: number of the task.
        n, successes: finished episodes.
        pairs: pairs of which both episodes ran to an end.
        harmed, helped: pairs that only the clean, only the perturbed episode solved.
    """

    task: int
    n: int
    successes: int
    pairs: int
    harmed: int
    helped: int

    @property
    def drop(self) -> float | None:
        """Clean minus perturbed rate over the pairs (fraction); `None` without pairs."""
        return (self.harmed - self.helped) / self.pairs if self.pairs else None

    @property
    def shade(self) -> int:
        """-5..5: positive where the perturbation harmed; 0 only where it changed nothing on balance."""
        drop = self.drop or 0.0
        return int(np.sign(drop) * np.ceil(abs(drop) * LEVELS))


@dataclass(frozen=True, slots=True)
class MapRow:
    """A condition; a cell is `None` where no episode has run."""

    condition: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class SuiteMap:
    """The map of one suite: tasks across, conditions down, `none` first where the plan has it first."""

    suite: str
    tasks: tuple[int, ...]
    rows: tuple[MapRow, ...]


def suite_maps(rows: Rows) -> tuple[SuiteMap, ...]:
    """A map per suite that has episodes."""
    columns = rows.columns
    maps = []
    for code, suite in enumerate(rows.suites):
        own = columns["suite"] == code
        if not own.any():
            continue
        tasks, column = np.unique(columns["task"][own], return_inverse=True)
        conditions, line = np.unique(columns["condition"][own], return_inverse=True)
        outcome, before, flip = columns["outcome"][own], rows.clean_outcome[own], rows.flip[own]
        finished = (outcome == SUCCESS) | (outcome == FAILURE)
        place = line * len(tasks) + column
        marks = {
            "any": np.ones(len(place), bool),
            "n": finished,
            "successes": outcome == SUCCESS,
            "pairs": finished & ((before == SUCCESS) | (before == FAILURE)),
            "harmed": flip > 0,
            "helped": flip < 0,
        }
        counts = {name: _count(place, mark, len(conditions), len(tasks)) for name, mark in marks.items()}
        found = tuple(
            MapRow(
                rows.conditions[condition],
                tuple(_cell(counts, k, j, int(task)) for j, task in enumerate(tasks)),
            )
            for k, condition in enumerate(conditions)
        )
        maps.append(SuiteMap(suite, tuple(map(int, tasks)), found))
    return tuple(maps)


def _count(place: NDArray[np.intp], mark: NDArray[np.bool_], lines: int, across: int) -> NDArray[np.intp]:
    return np.bincount(place[mark], minlength=lines * across).reshape(lines, across)


def _cell(counts: dict[str, NDArray[np.intp]], line: int, column: int, task: int) -> Cell | None:
    one = {name: int(table[line, column]) for name, table in counts.items()}
    if not one.pop("any"):
        return None
    return Cell(task=task, **one)
