"""What `simeval worst` does: the conditions it may try, how many episodes it may use, and how many confirm its find."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.options import flag, within
from simeval.config.worst_defaults import BUDGET, COMBINE, CONFIRM, NOT_USED
from simeval.config.worst_space import Candidate, Space, space_of
from simeval.core import plugins
from simeval.core.errors import ConfigError

CLEAN_FIRST = 10
"""Clean episodes that run first: a policy that fails anyway has no bad condition."""
LEAST = 20
"""Episodes that a search needs beside the clean and the confirming ones."""
UNIFORM_SHARE = 3
"""One in so many episodes of the search is of a condition drawn at random, before any is chosen by outcomes."""
MAX_EPISODES = 1_000_000
MAX_COMBINED = 4


@dataclass(frozen=True)
class Size:
    """How many episodes a search has.

    Attributes:
        budget: most episodes of all: clean ones, the search, and the confirmation with its clean twins.
        confirm: pairs, clean and perturbed, of the confirmation.
    """

    budget: int = BUDGET
    confirm: int = CONFIRM

    def __post_init__(self) -> None:
        within("--confirm", self.confirm, 10, MAX_EPISODES)
        within("--budget", self.budget, 1, MAX_EPISODES)
        if self.searched < LEAST:
            raise ConfigError(
                f"--budget {self.budget}: {CLEAN_FIRST} clean episodes and {self.confirm} confirming pairs leave "
                f"{max(0, self.searched)} for the search; give at least {self.budget - self.searched + LEAST}, or a "
                "smaller --confirm"
            )

    @property
    def searched(self) -> int:
        """Episodes of the search, those at random included."""
        return self.budget - CLEAN_FIRST - 2 * self.confirm

    @property
    def uniform(self) -> int:
        """Episodes at random."""
        return self.searched // UNIFORM_SHARE


@dataclass(frozen=True)
class WorstConfig:
    """A search for a condition at which the policy fails most.

    Attributes:
        run: how episodes run; its conditions are all that may be tried.
        space: the conditions.
        size: how many episodes.
    """

    run: EvalConfig
    space: Space
    size: Size = Size()

    def __post_init__(self) -> None:
        if len(self.run.suite) > 1:
            raise ConfigError(
                f"--suite {' '.join(self.run.suite)}: a search is of one suite; the others need runs of their own"
            )
        _refuse_other_stops(asdict(self.run))
        if self.run.video != "none":
            raise ConfigError(f"--video {self.run.video}: not for worst; `simeval video RUN` renders afterwards")

    def record(self) -> dict[str, Any]:
        """For the manifest of the run; `from_record` reads it back."""
        candidates = [{"condition": one.condition, "point": list(one.point)} for one in self.space.candidates]
        return {"labels": list(self.space.labels), "candidates": candidates, **asdict(self.size)}


def worst_config(
    perturb: Sequence[str],
    settings: Mapping[str, Any],
    *,
    combine: int | None = None,
    budget: int | None = None,
    confirm: int | None = None,
) -> WorstConfig:
    """A search as it is requested.

    Args:
        perturb: the axes; see `simeval.config.worst_space`.
        settings: of the run, without its conditions.
        combine: most axes of one condition; `None` for the default, as for the following.
        budget: see `Size`.
        confirm: see there.

    Raises:
        ConfigError: an axis, a range or a setting is not possible.
    """
    _refuse_other_stops(settings)
    combine = COMBINE if combine is None else combine
    within("--combine", combine, 1, MAX_COMBINED)
    size = Size(BUDGET if budget is None else budget, CONFIRM if confirm is None else confirm)
    run = from_mapping({**settings, "perturb": []})
    plugins.load(plugins.read(run.plugin))
    space = space_of(perturb, combine)
    return WorstConfig(from_mapping({"perturb": [one.condition for one in space.candidates]}, base=run), space, size)


def _refuse_other_stops(settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        name = str(key).replace("-", "_")
        if name in NOT_USED and value is not None:
            raise ConfigError(f"{flag(name)}: not for worst, which stops by --budget")


def from_record(config: EvalConfig, record: Mapping[str, Any]) -> WorstConfig:
    """The search that a manifest records; needs no registered axis."""
    return WorstConfig(config, *parts_of(record))


def parts_of(record: Mapping[str, Any]) -> tuple[Space, Size]:
    """The conditions and the size of a search that a manifest records."""
    candidates = msgspec.convert(record["candidates"], tuple[Candidate, ...])
    return Space(tuple(record["labels"]), candidates), Size(record["budget"], record["confirm"])
