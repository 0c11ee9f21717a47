"""Which episode a search for a bad condition needs next.

Clean episodes, conditions at random, conditions chosen by the outcomes so far, then the confirmation of the one that
looks worst. As in `simeval.config.placement` a choice is a function of the episodes that have ended and of those that
are running: with one worker the same results lead to the same run, interrupted or not.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from simeval.config.decisions import FINISHED
from simeval.config.layout import layout_of
from simeval.config.plan import Plan
from simeval.config.worst import CLEAN_FIRST, WorstConfig
from simeval.config.worst_schedule import Place, schedule_of
from simeval.core.types import CLEAN, EpisodeSpec
from simeval.stats.worst import FailurePosterior, stream

HOPELESS = 3
"""A condition is given up when it broke this much more often than it ran to an end."""


class WorstPlacement:
    """Follows a search and chooses its episodes.

    Attributes:
        config: the search.
        ran: episodes that have ended.
        posterior: what the search knows of each condition; no episode of the confirmation is in it.
    """

    def __init__(self, config: WorstConfig, plan: Plan, retry: Iterable[EpisodeSpec] = ()) -> None:
        """Start with nothing placed.

        Args:
            config: the search.
            plan: all episodes that may be chosen.
            retry: episodes that broke before; they run first.

        Raises:
            ConfigError: there are too few initial states.
        """
        self.config, self.ran = config, 0
        self.schedule = schedule_of(
            config.space, config.size, layout_of(plan)[config.run.suite[0]], (config.run.seed, config.run.repeats)
        )
        self.posterior = FailurePosterior([one.point for one in config.space.candidates])
        self._number = {one.condition: index for index, one in enumerate(config.space.candidates)}
        self._specs = {(spec.condition, place_of(spec)): spec for spec in plan.episodes}
        self._placed: set[EpisodeSpec] = set()
        self._running: set[EpisodeSpec] = set()
        self._used: Counter[Place] = Counter()
        self._broke: Counter[int] = Counter()
        self._clean: Counter[str] = Counter()
        self._confirmed: dict[str, Counter[str]] = {}
        self._retry = deque(retry)

    def record(self, spec: EpisodeSpec, outcome: str) -> None:
        """An episode has ended."""
        self._take(spec)
        self._running.discard(spec)
        self.ran += 1
        place = place_of(spec)
        if place in self.schedule.reserved:
            self._confirmed.setdefault(spec.condition, Counter())[outcome] += 1
        elif spec.condition == CLEAN:
            self._clean[outcome] += 1
        elif outcome in FINISHED:
            self.posterior.add(self._number[spec.condition], success=outcome == "success")
        else:
            self._broke[self._number[spec.condition]] += 1

    def next(self) -> EpisodeSpec | None:
        """The next episode, which counts as running from now on; `None` if there is none at present."""
        spec = self._retry.popleft() if self._retry else self._choose()
        if spec is not None:
            self._take(spec)
            self._running.add(spec)
        return spec

    def requeue(self, spec: EpisodeSpec) -> None:
        """A running episode has to run again."""
        self._running.discard(spec)
        self._retry.append(spec)

    @property
    def has_next(self) -> bool:
        """Whether `next` would return an episode."""
        return bool(self._retry) or self._choose() is not None

    @property
    def running(self) -> int:
        """Number of running episodes."""
        return len(self._running)

    @property
    def is_hopeless(self) -> bool:
        """Whether no clean episode succeeds, so that nothing can be worse."""
        successes, episodes = self.clean
        return episodes >= min(CLEAN_FIRST, len(self.schedule.clean)) and not successes

    @property
    def clean(self) -> tuple[int, int]:
        """Successes and episodes of the clean ones that ran first."""
        return _counts(self._clean)

    @property
    def found(self) -> str | None:
        """The condition that looks worst so far; `None` before any has run."""
        worst = self.posterior.worst()
        return None if worst is None else self.config.space.candidates[worst].condition

    @property
    def headline(self) -> str:
        """What is searched for, one line."""
        config = self.config
        return (
            f"{config.run.suite[0]}, {config.run.policy_name}: a bad one of {len(config.space.candidates)} conditions "
            f"of {', '.join(config.space.labels)}, {config.size.budget} episodes, {config.run.workers_text}"
        )

    @property
    def most(self) -> int:
        """Episodes at most."""
        return self.config.size.budget

    @property
    def so_far(self) -> tuple[str, ...]:
        """What is known, in a few short texts."""
        successes, episodes = self.clean
        searched = sum(self._used.values())
        known = [f"clean {successes} of {episodes}", f"searched {searched} of {self.config.size.searched}"]
        if (worst := self.posterior.worst()) is not None:
            successes, episodes = self.posterior.counts(worst)
            known.append(f"worst so far {self.found} {successes} of {episodes}")
        successes, episodes = _counts(self._confirmed.get(self.found or CLEAN, Counter()))
        return (*known, f"confirmed on {episodes}: {successes} succeeded") if episodes else tuple(known)

    def _take(self, spec: EpisodeSpec) -> None:
        if spec in self._placed:
            return
        self._placed.add(spec)
        place = place_of(spec)
        if spec.condition != CLEAN and place not in self.schedule.reserved:
            self._used[place] += 1

    def _choose(self) -> EpisodeSpec | None:
        if self.is_hopeless:
            return None
        for spec in self._first():
            if spec not in self._placed:
                return spec
        if sum(self._used.values()) < self.config.size.searched and (searched := self._searched()) is not None:
            return searched
        if any(place_of(spec) not in self.schedule.reserved for spec in self._running):
            return None  # their outcomes may name another condition
        return next((spec for spec in self._confirming() if spec not in self._placed), None)

    def _first(self) -> Iterator[EpisodeSpec]:
        """The episodes that no outcome chooses."""
        for place in self.schedule.clean:
            yield self._specs[CLEAN, place]
        for number, place in self.schedule.uniform:
            yield self._specs[self.config.space.candidates[number].condition, place]

    def _searched(self) -> EpisodeSpec | None:
        """The next episode that outcomes choose: its place has been used least."""
        number = sum(self._used.values())
        rng = stream(self.config.run.seed, "choice", number)
        order = {place: index for index, place in enumerate(self.schedule.search)}
        for place in sorted(order, key=lambda place: (self._used[place], order[place])):
            eligible = self._eligible(place)
            if eligible.any():
                chosen = self.config.space.candidates[self.posterior.best_next(eligible, rng)]
                return self._specs[chosen.condition, place]
        return None

    def _eligible(self, place: Place) -> NDArray[np.bool_]:
        """bool[candidates]: which conditions may run at a place."""
        specs = [self._specs.get((one.condition, place)) for one in self.config.space.candidates]
        return np.array(
            [
                spec is not None
                and spec not in self._placed
                and self._broke[index] < HOPELESS + self.posterior.counts(index)[1]
                for index, spec in enumerate(specs)
            ]
        )

    def _confirming(self) -> Iterator[EpisodeSpec]:
        """The confirmation: the condition that looks worst and its clean twins."""
        found = self.found
        for place in self.schedule.confirmation if found else ():
            if (found, place) in self._specs:
                yield self._specs[CLEAN, place]
                yield self._specs[str(found), place]


def place_of(spec: EpisodeSpec) -> Place:
    """Task, initial state and repeat of an episode."""
    return spec.task, spec.init_state, spec.repeat


def _counts(outcomes: Counter[str]) -> tuple[int, int]:
    """Successes and episodes that ran to an end."""
    return outcomes["success"], sum(outcomes[name] for name in FINISHED)
