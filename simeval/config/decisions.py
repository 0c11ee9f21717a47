"""Which conditions of a run are decided, and which episodes are therefore not needed.

A decision is a function of the finished prefix of the order in rounds: neither the number of workers nor the order in
which their episodes end has an influence. Episodes beyond the position of a decision may have run; they change nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simeval.config.layout import Planned, planned
from simeval.core.rounds import Cell
from simeval.core.types import CLEAN, EpisodeSpec
from simeval.stats.anytime import SequentialTest
from simeval.stats.study import MAX_MISSING

FINISHED = ("success", "failure")

MARGIN = 5
"""Points that a condition may cost and still be called robust, unless `--margin` says otherwise."""


def margin_of(manifest: Mapping[str, Any]) -> float:
    """The margin of a run, as a fraction."""
    points: int = manifest["config"].get("margin") or MARGIN
    return points / 100


def follow(manifest: Mapping[str, Any], finished: Iterable[tuple[Planned | EpisodeSpec, str]]) -> "RunDecisions":
    """The decisions of a run so far.

    Args:
        manifest: that of a run for which `simeval.config.layout.is_sequential` holds.
        finished: its episodes and their outcomes, in any order.
    """
    config = manifest["config"]
    stops = config.get("until") is not None
    decisions = RunDecisions(planned(manifest), margin_of(manifest), stops=stops, max_pairs=config.get("max_pairs"))
    for episode, outcome in finished:
        decisions.record(episode, outcome)
    return decisions


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

    def is_broken(self, condition: str) -> bool:
        """Whether a repeat of the condition, or of its twin, ended in an error."""
        return condition in self.outcomes and "error" in (*self.outcomes[CLEAN], *self.outcomes[condition])

    def difference(self, condition: str) -> float | None:
        """Clean minus perturbed success; `None` if it does not run here, or a repeat of either broke."""
        clean, perturbed = self.outcomes[CLEAN], self.outcomes.get(condition, [])
        if not perturbed or any(outcome not in FINISHED for outcome in (*clean, *perturbed)):
            return None
        return (clean.count("success") - perturbed.count("success")) / len(clean)


class _SuiteDecisions:
    """The decisions in one suite, whose conditions are a family of tests."""

    def __init__(self, cells: dict[Cell, _Cell], margin: float, *, stops: bool) -> None:
        self.cells, self.order = cells, list(cells)
        conditions = dict.fromkeys(name for cell in cells.values() for name in cell.outcomes if name != CLEAN)
        self.test = SequentialTest(tuple(conditions), margin, stops=stops)
        self.positions = {cell: i for i, cell in enumerate(self.order)}
        self.position = 0
        self._broken = dict.fromkeys(conditions, 0)

    def advance(self) -> None:
        """Take in the positions whose episodes have ended, as far as they are needed."""
        while self.position < len(self.order) and (needed := self.test.running):
            cell = self.cells[self.order[self.position]]
            if not all(map(cell.is_known, (CLEAN, *needed))):
                return
            found = ((name, cell.difference(name)) for name in needed)
            differences = {name: value for name, value in found if value is not None}
            for name in needed:
                self._broken[name] += cell.is_broken(name)
            self.test.add(differences, [name for name in needed if self._is_held(name, differences)])
            self.position += 1

    def _is_held(self, condition: str, differences: Mapping[str, float]) -> bool:
        """Whether so many pairs broke, up to the present ones, that tables compare nothing; then nothing is decided."""
        broken = self._broken[condition]
        pairs = len(self.test.differences(condition)) + (condition in differences) + broken
        return broken > MAX_MISSING * pairs

    def most_left(self) -> int:
        """Most episodes beyond the finished prefix that decisions may still need."""
        needed = {CLEAN, *self.test.running} if self.test.running else set[str]()
        ahead = (self.cells[cell].outcomes.items() for cell in self.order[self.position :])
        return sum(outcomes.count(None) for cell in ahead for name, outcomes in cell if name in needed)


class RunDecisions:
    """Follows a run and decides about its conditions, suite by suite."""

    def __init__(
        self,
        cells: Iterable[tuple[Cell, Iterable[Planned]]],
        margin: float,
        *,
        stops: bool = True,
        max_pairs: int | None = None,
    ) -> None:
        """Start with nothing finished.

        Args:
            cells: of the whole plan, in their order; see `simeval.config.layout.planned`.
            margin: a condition that costs less is decided; in (0, 1).
            stops: whether a decided condition needs no more episodes.
            max_pairs: most pairs of a suite; `None` for all that are planned.
        """
        suites: dict[str, dict[Cell, _Cell]] = {}
        for key, episodes in cells:
            known = suites.setdefault(key[0], {})
            if max_pairs is not None and len(known) >= max_pairs:
                continue
            outcomes = known.setdefault(key, _Cell()).outcomes
            for episode in episodes:
                outcomes.setdefault(episode.condition, []).append(None)
        self._stops = stops
        self._suites = {suite: _SuiteDecisions(known, margin, stops=stops) for suite, known in suites.items()}

    def record(self, episode: Planned | EpisodeSpec, outcome: str) -> None:
        """An episode has ended."""
        suite = self._suites[episode.suite]
        if cell := suite.cells.get(_cell(episode)):
            cell.outcomes[episode.condition][episode.repeat] = outcome
            suite.advance()

    def is_open(self, episode: Planned | EpisodeSpec) -> bool:
        """Whether an episode of the plan is needed for a decision that has not been made."""
        suite = self._suites[episode.suite]
        if not self._stops or _cell(episode) not in suite.cells:
            return not self._stops
        return bool(suite.test.running) if episode.condition == CLEAN else episode.condition in suite.test.running

    def most_left(self) -> int:
        """Most episodes beyond the finished prefixes that decisions may still need."""
        return sum(suite.most_left() for suite in self._suites.values())

    def counts(self, episode: Planned | EpisodeSpec) -> bool:
        """Whether an episode belongs to the evidence: it is within its condition's prefix, or within any for `none`."""
        suite = self._suites[episode.suite]
        position = suite.positions.get(_cell(episode))
        if position is None:
            return False
        decision = None if episode.condition in suite.test.running else suite.test.decisions.get(episode.condition)
        return position < (decision.position if decision else suite.position)

    def test(self, suite: str) -> SequentialTest:
        """The test of a suite's conditions."""
        return self._suites[suite].test


def _cell(episode: Planned | EpisodeSpec) -> Cell:
    return episode.suite, episode.task, episode.init_state
