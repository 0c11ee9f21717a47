"""What `simeval represent` does: which policies, on which frames of a run, under which conditions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from envs.numerics import MODES
from simeval.config.audit import FRAMES, MOST_FRAMES
from simeval.config.evaluation import DEVICES, DTYPES, MAX_BATCH
from simeval.config.options import MAX_SEED, check_ranges, checked_fields, option, settle_types
from simeval.core.errors import ConfigError
from simeval.core.texts import shown

PER_EPISODE, MAX_FRAMES = 4, 400
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.-]{0,99}")


@dataclass(frozen=True)
class RepresentConfig:
    """What `simeval represent` does. The same names are YAML keys (`max_frames`) and flags (`--max-frames`)."""

    source: str = option("", "Run folder whose clean episodes give the frames, or a study's.", changes_results=True)
    policies: tuple[str, ...] = option(
        (), "Checkpoints, NAME=CHECKPOINT or CHECKPOINT; the first is the start.  [default: those of the study]",
        changes_results=True,
    )  # fmt: skip
    perturb: tuple[str, ...] = option(
        (), "Condition or sweep; repeatable.  [default: those of the run]", changes_results=True
    )
    frames: Literal["start", "replay"] = option(
        "replay",
        "Frames of a run: the first of every episode, or those at which its policy looked.",
        changes_results=True,
        choices=FRAMES,
    )
    per_episode: int = option(
        PER_EPISODE, "Most frames of one episode, with --frames replay; evenly spread.", changes_results=True,
        between=(1, MOST_FRAMES),
    )  # fmt: skip
    max_frames: int = option(
        MAX_FRAMES, "Most frames in all, evenly spread.", changes_results=True, between=(1, MOST_FRAMES)
    )
    seed: int = option(
        0, "Of the held-out groups, the shuffled labels, the intervals and t-SNE.", changes_results=True,
        between=(0, MAX_SEED),
    )  # fmt: skip
    device: Literal["auto", "cuda", "mps", "cpu"] = option(
        "auto", "Where the policies run.", changes_results=True, choices=DEVICES
    )
    batch_size: int = option(
        1, "Fixed inference batch; numbers of different sizes differ at 1e-6.", changes_results=True,
        between=(1, MAX_BATCH),
    )  # fmt: skip
    dtype: Literal["bfloat16"] | None = option(
        None, "Matrix products of the networks in bfloat16.", changes_results=True, choices=DTYPES
    )
    numerics: Literal["portable", "native"] = option(
        "portable", "portable: the same numbers on every x86-64-v3 processor; native: the fastest kernels of this one.",
        changes_results=True, choices=MODES,
    )  # fmt: skip
    plugin: tuple[str, ...] = option((), "Python file with axes or suites of your own; repeatable.")
    out: str | None = option(None, "Folder to write.  [default: representation in the folder of the frames]")

    def __post_init__(self) -> None:
        settle_types(self)
        check_ranges(self)
        if not self.source:
            raise ConfigError("represent: name a run or study folder, whose clean episodes give the frames")
        named = [split_policy(text) for text in self.policies]
        for name, _ in named:
            if not _NAME.fullmatch(name):
                raise ConfigError(f"represent {shown(name)}: is the name of a folder; write NAME=CHECKPOINT")
            if [other.lower() for other, _ in named].count(name.lower()) > 1:
                raise ConfigError(f"represent {shown(name)}: two policies have this name; write NAME=CHECKPOINT")
        object.__setattr__(self, "plugin", tuple(str(Path(path).expanduser().absolute()) for path in self.plugin))

    @property
    def folder(self) -> Path:
        """The folder to write."""
        return Path(self.out) if self.out else Path(self.source) / "representation"

    def to_dict(self) -> dict[str, Any]:
        """All settings, JSON-ready."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def represent_from_mapping(values: Mapping[str, Any]) -> RepresentConfig:
    """A configuration from YAML or flags.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one outside its range.
    """
    return RepresentConfig(**checked_fields(values, RepresentConfig))


def split_policy(text: str) -> tuple[str, str]:
    """Name and checkpoint of `NAME=CHECKPOINT`; of a checkpoint alone the last part of its path."""
    name, equals, checkpoint = text.partition("=")
    if equals and "/" not in name:
        return name, checkpoint
    return Path(text).name or text, text
