"""Everything a user can set about an audit, one place per option: default, meaning, YAML key and command-line flag."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from envs.numerics import MODES
from simeval.config.evaluation import DEVICES, DTYPES, MAX_BATCH, absolute_card
from simeval.config.options import MAX_SEED, check_ranges, checked_fields, flag, option, settle_types
from simeval.core.errors import ConfigError
from simeval.policies.names import MAX_ACTION_STEPS

FRAMES = ("start", "replay")
RECIPES = ("none", "mini")
MAX_FRAMES = 120
"""Frames of a dataset by default; those of the original audit."""
MOST_FRAMES = 1_000_000
"""Upper limit: each frame takes a call of the policy per condition and seed."""
MAX_RENDER_WORKERS = 1024
PER_EPISODE = 8
"""Frames per episode by default: more than the five of the sliding mean over a rollout."""
_SEED = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class AuditConfig:
    """What `simeval audit` does. The same names are YAML keys (`max_frames`) and flags (`--max-frames`)."""

    run: str | None = option(None, "Run folder whose clean episodes give the frames.")
    dataset: str | None = option(
        None, "LeRobotDataset that gives the frames instead of a run: a folder or a hub id.", changes_results=True
    )
    perturb: tuple[str, ...] = option(
        (), "Condition or sweep; repeatable.  [default: those of the run]", changes_results=True
    )
    frames: Literal["start", "replay"] = option(
        "start",
        "Frames of a run: the first of every episode, or those at which its policy looked.",
        changes_results=True,
        choices=FRAMES,
    )
    per_episode: int = option(
        PER_EPISODE, "Most frames of one episode, with --frames replay; evenly spread.", changes_results=True,
        between=(1, MOST_FRAMES),
    )  # fmt: skip
    max_frames: int | None = option(
        None, f"Most frames in all, evenly spread.  [default: all of a run, {MAX_FRAMES} of a dataset]",
        changes_results=True, between=(1, MOST_FRAMES),
    )  # fmt: skip
    frame_seed: int = option(
        0, "Shifts the even choice of frames of a dataset.", changes_results=True, between=(0, MAX_SEED)
    )
    episodes: str | None = option(
        None, "Episodes of a dataset, for instance 0-9.  [default: all]", changes_results=True
    )
    camera_keys: str | None = option(
        None, "Images of a dataset: agentview=KEY,wrist=KEY.  [default: judged by their names]", changes_results=True
    )
    upside_down: bool = option(
        default=False, text="The dataset's images are as OpenGL renders them, turned by 180 degrees.",
        changes_results=True,
    )  # fmt: skip
    revision: str | None = option(
        None, "Branch, tag or commit of a hub dataset.  [default: v3.0, else main]", changes_results=True
    )
    seeds: str | None = option(
        None, "Roots of the random streams, for instance 0,1,2.  [default: that of the run; 0]", changes_results=True
    )
    policy: str | None = option(None, "As in `simeval run`.  [default: that of the run; bundled]", changes_results=True)
    n_action_steps: int | None = option(
        None, "Actions of a chunk that count as executed.  [default: as in the run, or the checkpoint's]",
        changes_results=True, between=(1, MAX_ACTION_STEPS),
    )  # fmt: skip
    convention: str | None = option(
        None, "What a policy server wants and answers.  [default: as in the run; the protocol's]", changes_results=True
    )
    device: Literal["auto", "cuda", "mps", "cpu"] | None = option(
        None, "Where the policy runs.  [default: as in the run]", changes_results=True, choices=DEVICES
    )
    batch_size: int | None = option(
        None, "Fixed inference batch; numbers of different sizes differ at 1e-6.  [default: as in the run]",
        changes_results=True, between=(1, MAX_BATCH),
    )  # fmt: skip
    dtype: Literal["bfloat16"] | None = option(
        None, "Matrix products of the policy's network in bfloat16.  [default: as in the run]",
        changes_results=True, choices=DTYPES,
    )  # fmt: skip
    numerics: Literal["portable", "native"] | None = option(
        None, "portable: the same numbers on every x86-64-v3 processor; native: the fastest kernels of this one.  "
        "[default: as in the run; portable]",
        changes_results=True, choices=MODES,
    )  # fmt: skip
    representation: bool = option(
        default=False, text="Compare what the policy makes of a frame inside, too (SmolVLA).", changes_results=True
    )
    recipe: Literal["none", "mini"] = option(
        "none", "mini: also the files and figures of the small audit, per seed and axis.", choices=RECIPES
    )
    plugin: tuple[str, ...] = option(
        (), "Python file with axes or suites of your own; repeatable. Name those of the run, too."
    )
    workers: int | None = option(
        None,
        "Workers that render the frames of a run ahead of the policy; 0 renders in this process.  "
        "[default: one per core that the policy leaves, at most 8; 0 for few views]",
        between=(0, MAX_RENDER_WORKERS),
    )
    out: str | None = option(None, "Audit folder.  [default: RUN/audit; results/audit-<dataset>]")

    def __post_init__(self) -> None:
        settle_types(self)
        if (self.run is None) == (self.dataset is None):
            raise ConfigError("audit: name a run folder, or a dataset with --dataset, and not both")
        check_ranges(self)
        if self.workers and self.dataset is not None:
            raise ConfigError(f"--workers {self.workers}: is about frames of a run, and these are of a dataset")
        _ = self.seed_numbers
        if self.run is not None:
            for name in ("episodes", "frame_seed", "camera_keys", "upside_down", "revision"):
                if getattr(self, name):
                    raise ConfigError(f"{flag(name)}: is about frames of a dataset, and these are of a run")
        object.__setattr__(self, "convention", absolute_card(self.convention))
        object.__setattr__(self, "plugin", tuple(str(Path(path).expanduser().absolute()) for path in self.plugin))

    @property
    def seed_numbers(self) -> tuple[int, ...] | None:
        """The seeds in the order given; `None` for the default.

        Raises:
            ConfigError: the text is not a list of seeds.
        """
        if self.seeds is None:
            return None
        parts = [part.strip() for part in self.seeds.split(",")]
        bad = [part for part in parts if not _SEED.fullmatch(part) or int(part) >= 2**63]
        if bad:
            raise ConfigError(f"--seeds '{self.seeds[:60]}': write numbers in [0, 2**63), for instance 0,1,2")
        if len(set(map(int, parts))) < len(parts):
            raise ConfigError(f"--seeds {self.seeds[:60]}: a seed is given twice")
        return tuple(map(int, parts))

    def to_dict(self) -> dict[str, Any]:
        """All settings, JSON- and YAML-ready; `audit_from_mapping` reads them back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def audit_from_mapping(values: Mapping[str, Any]) -> AuditConfig:
    """A configuration from YAML or flags.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one outside its range.
    """
    return AuditConfig(**checked_fields(values, AuditConfig))
