"""Limits that the system sets on this process."""

import sys

from simeval.core.errors import ConfigError

ALONE, WITH_RAY = 2, 4
"""Gigabytes of address space needed at least: with 1 OpenBLAS aborts; Ray reserves more than it uses."""


def require_address_space(workers: int) -> None:
    """Check that libraries will not abort for lack of address space.

    Args:
        workers: number of workers; 0 for this process alone.

    Raises:
        ConfigError: the limit of the system is too low.
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
