"""Ray on this machine alone: closed to strangers, and cleared away when the run that started it was killed.

Non-obvious behaviour:
- Ray listens on every interface unless this node's address is the loopback's, and it turns the loopback's into another
  one unless it believes to be on a system without clusters; that belief is an environment variable.
- Ray writes the token that guards its ports with the usual umask, readable by all. So it is made here beforehand.
- When a driver is killed, Ray's agents notice after about a minute. The next session of the same user ends them. They
  are found by what they have open: Ray overwrites their command lines and environments with titles.
"""

import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"

_NO_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_OWNER = "simeval-owner"
"""A file in the folder of a Ray session that says which process it belongs to."""
_EXECUTABLES = ("raylet", "gcs_server", "python")


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """What Ray starts in the body listens on the loopback interface alone, if it is told `LOOPBACK` as its address."""
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
    """Make Ray's token, if there is none, and let nobody else read it.

    Raises:
        OSError: it cannot be made.
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
    """Note in the folder of a Ray session that it belongs to this process."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            (session / _OWNER).write_text(f"{os.getpid()} {_birth(os.getpid())} {_namespace(os.getpid())}")


def clear_away() -> int:
    """End what is left of sessions whose process was killed; returns how many processes that were."""
    if sys.platform != "linux":
        return 0
    ended = 0
    for note in Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray").glob(f"session_*/{_OWNER}"):  # as Ray does
        with contextlib.suppress(OSError, ValueError):
            pid, birth, namespace = note.read_text().split()
            # In another container the same number is another process.
            if note.stat().st_uid == os.getuid() and namespace == _namespace(os.getpid()) and _birth(int(pid)) != birth:
                # `session_latest` is a link, and open files are known by the real name of their folder.
                ended += end_all(note.parent.resolve())
                note.unlink()
    return ended


def end_all(session: Path) -> int:
    """Kill every process of Ray's, of this user, that works in a session's folder; returns how many there were."""
    ended = 0
    for _ in range(5):  # one that was started while we looked is found by the next look
        found = sum(_end(int(entry.name), session) for entry in Path("/proc").glob("[0-9]*"))
        ended += found
        if not found:
            break
    return ended


def _end(pid: int, session: Path) -> bool:
    """End a process if it is Ray's, this user's, and works in a session."""
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
    """Whether a process, by its folder in /proc, is another of this user, of Ray, and has files of a session open.

    Raises:
        OSError: it is gone, or may not be looked at.
    """
    if process.stat().st_uid != os.getuid() or int(process.name) == os.getpid():
        return False
    ours = (process / "exe").readlink().name.startswith(_EXECUTABLES) and b"ray" in (process / "cmdline").read_bytes()
    return ours and any(_points_into(session, link) for link in (process / "fd").iterdir())


def _points_into(folder: Path, link: Path) -> bool:
    """Whether an open file lies in a folder; a file that was closed meanwhile says nothing of the others."""
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False


def _birth(pid: int) -> str:
    """When a process started, in ticks since the machine did; empty if there is none of that number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())
