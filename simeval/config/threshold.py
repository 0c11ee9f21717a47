"""What `simeval threshold` does: the axes, the level, and when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.options import flag, within
from simeval.config.strengths import StrengthRange, strength_ranges
from simeval.config.threshold_defaults import LEVEL, NOT_USED, PER_AXIS, WIDTH
from simeval.core import plugins
from simeval.core.errors import ConfigError

CLEAN_FIRST = 10
"""Clean episodes that run before the first strength is chosen; later ones are chosen like strengths."""
LEAST = 20
"""Episodes of an axis before it may be done: the first few are about few tasks."""
MAX_EPISODES = 1_000_000


@dataclass(frozen=True)
class ThresholdConfig:
    """A search for thresholds.

    Attributes:
        run: how episodes run; its conditions are all strengths that may be tried.
        ranges: of each axis.
        level: share of the clean success rate that is searched for, in (0, 1).
        width: an axis is done when its 95 % interval is as narrow as this share of its range.
        max_episodes: most episodes of all axes and of the clean arm together.
    """

    run: EvalConfig
    ranges: tuple[StrengthRange, ...]
    level: float = LEVEL
    width: float = WIDTH
    max_episodes: int = PER_AXIS

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ConfigError(f"--level {self.level:g}: a share of the clean success rate, above 0 and below 1")
        if not 0.01 <= self.width <= 0.9:
            raise ConfigError(f"--width {self.width:g}: a share of the axis' range, 0.01 to 0.9")
        within("--max-episodes", self.max_episodes, CLEAN_FIRST + len(self.ranges), MAX_EPISODES)
        if len(self.run.suite) > 1:
            raise ConfigError(
                f"--suite {' '.join(self.run.suite)}: a threshold is of one suite; the others need runs of their own"
            )
        _refuse_other_stops(asdict(self.run))
        if self.run.video != "none":
            raise ConfigError(f"--video {self.run.video}: not for threshold; `simeval video RUN` renders afterwards")

    def record(self) -> dict[str, Any]:
        """For the manifest of the run; `from_record` reads it back."""
        axes = [asdict(one) for one in self.ranges]
        axes = [one | {"values": list(one["values"]), "conditions": list(one["conditions"])} for one in axes]
        return {"axes": axes, "level": self.level, "width": self.width, "max_episodes": self.max_episodes}


def threshold_config(
    perturb: Sequence[str],
    settings: Mapping[str, Any],
    *,
    level: float | None = None,
    width: float | None = None,
    max_episodes: int | None = None,
) -> ThresholdConfig:
    """A search as it is requested.

    Args:
        perturb: the axes; see `simeval.config.strengths`.
        settings: of the run, without its conditions.
        level: see `ThresholdConfig`; `None` for the default, as for the following.
        width: see there.
        max_episodes: see there.

    Raises:
        ConfigError: an axis, a range or a setting is not possible.
    """
    _refuse_other_stops(settings)
    run = from_mapping({**settings, "perturb": []})
    plugins.load(plugins.read(run.plugin))
    ranges = strength_ranges(perturb)
    conditions = [condition for one in ranges for condition in one.conditions]
    return ThresholdConfig(
        from_mapping({"perturb": conditions}, base=run),
        ranges,
        LEVEL if level is None else level,
        WIDTH if width is None else width,
        PER_AXIS * len(ranges) if max_episodes is None else max_episodes,
    )


def _refuse_other_stops(settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        name = str(key).replace("-", "_")
        if name in NOT_USED and value is not None:
            raise ConfigError(f"{flag(name)}: not for threshold, which stops by --width and --max-episodes")


def from_record(config: EvalConfig, record: Mapping[str, Any]) -> ThresholdConfig:
    """The search that a manifest records; needs no registered axis."""
    ranges = tuple(ranges_of(record))
    return ThresholdConfig(config, ranges, record["level"], record["width"], record["max_episodes"])


def ranges_of(record: Mapping[str, Any]) -> list[StrengthRange]:
    """The ranges that a manifest records."""
    return msgspec.convert(record["axes"], list[StrengthRange])
