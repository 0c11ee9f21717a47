"""Which conditions of a run are decided, and which episodes are therefore not needed.

A decision is a function of the finished prefix of the order in rounds: neither the number of workers nor the order in
which their episodes end has an influence. Episodes beyond the position of a decision may have run; they change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from simeval.core.rounds import Cell, cell_of, in_rounds
from simeval.core.types import CLEAN, EpisodeSpec
from simeval.stats.anytime import SequentialTest

FINISHED = ("success", "failure")


@dataclass
class _Cell:
    """The episodes of a task's initial state.

    Attributes:
        outcomes: by condition, one for each repeat; `None` if it has not ended.
    """

    outcomes: dict[str, list[str | None]] = field(default_factory=dict)

    def is_known(self, condition: str) -> bool:
        """Whether all of its episodes have ended, if there are any."""
        return None not in self.outcomes.get(condition, ())

    def difference(self, condition: str) -> float | None:
        """Clean minus perturbed success; `None` if it does not run here, or a repeat of either broke."""
        clean, perturbed = self.outcomes[CLEAN], self.outcomes.get(condition, [])
        if not perturbed or any(outcome not in FINISHED for outcome in (*clean, *perturbed)):
            return None
        return (clean.count("success") - perturbed.count("success")) / len(clean)


class _SuiteDecisions:
    """The decisions in one suite, whose conditions are a family of tests."""

    def __init__(self, episodes: Sequence[EpisodeSpec], margin: float) -> None:
        self.cells: dict[Cell, _Cell] = {}
        for spec in in_rounds(episodes):
            outcomes = self.cells.setdefault(cell_of(spec), _Cell()).outcomes
            outcomes.setdefault(spec.condition, []).append(None)
        self.order = list(self.cells)
        conditions = dict.fromkeys(spec.condition for spec in episodes if spec.condition != CLEAN)
        self.test = SequentialTest(tuple(conditions), margin)
        self.position = 0

    def advance(self) -> None:
        """Take in the positions whose episodes have ended, as far as undecided conditions need them."""
        while self.position < len(self.order) and (undecided := self.test.undecided):
            cell = self.cells[self.order[self.position]]
            if not all(map(cell.is_known, (CLEAN, *undecided))):
                return
            found = ((name, cell.difference(name)) for name in undecided)
            self.test.add({name: value for name, value in found if value is not None})
            self.position += 1

    @cached_property
    def positions(self) -> dict[Cell, int]:
        """Positions of the cells in the order, from 0."""
        return {cell: i for i, cell in enumerate(self.order)}


class RunDecisions:
    """Follows a run and decides about its conditions, suite by suite."""

    def __init__(self, episodes: Sequence[EpisodeSpec], margin: float) -> None:
        """Start with nothing finished.

        Args:
            episodes: of the whole plan.
            margin: a condition that costs less is decided; in (0, 1).
        """
        by_suite: dict[str, list[EpisodeSpec]] = {}
        for spec in episodes:
            by_suite.setdefault(spec.suite, []).append(spec)
        self._suites = {suite: _SuiteDecisions(specs, margin) for suite, specs in by_suite.items()}

    def record(self, spec: EpisodeSpec, outcome: str) -> None:
        """An episode has ended."""
        suite = self._suites[spec.suite]
        suite.cells[cell_of(spec)].outcomes[spec.condition][spec.repeat] = outcome
        suite.advance()

    def is_open(self, spec: EpisodeSpec) -> bool:
        """Whether an episode of the plan is needed for a decision that has not been made."""
        undecided = self._suites[spec.suite].test.undecided
        return bool(undecided) if spec.condition == CLEAN else spec.condition in undecided

    def counts(self, spec: EpisodeSpec) -> bool:
        """Whether an episode belongs to the evidence: it is within its condition's prefix, or within any for `none`."""
        suite = self._suites[spec.suite]
        position = suite.positions[cell_of(spec)]
        decision = suite.test.decisions.get(spec.condition)
        return position < (decision.position if decision else suite.position)

    def test(self, suite: str) -> SequentialTest:
        """The test of a suite's conditions."""
        return self._suites[suite].test
