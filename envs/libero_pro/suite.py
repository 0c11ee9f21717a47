"""LIBERO-PRO's sixteen suites as values."""

import functools

from envs.libero.catalog import mismatched_instructions
from envs.libero.suite import SUITES as LIBERO
from envs.libero_pro.catalog import PRO_SUITES, base_suite, pro_tasks
from envs.libero_pro.defects import notes
from envs.libero_pro.files import FILES
from envs.suite import Suite

_BASES = {suite.name: suite for suite in LIBERO}


def _suite(name: str) -> Suite:
    base = _BASES[base_suite(name)]
    return Suite(
        name,
        tasks=functools.partial(pro_tasks, name),
        make_env=base.make_env,
        limits=base.limits,
        protocol_limits=base.protocol_limits,
        benchmark="LIBERO-PRO",
        base=base.name,
        default_policy=base.default_policy,
        needs_assets=True,
        step_seconds=base.step_seconds,
        frame_seconds=base.frame_seconds,
        bundled_frame_seconds=base.bundled_frame_seconds,
        mismatched_instructions=functools.partial(mismatched_instructions, base=base.name),
        notes=functools.partial(notes, name),
        present=FILES.present,
    )


SUITES = tuple(_suite(name) for name in PRO_SUITES)
"""By base suite, then by what is changed."""
