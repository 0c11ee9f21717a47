"""Which episode a search for thresholds needs next.

A choice is a function of the episodes that have ended and of those that are running. With one worker the same results
therefore lead to the same run, interrupted or not. With several, results may come in another order and lead to other
strengths; what is estimated from them is as valid.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from simeval.config.decisions import FINISHED
from simeval.config.plan import Plan
from simeval.config.strengths import StrengthRange
from simeval.config.threshold import CLEAN_FIRST, LEAST, ThresholdConfig
from simeval.core.rounds import cell_of, round_key
from simeval.core.types import CLEAN, EpisodeSpec
from simeval.stats.threshold import ThresholdEstimate, ThresholdPosterior

type _Place = tuple[int, int, int]
"""Task, initial state and repeat."""


def place_of(spec: EpisodeSpec) -> _Place:
    """What is used once in every arm."""
    return spec.task, spec.init_state, spec.repeat


@dataclass
class _Arm:
    """An axis, or the clean arm.

    Attributes:
        free: places that have not been used, in the order in which they will be.
        placed: episodes that have ended or are running.
        running: strength of each episode that is running.
    """

    free: dict[_Place, None]
    placed: int = 0
    running: dict[EpisodeSpec, int] = field(default_factory=dict)


class Placement:
    """Follows a search for thresholds and chooses its episodes.

    Attributes:
        config: the search.
        ran: episodes that have ended.
    """

    def __init__(self, config: ThresholdConfig, plan: Plan, retry: Iterable[EpisodeSpec] = ()) -> None:
        """Start with nothing placed.

        Args:
            config: the search.
            plan: all episodes that may be chosen.
            retry: episodes that broke before; they run first.
        """
        self.config, self.ran = config, 0
        order = sorted(plan.episodes, key=lambda spec: (spec.repeat, round_key(cell_of(spec), spec.root_seed)))
        places = dict.fromkeys(map(place_of, order))
        self._specs = {(spec.condition, place_of(spec)): spec for spec in plan.episodes}
        self._clean = _Arm(dict(places))
        self._arms = {one.label: _Arm(dict(places)) for one in config.ranges}
        self._posteriors = {one.label: posterior_of(one, config.level) for one in config.ranges}
        self._strengths = {
            condition: (one.label, index) for one in config.ranges for index, condition in enumerate(one.conditions, 1)
        }
        self._estimates: dict[str, ThresholdEstimate] = {}
        self._retry = deque(retry)

    def record(self, spec: EpisodeSpec, outcome: str) -> None:
        """An episode has ended."""
        label, strength = self._strengths.get(spec.condition, (CLEAN, 0))
        arm = self._arm(label)
        if arm.running.pop(spec, None) is None:
            self._take(arm, spec)
        self.ran += 1
        if outcome not in FINISHED:
            return
        for name in self._arms if label == CLEAN else (label,):
            self._posteriors[name].add(strength, success=outcome == "success")
            self._estimates.pop(name, None)

    def next(self) -> EpisodeSpec | None:
        """The next episode, which counts as running from now on; `None` if there is none at present."""
        if self._retry:
            spec = self._retry.popleft()
        elif (found := self._choose()) is not None:
            spec = found
        else:
            return None
        label, strength = self._strengths.get(spec.condition, (CLEAN, 0))
        arm = self._arm(label)
        self._take(arm, spec)
        arm.running[spec] = strength
        return spec

    def requeue(self, spec: EpisodeSpec) -> None:
        """A running episode has to run again."""
        label, _ = self._strengths.get(spec.condition, (CLEAN, 0))
        arm = self._arm(label)
        del arm.running[spec]
        arm.placed -= 1
        self._retry.append(spec)

    @property
    def has_next(self) -> bool:
        """Whether `next` would return an episode."""
        return bool(self._retry) or self._choose() is not None

    @property
    def running(self) -> int:
        """Number of running episodes."""
        return sum(len(arm.running) for arm in (self._clean, *self._arms.values()))

    @property
    def is_hopeless(self) -> bool:
        """Whether no clean episode succeeds, so that there is nothing to halve."""
        successes, episodes = self.clean
        return episodes >= CLEAN_FIRST and not successes

    @property
    def clean(self) -> tuple[int, int]:
        """Successes and episodes of the clean arm."""
        return next(iter(self._posteriors.values())).counts(0)

    @property
    def headline(self) -> str:
        """What is searched for, one line."""
        config = self.config
        return (
            f"{config.run.suite[0]}, {config.run.policy_name}: strength at which success falls to "
            f"{100 * config.level:g} % of clean, at most {self.most} episodes, {config.run.workers_text}"
        )

    @property
    def most(self) -> int:
        """Episodes at most."""
        return self.config.max_episodes

    @property
    def so_far(self) -> tuple[str, ...]:
        """What is known of the clean rate and of each axis, in a few short texts."""
        successes, episodes = self.clean
        return (f"clean {successes} of {episodes}", *map(self._text, self.config.ranges))

    def _text(self, one: StrengthRange) -> str:
        found, placed = self.estimate(one), self.placed(one)
        ends = sorted(map(one.value, (found.interval.low, found.interval.high)))
        text = f"{one.label} {one.text(one.value(found.theta))} [{', '.join(map(one.text, ends))}]"
        if not found.is_reached:
            text = f"{one.label} beyond {one.text(one.value(found.at_least))}"
        return f"{text} after {placed}"

    def estimate(self, one: StrengthRange) -> ThresholdEstimate:
        """What is known of an axis."""
        if one.label not in self._estimates:
            self._estimates[one.label] = self._posteriors[one.label].estimate()
        return self._estimates[one.label]

    def placed(self, one: StrengthRange) -> int:
        """Episodes of an axis, without clean ones."""
        return self._arms[one.label].placed

    def _arm(self, label: str) -> _Arm:
        return self._clean if label == CLEAN else self._arms[label]

    def _take(self, arm: _Arm, spec: EpisodeSpec) -> None:
        arm.free.pop(place_of(spec), None)
        arm.placed += 1

    def _choose(self) -> EpisodeSpec | None:
        total = self._clean.placed + sum(arm.placed for arm in self._arms.values())
        if total >= self.config.max_episodes or self.is_hopeless:
            return None
        if self._clean.placed < CLEAN_FIRST and self._clean.free:
            return self._specs[CLEAN, next(iter(self._clean.free))]
        # An axis whose interval is narrow enough may become wider again by clean episodes for another one.
        open_ = [one for one in self.config.ranges if self._arms[one.label].free and not self._is_settled(one)]
        if not open_:
            return None
        one = min(open_, key=lambda one: self._arms[one.label].placed)
        arm = self._arms[one.label]
        running = [*self._clean.running.values(), *arm.running.values()]
        strength = self._posteriors[one.label].best(running, clean=bool(self._clean.free))
        if strength == 0:
            return self._specs[CLEAN, next(iter(self._clean.free))]
        return self._specs[one.conditions[strength - 1], next(iter(arm.free))]

    def _is_settled(self, one: StrengthRange) -> bool:
        return is_settled(self.estimate(one), self._arms[one.label].placed, self.config.width)


def is_settled(found: ThresholdEstimate, episodes: int, width: float) -> bool:
    """Whether an axis needs no more episodes.

    Args:
        found: what is known of it.
        episodes: its number of episodes, without clean ones.
        width: see `ThresholdConfig`.
    """
    return episodes >= LEAST and found.is_settled(width)


def posterior_of(one: StrengthRange, level: float) -> ThresholdPosterior:
    """The posterior of an axis, before any episode."""
    return ThresholdPosterior([one.share(value) for value in one.values], level)
