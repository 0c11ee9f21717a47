"""LIBERO's five suites as values."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from envs.goals import EnvError
from envs.libero.catalog import LIBERO_SUITES, libero_tasks, mismatched_instructions, other_goals_libero90
from envs.suite import Limits, Suite
from envs.tasks import Task

if TYPE_CHECKING:
    from envs.base import Env

_MAX_STEPS = {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520, "libero_90": 400}
"""Source: OpenVLA's run_libero_eval.py."""

_MAX_STEPS_LEROBOT = _MAX_STEPS | {"libero_spatial": 280}

_DEFAULT_POLICIES = {"libero_object": "bundled-object", "libero_goal": "bundled-goal"}


def make_env(task: Task, resolution: int, assets: Path | None) -> "Env":
    """Build the scene of a task (seconds).

    Raises:
        EnvError: it cannot be built.
    """
    from envs.libero.env import LiberoEnv

    if assets is None:
        raise EnvError(f"{task.suite} needs LIBERO's assets")
    return LiberoEnv(task, resolution, assets)


SUITES = tuple(
    Suite(
        name,
        tasks=functools.partial(libero_tasks, name),
        make_env=make_env,
        limits=Limits(_MAX_STEPS[name], 10, 256),
        protocol_limits={"lerobot": Limits(_MAX_STEPS_LEROBOT[name], 10, 360)},
        benchmark="LIBERO",
        default_policy=_DEFAULT_POLICIES.get(name, "bundled"),
        needs_assets=True,
        step_seconds=0.012,
        frame_seconds=0.25,
        bundled_frame_seconds=0.01,
        other_goals_apart=other_goals_libero90,
        mismatched_instructions=mismatched_instructions,
    )
    for name in LIBERO_SUITES
)
"""In LIBERO's order."""
