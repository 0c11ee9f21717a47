"""The records that a suite's tasks consist of; starts no simulator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envs.goals import Goal


@dataclass(frozen=True)
class SceneContents:
    """The objects and regions of a task's scene that goals and instructions can refer to.

    Attributes:
        names: every name that a goal atom may contain.
        placements: where each movable object starts: (predicate, region or support, its ranges).
        predicates: the only ones that can be judged in this scene; `None` if it depends on the names alone.
    """

    names: frozenset[str]
    placements: Mapping[str, tuple[str, ...]]
    predicates: frozenset[str] | None = None

    def can_judge(self, goal: Goal) -> bool:
        """Whether a goal can be judged in this scene."""
        known = self.predicates is None or all(atom[0] in self.predicates for atom in goal)
        return known and all(name in self.names for atom in goal for name in atom[1:])


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    Attributes:
        suite: name of the suite.
        index: index in the suite (in LIBERO its default order).
        name: as the benchmark calls it, in LIBERO the file name without suffix.
        instruction: the text that policies were trained on (in LIBERO from the file name; the BDDL's wording
            differs).
        goal: the success predicate.
        scenery: what goals can refer to in this scene.
        bddl: LIBERO's task file; `None` in other suites.
        init_states: LIBERO's file with the published initial states; `None` in other suites.
    """

    suite: str
    index: int
    name: str
    instruction: str
    goal: Goal
    scenery: SceneContents = field(repr=False)
    bddl: Path | None = field(default=None, repr=False)
    init_states: Path | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OtherGoal:
    """An instruction of another task that is feasible in this task's scene, with its goal in this scene.

    Attributes:
        instruction: the other task's instruction, verbatim.
        goal: its success predicate, bound to the objects of this scene.
        source: the other task, for instance `libero_spatial/6`.
    """

    instruction: str
    goal: Goal
    source: str
