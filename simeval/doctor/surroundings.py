"""The machine as the checks see it. All access goes through one object, so that tests can simulate any machine."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command.

    Attributes:
        code: exit status; `None` if it could not be started or was stopped at its limit.
        out: standard output.
        err: standard error, or why there is no exit status.
    """

    code: int | None
    out: str
    err: str = ""

    @property
    def reason(self) -> str:
        """Why it failed: the last non-empty line it wrote."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit status {self.code}"


def run_command(command: Sequence[str], limit: float) -> Answer:
    """Run a command for at most `limit` seconds; never raises."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return Answer(None, "", f"no answer within {limit:.0f} s")
    except OSError as error:
        return Answer(None, "", f"{command[0]}: {error.strerror or error}")
    return Answer(done.returncode, done.stdout, done.stderr)


def reach(url: str, limit: float) -> str:
    """Why an address cannot be reached; empty if it can."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=limit):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code < 500 else f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def canonical(name: str) -> str:
    """The canonical name of a distribution, for comparison."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_packages() -> dict[str, str]:
    """Version of every installed distribution, by canonical name."""
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            versions.setdefault(canonical(name), distribution.version)
    return versions


def memory_available() -> int:
    """Memory that this process may still use (bytes), within its control group's limit."""
    text = Path("/proc/meminfo").read_text()
    free = int(text.split("MemAvailable:")[1].split()[0]) * 1024
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, int(limit) - used)


def cores_usable() -> float:
    """Cores that this process may use: those of its affinity mask, within its control group's quota."""
    affinity = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return affinity
    return affinity if quota == "max" else min(affinity, int(quota) / int(period))


def writable(folder: Path) -> bool:
    """Whether a file can be created in a folder, or in the nearest existing folder above it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def space_free(folder: Path) -> int:
    """Free space (bytes) where a folder is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Machine:
    """Everything the checks use of a machine. The defaults are this machine."""

    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    python: tuple[int, int] = sys.version_info[:2]
    run: Callable[[Sequence[str], float], Answer] = run_command
    reach: Callable[[str, float], str] = reach
    exists: Callable[[str], bool] = os.path.exists
    packages: Callable[[], Mapping[str, str]] = installed_packages
    writable: Callable[[Path], bool] = writable
    space_free: Callable[[Path], int] = space_free
    memory: Callable[[], int] = memory_available
    cores: Callable[[], float] = cores_usable

    @cached_property
    def installed(self) -> Mapping[str, str]:
        """Version of every installed distribution, by canonical name."""
        return self.packages()

    @cached_property
    def hub(self) -> str:
        """Why the Hugging Face hub cannot be reached; empty if it answers."""
        if self.env.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
            return "HF_HUB_OFFLINE is set"
        return self.reach(self.env.get("HF_ENDPOINT") or "https://huggingface.co", 4.0)

    @property
    def image(self) -> str:
        """`gpu` or `cpu` inside our container image, else empty."""
        return self.env.get("SIMEVAL_IMAGE", "")

    def module(self, name: str, *arguments: str, limit: float) -> Answer:
        """Run one of our modules in a separate process."""
        return self.run([sys.executable, "-m", name, *arguments], limit)
