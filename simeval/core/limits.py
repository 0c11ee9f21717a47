"""What the system lets this process have."""

import sys

from simeval.core.errors import ConfigError

ALONE, WITH_RAY = 2, 4
"""Gigabytes of address space without which nothing runs: with 1 OpenBLAS gives up; Ray reserves more than it uses."""


def refuse_little_address_space(workers: int) -> None:
    """Refuse to start where libraries would abort for want of address space.

    Args:
        workers: how many; 0 for none but this process.

    Raises:
        ConfigError: a limit of the system is too low.
    """
    if sys.platform == "win32":
        return
    import resource

    limit, needed = resource.getrlimit(resource.RLIMIT_AS)[0], WITH_RAY if workers else ALONE
    if limit not in (resource.RLIM_INFINITY, -1) and limit < needed * 1e9:
        raise ConfigError(
            f"the address space of a process is limited to {limit / 1e9:.1f} GB (ulimit -v), and with "
            f"--workers {workers} {needed} GB are the least; ulimit -v unlimited lifts it"
        )
