"""The order of episodes: one initial state of every task, then the next.

Every prefix of it is about the same tasks, so that what a part of a run says holds for the whole.
"""

import hashlib
from collections.abc import Iterable

from simeval.core.types import EpisodeSpec

type Cell = tuple[str, int, int]
"""Suite, task and initial state: what the episodes of a pair, and of its repeats, have in common."""


def cell_of(spec: EpisodeSpec) -> Cell:
    """The cell of an episode."""
    return spec.suite, spec.task, spec.init_state


def round_key(cell: Cell, root_seed: int) -> tuple[int, bytes]:
    """Sorts cells by round: one initial state of each task, in an order that the run's seed shuffles."""
    return cell[2], hashlib.sha256("/".join(map(str, (*cell, root_seed))).encode()).digest()


def in_rounds(episodes: Iterable[EpisodeSpec]) -> list[EpisodeSpec]:
    """Sort episodes by round. Those of a cell stay in their order."""
    keys: dict[tuple[Cell, int], tuple[int, bytes]] = {}

    def key(spec: EpisodeSpec) -> tuple[int, bytes]:
        place = cell_of(spec), spec.root_seed
        if place not in keys:
            keys[place] = round_key(*place)
        return keys[place]

    return sorted(episodes, key=key)
