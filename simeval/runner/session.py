"""The Ray session of a run: started on this machine, or joined on a cluster."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from envs import numerics
from simeval.core.errors import ConfigError, first_line
from simeval.core.interrupts import note_and_raise
from simeval.core.loopback import LOOPBACK, loopback_fault
from simeval.runner.lean_ray import lean
from simeval.runner.local_ray import claim, end_orphans, end_session, keep_token_private, loopback_only

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Oversubscribed BLAS threads are several times slower and change rounding."""


def process_environment() -> dict[str, str]:
    """Environment variables of a run's processes on other nodes: one thread, and the numerics of this process."""
    return ONE_THREAD | numerics.environment()


_FAST_CONNECT = {
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
}
"""Ray's raylet connects to its object store before that listens, and by default retries after a second. These retries
are short, and take as long in all as the default ones."""


_NO_RAY = "Ray does not start here (--workers 0 does without)"


@contextlib.contextmanager
def ray_session(address: str | None, workers: int) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine with room for `workers`.

    Raises:
        ConfigError: there is no cluster at that address, or Ray does not start.
    """
    if address:
        _require_listening(address)
    elif fault := loopback_fault():
        raise ConfigError(f"{_NO_RAY}: {fault}; `ip link set lo up` starts the interface")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_enable_metrics_collection", "0")
    import ray

    if address and Path("~/.ray/auth_token").expanduser().exists():
        _authenticate()

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    quiet["job_config"] = _job_with_this_path()
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            os.environ.update(ONE_THREAD | _FAST_CONNECT)
            # Ray starts a process per CPU at once; CPUs beyond the workers would be wasted.
            local = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": 200_000_000}
            end_orphans()
            keep_token_private()
            # Without "local" Ray would join a cluster that runs on this machine, or that RAY_ADDRESS names.
            with lean(), loopback_only():
                ray.init(address="local", _node_ip_address=LOOPBACK, **local, **quiet)
            claim(_session())
    except Exception as error:  # noqa: BLE001  on a machine that is too busy Ray raises a bare Exception
        what = f"--ray-address {address}" if address else _NO_RAY
        raise ConfigError(f"{what}: {_reason(error)}") from None
    try:
        with _interrupted_by_sigterm():
            yield
    finally:
        if address is None and is_gone():
            # In `ray.shutdown` Ray would wait for a minute, and then end this process.
            end_session(_session())
        else:
            ray.shutdown()


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take a SIGTERM for a Ctrl-C. Ray's handler prints its stack, and may abort the process while Ray shuts down."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, note_and_raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


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
    """Whether the central process of this Ray cluster (GCS) no longer answers. Ray itself reports that after 60 s."""
    import ray

    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return True
    return False


class _OnThisPath(list[str]):
    """Folders for the path of workers; keeps only those that are on the path of this process."""

    def extend(self, folders: Iterable[str]) -> None:
        local = {os.path.abspath(folder) for folder in sys.path}  # noqa: PTH100  Ray compares these
        super().extend(folder for folder in folders if folder in local)


def _job_with_this_path() -> Any:
    """A job whose workers have the import path of this process.

    Ray puts the working directory first. That may hold another checkout of simeval, which the workers would run instead
    of this one.
    """
    from ray.job_config import JobConfig

    job = JobConfig()
    job._py_driver_sys_path = _OnThisPath()
    return job


def _authenticate() -> None:
    """Use Ray's token: `ray start` asks for it, and ray.init(HOST:PORT) does not look for it by itself."""
    if "RAY_AUTH_MODE" in os.environ:
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    # Ray has read the variable when it was imported, which a notebook may have done long ago.
    with contextlib.suppress(ImportError, AttributeError):
        from ray._raylet import Config  # type: ignore[attr-defined]  # an extension module without types

        Config.initialize("")


def _require_listening(address: str) -> None:
    """Find out at once whether a host listens; Ray itself would try for many minutes.

    Raises:
        ConfigError: it does not.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--ray-address {address}: {getattr(error, 'strerror', None) or error}") from None
