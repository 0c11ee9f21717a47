"""Meta-World's suites `metaworld_mt10` and `metaworld_mt50` as values."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envs.metaworld.catalog import INTERFACE, MT10, metaworld_tasks, mismatched_instructions
from envs.metaworld.package import VERSION, metaworld_present, require_metaworld
from envs.suite import Limits, Suite
from envs.tasks import Task

if TYPE_CHECKING:
    from envs.base import Env


def make_env(task: Task, resolution: int, assets: Path | None) -> "Env":
    """Build the scene (1 s, most of it for drawing the initial states); it needs no assets.

    Raises:
        EnvError: the package is not installed.
    """
    del assets
    require_metaworld()
    from envs.metaworld.env import MetaworldEnv

    return MetaworldEnv(task, resolution)


def _notes(name: str, numbers: Sequence[int]) -> tuple[str, ...]:
    del numbers
    return (f"{name}: from metaworld {VERSION}, with simeval's MuJoCo instead of its 3.3.0",)


SUITES = tuple(
    Suite(
        name,
        tasks=functools.partial(metaworld_tasks, name, names),
        make_env=make_env,
        limits=Limits(500, 0, 480),
        interface=INTERFACE,
        benchmark="Meta-World",
        scenes_kept=2,
        step_seconds=0.002,
        frame_seconds=0.2,
        mismatched_instructions=mismatched_instructions,
        inapplicable={
            "layout.distractors": "scenes have no further objects in reserve",
            "robot.qpos": "the arm hangs on a mocap body and has no joints to set",
            "texture.wall": "scenes have no walls",
        },
        notes=functools.partial(_notes, name),
        present=metaworld_present,
        require=require_metaworld,
    )
    for name, names in (("metaworld_mt10", MT10), ("metaworld_mt50", None))
)
