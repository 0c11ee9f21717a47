"""Ray on this machine alone: closed to other hosts and users, and cleaned up after a run that was killed.

Non-obvious behaviour:
- Ray listens on every interface unless the node's address is the loopback address, and it replaces that address unless
  it assumes a system without clusters. An environment variable controls the assumption.
- Ray writes the token that guards its ports with the default umask, readable by all. So it is created here first.
- When a driver is killed, Ray's agents notice after about a minute. The next session of the same user ends them. They
  are found by their open files: Ray overwrites their command lines and environments with titles.
"""

import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

_NO_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_OWNER = "simeval-owner"
"""A file in the folder of a Ray session that names the process it belongs to."""
_EXECUTABLES = ("raylet", "gcs_server", "python")


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Make a Ray that the body starts with the address `LOOPBACK` listen on the loopback interface alone."""
    from ray._private import ray_constants

    before, clusters = os.environ.get(_NO_CLUSTERS), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_NO_CLUSTERS], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        del os.environ[_NO_CLUSTERS]
        if before is not None:
            os.environ[_NO_CLUSTERS] = before


def keep_token_private() -> None:
    """Create Ray's token if there is none, and make it readable by this user alone.

    Raises:
        OSError: it cannot be created.
    """
    if "RAY_AUTH_TOKEN" in os.environ or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(partial, path)
        partial.unlink()
    elif path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):  # another user's, or on a file system that cannot be written
            path.chmod(0o600)


def claim(session: Path) -> None:
    """Record this process as the owner of a Ray session, in the session's folder."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            (session / _OWNER).write_text(f"{os.getpid()} {_birth(os.getpid())} {_namespace(os.getpid())}")


def end_orphans() -> int:
    """End what is left of sessions whose owner was killed; returns the number of processes ended."""
    if sys.platform != "linux":
        return 0
    ended = 0
    for note in Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray").glob(f"session_*/{_OWNER}"):  # Ray's default
        with contextlib.suppress(OSError, ValueError):
            pid, birth, namespace = note.read_text().split()
            # In another container the same pid is another process.
            if note.stat().st_uid == os.getuid() and namespace == _namespace(os.getpid()) and _birth(int(pid)) != birth:
                # `session_latest` is a link, and open files are listed under the real path of their folder.
                ended += end_session(note.parent.resolve())
                note.unlink()
    return ended


def end_session(session: Path) -> int:
    """Kill every Ray process of this user that works in a session's folder; returns how many there were."""
    ended: set[int] = set()
    for _ in range(5):  # the next round finds processes that were started during this one
        pids = {int(entry.name) for entry in Path("/proc").glob("[0-9]*")} - ended  # one that dies takes a moment
        killed = {pid for pid in pids if _end(pid, session)}
        if not killed:
            break
        ended |= killed
    return len(ended)


def _end(pid: int, session: Path) -> bool:
    """End a process if it is one of Ray's, of this user, and works in a session."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not works_in(session, Path("/proc", str(pid))):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def works_in(session: Path, process: Path) -> bool:
    """Whether a process, by its folder in /proc, is another one of this user and of Ray, with files of a session open.

    Raises:
        OSError: it is gone, or may not be inspected.
    """
    if process.stat().st_uid != os.getuid() or int(process.name) == os.getpid():
        return False
    is_ray = (process / "exe").readlink().name.startswith(_EXECUTABLES) and b"ray" in (process / "cmdline").read_bytes()
    return is_ray and any(_points_into(session, link) for link in (process / "fd").iterdir())


def _points_into(folder: Path, link: Path) -> bool:
    """Whether an open file is in a folder; `False` for a file that was closed meanwhile."""
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False


def _birth(pid: int) -> str:
    """Start time of a process, in clock ticks since boot; empty if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())
