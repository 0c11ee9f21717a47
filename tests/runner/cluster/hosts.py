"""Hosts on this machine: network, processes, mounts and host name of their own, joined by a bridge.

A host is a set of namespaces that ends with its first process, and with it everything that runs there. The machine's
own namespaces hold nothing of it, so there is nothing to clean up.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BIN = Path(sys.executable).parent
PORT = 6379
LIMIT = 180.0
"""Seconds to wait for what takes a few on an idle machine."""
_KINDS = ("--net", "--uts", "--ipc", "--mount", "--pid")


def unsupported_reason() -> str | None:
    """Why there can be no such hosts here."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        return f"no {' and no '.join(missing)} here"
    links = "ip link add name bridge0 type bridge && ip link add name veth0 type veth peer name veth1"
    script = f"hostname other && mount -t tmpfs none /mnt && {links}"
    tried = subprocess.run(
        ["unshare", *_KINDS, "--fork", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    said = tried.stderr.strip().splitlines()
    return f"namespaces are not allowed here: {said[-1] if said else tried.returncode}" if tried.returncode else None


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


class _Namespaces:
    """Namespaces that a sleeping process keeps open."""

    def __init__(self, *kinds: str) -> None:
        options = ["--fork", "--kill-child", *(["--mount-proc"] if "--pid" in kinds else [])]
        self._watcher = subprocess.Popen(["unshare", *kinds, *options, "sleep", "inf"])
        self._children = Path(f"/proc/{self._watcher.pid}/task/{self._watcher.pid}/children")
        wait_for(lambda: self._first() is not None, "namespaces")
        self.pid = self._first()

    def _first(self) -> str | None:
        for pid in self._children.read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "sleep":
                return pid
        return None

    def close(self) -> None:
        """End everything in them at once, as a power cut would."""
        self._watcher.kill()
        self._watcher.wait()


class Network:
    """A switch, the hosts on it, and the Ray cluster that they form."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._switch = _Namespaces("--net")
        self._ip("link", "add", "name", "switch", "type", "bridge")
        self._ip("link", "set", "switch", "up")
        self._hosts: list[Host] = []
        self.token = secrets.token_hex(32)

    def _ip(self, *words: str) -> None:
        subprocess.run(["nsenter", "-t", self._switch.pid, "--net", "ip", *words], check=True)

    def plug_in(self, pid: str, number: int) -> None:
        port = f"port{number}"
        self._ip("link", "add", "name", port, "type", "veth", "peer", "name", "eth0", "netns", pid)
        self._ip("link", "set", port, "master", "switch", "up")

    def host(self, name: str, cpus: int) -> "Host":
        """A new host on which Ray is being started; the first one becomes the head."""
        self._hosts.append(Host(self, name, len(self._hosts) + 1, cpus))
        return self._hosts[-1]

    @property
    def address(self) -> str:
        return f"{self._hosts[0].ip}:{PORT}"

    def close(self) -> None:
        for host in self._hosts:
            host.close()
        self._switch.close()


class Host:
    """One host; use `Network.host`."""

    def __init__(self, network: Network, name: str, number: int, cpus: int) -> None:
        self.name, self.ip, self._network = name, f"10.77.0.{number}", network
        self._namespaces = _Namespaces(*_KINDS)
        network.plug_in(self._namespaces.pid, number)
        # Ray's folder and its shared memory, as on a machine of its own.
        folder = Path(tempfile.gettempdir()) / "ray"
        setup = (
            f"hostname {name} && mkdir -p {folder} && mount -t tmpfs none {folder} && mount -t tmpfs none /dev/shm "
            f"&& ip link set lo up && ip address add {self.ip}/24 dev eth0 && ip link set eth0 up"
        )
        self.shell(setup)
        role = (
            ["--head", "--port", str(PORT), "--include-dashboard", "false"]
            if number == 1
            else ["--address", network.address]
        )
        limits = ["--num-cpus", str(cpus), "--num-gpus", "0", "--object-store-memory", "100000000"]
        self._log = network.folder / f"{name}.log"
        words = ["--node-ip-address", self.ip, *role, *limits, "--disable-usage-stats"]
        self._ray = self.start(str(BIN / "ray"), "start", "--block", *words, out=self._log, err=self._log)

    def start(self, *command: str, out: Path, err: Path) -> subprocess.Popen:
        """Start a command there."""
        told = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._network.token, "RAY_enable_metrics_collection": "0"}
        with out.open("ab") as stdout, err.open("ab") as stderr:
            return subprocess.Popen(
                [*self._enter(), *command], stdout=stdout, stderr=stderr, env={**os.environ, **told}
            )

    def shell(self, script: str) -> None:
        subprocess.run([*self._enter(), "sh", "-c", script], check=True)

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", self._namespaces.pid, *_KINDS, f"--wd={Path.cwd()}"]

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until_up(self) -> None:
        wait_for(lambda: "Ray runtime started" in self.said() or self._ray.poll() is not None, f"Ray on {self.name}")
        assert self._ray.poll() is None, self.said()

    def close(self) -> None:
        self._namespaces.close()
        self._ray.wait()
