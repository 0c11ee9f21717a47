"""The toy suite as a value: the template for a suite of your own."""

from pathlib import Path
from typing import TYPE_CHECKING

from envs.suite import Limits, Suite
from envs.tasks import Task
from envs.toy.tasks import TOY_ABSENT, toy_tasks

if TYPE_CHECKING:
    from envs.base import Env


def make_env(task: Task, resolution: int, assets: Path | None) -> "Env":
    """Build the scene (milliseconds); it needs no assets."""
    del assets
    from envs.toy.env import ToyEnv

    return ToyEnv(task.index, resolution)


def absent_blocks(task: Task) -> tuple[str, ...]:
    """Instructions that name a block which is in no scene."""
    del task
    return tuple(f"touch the {color} block" for color in TOY_ABSENT)


TOY = Suite(
    "toy",
    tasks=toy_tasks,
    make_env=make_env,
    limits=Limits(60, 0, 128),
    default_policy="seeker",
    scenes_kept=8,
    step_seconds=0.0008,
    frame_seconds=0.003,
    mismatched_instructions=absent_blocks,
)
