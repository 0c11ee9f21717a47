"""Which initial states a search for a bad condition may use, which confirm its find, and what runs at random first.

All of it is settled before the first episode, as a function of the plan and the seed. So a stored row says by itself
whether it belongs to the search or to the confirmation.

Non-obvious behaviour:
- Initial states of the confirmation are used by no episode of the search, whatever its condition: a task or state that
  is hard would otherwise make both look bad.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from typing import Any

import numpy as np

from simeval.config.worst import CLEAN_FIRST, Size
from simeval.config.worst_space import Space
from simeval.core.errors import ConfigError
from simeval.stats.worst import stream

type Place = tuple[int, int, int]
"""Task, initial state and repeat."""
_DRAWS = 200
"""Attempts to draw a condition that the place has not had and that its task can have."""


@dataclass(frozen=True)
class Schedule:
    """The places of a search.

    Attributes:
        search: for the search, in the order in which they are used first: one initial state of every task, then the
            next.
        confirmation: for the confirmation, each of another initial state.
        uniform: number of the condition and place of each episode at random.
    """

    search: tuple[Place, ...]
    confirmation: tuple[Place, ...]
    uniform: tuple[tuple[int, Place], ...]

    @property
    def clean(self) -> tuple[Place, ...]:
        """Places of the clean episodes that run first."""
        return self.search[:CLEAN_FIRST]

    @cached_property
    def reserved(self) -> frozenset[Place]:
        """The places of the confirmation."""
        return frozenset(self.confirmation)

    @cached_property
    def at_random(self) -> frozenset[tuple[int, Place]]:
        """The episodes at random."""
        return frozenset(self.uniform)


def schedule_of(space: Space, size: Size, layout: Mapping[str, Any], run: tuple[int, int]) -> Schedule:
    """The places of a search.

    Args:
        space: the conditions.
        size: how many episodes.
        layout: what `simeval.config.layout.layout_of` says of the suite.
        run: seed and repeats.

    Raises:
        ConfigError: there are too few initial states.
    """
    seed, repeats = run
    tasks, states = layout["tasks"], sorted(layout["init_states"], key=lambda state: _shuffled(seed, state))
    rounds = -(-size.confirm // len(tasks))
    if rounds >= len(states):
        raise ConfigError(
            f"--confirm {size.confirm}: needs {rounds} initial states of each task that the search does not use, of "
            f"{len(states)}; more --init-states or --tasks, or a smaller --confirm (10 at least)"
        )
    cells = {state: sorted(tasks, key=lambda task: _shuffled(seed, state, task)) for state in states}
    confirmation = [(task, state, 0) for state in states[-rounds:] for task in cells[state]][: size.confirm]
    free = states[:-rounds]
    search = [(task, state, repeat) for repeat in range(repeats) for state in free for task in cells[state]]
    names = [one.condition for one in space.candidates]
    left_out = {names.index(name): set(gone) for name, gone in layout["left_out"].items() if name in names}
    places = islice(cycle(search), size.uniform)
    draws = ((place, stream(seed, "uniform", number)) for number, place in enumerate(places))
    return Schedule(tuple(search), tuple(confirmation), tuple(_uniform(space, draws, left_out)))


def _shuffled(seed: int, *cell: int) -> bytes:
    return hashlib.sha256("/".join(map(str, ("worst", seed, *cell))).encode()).digest()


def _uniform(
    space: Space, draws: Iterable[tuple[Place, np.random.Generator]], left_out: Mapping[int, Collection[int]]
) -> list[tuple[int, Place]]:
    """Conditions drawn at random: first the axes, each set with the same chance, then their strengths."""
    sets: dict[tuple[int, ...], list[int]] = {}
    for index, one in enumerate(space.candidates):
        sets.setdefault(one.axes, []).append(index)
    groups = list(sets.values())
    found: dict[tuple[int, Place], None] = {}
    for place, rng in draws:
        for _ in range(_DRAWS):
            drawn = _one(groups, rng)
            if (drawn, place) not in found and place[0] not in left_out.get(drawn, ()):
                found[drawn, place] = None
                break
    return list(found)


def _one(groups: Sequence[Sequence[int]], rng: np.random.Generator) -> int:
    group = groups[int(rng.integers(len(groups)))]
    return group[int(rng.integers(len(group)))]
