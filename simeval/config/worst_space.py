"""The conditions that a search for a bad one chooses among: strengths of the named axes, alone and combined.

`AXIS[:FROM..TO][@camera][/key=value]` is written as for `simeval threshold`; here a range may lie on both sides of the
value that changes nothing. Each option is an axis of the space, so that two modes of a perturbation are two options.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from perturbations.base import SpecError
from perturbations.spec import parse
from simeval.config.plan import LONGEST
from simeval.config.strengths import StrengthRange, sides, strength_ranges
from simeval.core.errors import ConfigError

MOST = 400
"""Most conditions: with more, most of them are never tried and their plan takes seconds."""
FINEST, COARSEST = 10, 2
"""Strengths on one side of an axis: as many as `MOST` allows."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A condition of the space.

    Attributes:
        condition: canonical text.
        point: per axis the strength as a signed share of its range, 0 where the axis is left alone.
    """

    condition: str
    point: tuple[float, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """Numbers of the axes that it changes."""
        return tuple(index for index, share in enumerate(self.point) if share)


@dataclass(frozen=True, slots=True)
class Space:
    """All conditions that may be tried.

    Attributes:
        labels: of the axes: each a condition without its value, for instance `noise@wrist`.
        candidates: the conditions, single axes first.
    """

    labels: tuple[str, ...]
    candidates: tuple[Candidate, ...]


def space_of(texts: Sequence[str], combine: int) -> Space:
    """The space of `--perturb` options, as fine as `MOST` allows.

    Args:
        texts: the options.
        combine: most axes of one condition.

    Raises:
        ConfigError: there is none, one has no strength or is outside the bounds of its axis, one is given twice, or
            there are too many.
    """
    for points in range(FINEST, COARSEST - 1, -1):
        axes = [_sides(text, points) for text in texts] or [strength_ranges(())]
        labels = tuple(ranges[0].label for ranges in axes)
        for label in labels:
            if labels.count(label) > 1:
                raise ConfigError(f"--perturb {label}: given twice; a search has one range of it")
        candidates = _some(_candidates(axes, combine), MOST + 1)
        if len(candidates) <= MOST:
            return Space(labels, candidates)
    raise ConfigError(
        f"--perturb: {len(texts)} axes, up to {combine} combined, are more than {MOST} conditions even with "
        f"{COARSEST} strengths each; name fewer axes, or combine fewer (--combine {combine - 1})"
    )


def _sides(text: str, points: int) -> tuple[StrengthRange, ...]:
    """The ranges of an axis: one, or one on each side of the value that changes nothing."""
    try:
        parts = sides(text)
    except SpecError as error:
        raise ConfigError(f"--perturb {error}") from None
    return tuple(one for part in parts for one in strength_ranges([part], points))


def _some(candidates: Iterator[Candidate], most: int) -> tuple[Candidate, ...]:
    """As many of them, the first of those with the same text."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        found.setdefault(candidate.condition, candidate)
        if len(found) >= most:
            break
    return tuple(found.values())


def _candidates(axes: Sequence[tuple[StrengthRange, ...]], combine: int) -> Iterator[Candidate]:
    strengths = [[*_strengths(ranges)] for ranges in axes]
    for size in range(1, combine + 1):
        for chosen in combinations(range(len(axes)), size):
            for parts in product(*(strengths[index] for index in chosen)):
                try:
                    condition = str(parse("+".join(text for text, _ in parts)))
                except SpecError:  # two options of one axis, which are alternatives
                    break
                shares = dict(zip(chosen, (share for _, share in parts), strict=True))
                if len(condition) <= LONGEST:
                    yield Candidate(condition, tuple(shares.get(index, 0.0) for index in range(len(axes))))


def _strengths(ranges: Sequence[StrengthRange]) -> Iterator[tuple[str, float]]:
    """Condition and signed share of each strength of an axis."""
    for sign, one in zip((1, -1), ranges, strict=False):
        for value, condition in zip(one.values, one.conditions, strict=True):
            yield condition, sign * round(one.share(value), 9)
