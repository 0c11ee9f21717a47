"""Ray: starting it here, or joining a cluster."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from envs import numerics
from simeval.core.errors import ConfigError, first_line
from simeval.runner.local_ray import LOOPBACK, claim, clear_away, end_all, keep_token_private, loopback_only

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Two busy processes with two threads each are several times slower than with one, and round differently."""


def process_environment() -> dict[str, str]:
    """Variables of every process of a run on another node: one thread, and numerics as here."""
    return ONE_THREAD | numerics.environment()


_FAST_CONNECT = {
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
}
"""Ray's raylet asks its object store for a connection before that listens, and by default sleeps for a second then.
These tries take as long in all as the default ones."""


@contextlib.contextmanager
def ray_session(address: str | None, workers: int) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine with room for `workers`.

    Raises:
        ConfigError: there is no cluster at that address, or Ray does not start.
    """
    if address:
        _refuse_silent(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_enable_metrics_collection", "0")
    if address and Path("~/.ray/auth_token").expanduser().exists():
        # `ray start` turns token authentication on; ray.init(HOST:PORT) does not look for the token by itself.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    quiet["job_config"] = _path_as_here()
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            os.environ.update(ONE_THREAD | _FAST_CONNECT)
            # One process waits for each CPU of Ray's from the start; those beyond the workers would be for nothing.
            own = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": 200_000_000}
            clear_away()
            keep_token_private()
            # Without "local" Ray would join whatever cluster happens to run on this machine, or RAY_ADDRESS names.
            with without_dashboard(), loopback_only():
                ray.init(address="local", _node_ip_address=LOOPBACK, **own, **quiet)
            claim(_session())
    except Exception as error:  # noqa: BLE001  on a machine that is too busy Ray raises a bare Exception
        what = f"--ray-address {address}" if address else "Ray does not start here (--workers 0 does without)"
        raise ConfigError(f"{what}: {_reason(error)}") from None
    try:
        yield
    finally:
        if address is None and is_gone():
            # To say good-bye, Ray would wait for a minute, and then end this process.
            end_all(_session())
        else:
            ray.shutdown()


def _session() -> Path:
    """The folder of the Ray session of this process."""
    import ray

    return Path(ray._private.worker._global_node.get_session_dir_path())


def _reason(error: Exception) -> str:
    name = str(getattr(error, "filename", None) or "")
    if isinstance(error, OSError) and name.startswith(str(Path.home())):
        return f"{name}: {error.strerror or error}; set HOME to a folder that can be written"
    return first_line(error)


def is_gone() -> bool:
    """Whether the process that holds this Ray cluster together (GCS) answers no more. Ray itself says so after 60 s."""
    import ray

    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return True
    return False


class _AsHere(list[str]):
    """Folders for the path of workers, as far as they are on the path of this process."""

    def extend(self, folders: Iterable[str]) -> None:
        here = {os.path.abspath(folder) for folder in sys.path}  # noqa: PTH100  Ray compares these
        super().extend(folder for folder in folders if folder in here)


def _path_as_here() -> Any:
    """A job whose workers import from where this process does.

    Ray puts the working directory first. There may be anything in it, for instance another checkout of simeval, which
    the workers would run in place of this one.
    """
    from ray.job_config import JobConfig

    job = JobConfig()
    job._py_driver_sys_path = _AsHere()
    return job


@contextlib.contextmanager
def without_dashboard() -> Iterator[None]:
    """Start Ray as where its dashboard's packages are missing.

    `include_dashboard=False` leaves out the page alone. The servers behind it take longest to start of all, more so
    beside another Ray, with which they quarrel about a port.
    """
    needed = "ray.dashboard.optional_deps"
    before = sys.modules.get(needed)
    sys.modules[needed] = None  # type: ignore[assignment]  # how Python marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules[needed]
        if before is not None:
            sys.modules[needed] = before


def _refuse_silent(address: str) -> None:
    """Ray itself tries for many minutes to reach a host where nobody listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--ray-address {address}: {getattr(error, 'strerror', None) or error}") from None
