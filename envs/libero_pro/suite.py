"""LIBERO-PRO's sixteen suites as values."""

import functools

from envs.goals import EnvError
from envs.libero.catalog import mismatched_instructions
from envs.libero.suite import SUITES as LIBERO
from envs.libero_pro.catalog import PRO_SUITES, base_suite, base_task, base_text, kind_of_change, pro_tasks
from envs.libero_pro.defects import notes
from envs.libero_pro.files import FILES
from envs.suite import Suite
from envs.tasks import Task

_BASES = {suite.name: suite for suite in LIBERO}


_NO_BASE = {
    "swap": "its change is the initial states, which do not fit the base scene where fixtures were moved",
    "object": "its initial states are resting places of other objects than the base scene's",
}


def _base_task(task: Task) -> Task:
    found = base_task(task)
    if found is None:
        raise EnvError(f"{task.suite} has no base arm: {_NO_BASE[kind_of_change(task.suite)]}")
    return found


def _suite(name: str) -> Suite:
    base = _BASES[base_suite(name)]
    return Suite(
        name,
        tasks=functools.partial(pro_tasks, name),
        make_env=base.make_env,
        limits=base.limits,
        protocol_limits=base.protocol_limits,
        benchmark="LIBERO-PRO",
        default_policy=base.default_policy,
        needs_assets=True,
        step_seconds=base.step_seconds,
        frame_seconds=base.frame_seconds,
        bundled_frame_seconds=base.bundled_frame_seconds,
        mismatched_instructions=functools.partial(mismatched_instructions, base=base.name),
        instruction_sources={"file-name": base_text},
        base=base.name,
        base_task=_base_task,
        notes=functools.partial(notes, name),
        present=FILES.present,
    )


SUITES = tuple(_suite(name) for name in PRO_SUITES)
"""By base suite, then by what is changed."""
