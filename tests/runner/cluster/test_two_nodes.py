"""A Ray cluster of several hosts: the same rows as without, whatever joins and dies; and hosts that differ."""

import importlib.metadata
import shutil
from pathlib import Path

import pytest
from helpers import CONDITIONS, rows, toy_config
from runner.cluster.hosts import BIN, LIMIT, Host, Network, unsupported_reason, wait_for

from envs.assets import BUNDLED
from simeval.api import evaluate
from simeval.config.evaluation import EvalConfig

REASON = unsupported_reason()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.skipif(REASON is not None, reason=str(REASON))]

METADATA = Path(str(importlib.metadata.distribution("mujoco").locate_file(""))) / "mujoco-{}.dist-info/METADATA".format(
    importlib.metadata.version("mujoco")
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    made = Network(tmp_path_factory.mktemp("hosts"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def hosts(network) -> dict[str, Host]:
    """Host a is the head and runs the commands, b and c have a CPU each."""
    made = {"a": network.host("a", cpus=0)}
    made["a"].wait_until_up()
    made |= {name: network.host(name, cpus=1) for name in "bc"}
    for host in made.values():
        host.wait_until_up()
    return made


class Command:
    """`simeval run` on the head of the cluster."""

    def __init__(self, network: Network, head: Host, folder: Path, *words: str) -> None:
        self.folder, self._err = folder / "run", folder / "stderr"
        words = ("run", "--ray-address", network.address, *words, "--out", str(self.folder))
        self._process = head.start(str(BIN / "simeval"), *words, out=folder / "stdout", err=self._err)

    def said(self) -> str:
        return self._err.read_text()

    def finished(self) -> int:
        path = self.folder / "episodes.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait(self) -> int:
        return self._process.wait(LIMIT)

    def wait_until_said(self, *texts: str) -> None:
        wait_for(lambda: all(text in self.said() for text in texts) or self._process.poll() is not None, str(texts))
        assert all(text in self.said() for text in texts), self.said()

    def wait_for_rows(self, more: int) -> None:
        enough = self.finished() + more
        wait_for(lambda: self.finished() >= enough or self._process.poll() is not None, f"{more} rows")
        assert self._process.poll() is None, self.said()


def differ(host: Host, tmp_path: Path) -> None:
    """Make a host believe that it has another MuJoCo."""
    other = tmp_path / "METADATA"
    version = importlib.metadata.version("mujoco")
    other.write_text(METADATA.read_text().replace(f"\nVersion: {version}\n", "\nVersion: 3.3.1\n"))
    assert other.read_text() != METADATA.read_text()
    host.shell(f"mount --bind {other} {METADATA}")


def test_bundled_libero_scenes_on_two_hosts_give_the_rows_of_this_process(network, hosts, tmp_path):
    wanted = EvalConfig(
        suite=("libero_spatial",),
        tasks="0,1",
        init_states="0-1",
        perturb=("layout.shift:2",),
        policy="expert",
        workers=0,
        out=str(tmp_path / "serial"),
    )
    words = ["--suite", "libero_spatial", "--tasks", "0,1", "--init-states", "0-1", "--perturb", "layout.shift:2"]
    command = Command(network, hosts["a"], tmp_path, *words, "--policy", "expert", "--workers", "2")
    assert command.wait() == 0, command.said()
    serial = evaluate(wanted)
    assert len(serial.results) == 8
    assert "success" in {result.outcome for result in serial.results}
    assert rows(command.folder) == rows(serial.folder)
    for name in "bc":
        assert f"node {name} ({hosts[name].ip}) works" in command.said()


def test_a_host_with_another_version_is_refused_by_name(network, hosts, tmp_path):
    differ(hosts["c"], tmp_path)
    try:
        command = Command(network, hosts["a"], tmp_path, "--suite", "toy", "--workers", "2")
        assert command.wait() == 2
    finally:
        hosts["c"].shell(f"umount {METADATA}")
    here = importlib.metadata.version("mujoco")
    (line,) = command.said().splitlines()
    assert line.startswith(f"simeval: node c ({hosts['c'].ip}): mujoco 3.3.1, here {here}; every node needs the same")
    assert not command.folder.exists()


def test_a_host_without_the_scenes_is_refused_by_name(network, hosts, tmp_path):
    scenes = shutil.copytree(BUNDLED, tmp_path / "mine" / "scenes")
    words = ["--suite", "libero_spatial", "--tasks", "0", "--init-states", "0", "--policy", "expert", "--workers", "2"]
    # What counts is what is in a folder: these are the bundled scenes, which every host has.
    hosts["b"].shell(f"mount -t tmpfs none {scenes.parent}")
    try:
        (tmp_path / "same").mkdir()
        command = Command(network, hosts["a"], tmp_path / "same", *words, "--assets", str(scenes))
        assert command.wait() == 0, command.said()
        (scenes / "CHANGED.txt").write_text("mine")
        (tmp_path / "other").mkdir()
        command = Command(network, hosts["a"], tmp_path / "other", *words, "--assets", str(scenes))
        assert command.wait() == 2
    finally:
        hosts["b"].shell(f"umount {scenes.parent}")
    (line,) = command.said().splitlines()
    assert line.startswith(f"simeval: node b ({hosts['b'].ip}): no scenes with the contents of {scenes} ")


def test_a_host_without_the_checkpoint_is_refused_by_name(network, hosts, tmp_path, tiny_smolvla):
    hosts["b"].shell(f"mount -t tmpfs none {tiny_smolvla.parent}")
    try:
        command = Command(network, hosts["a"], tmp_path, "--suite", "toy", "--policy", str(tiny_smolvla))
        assert command.wait() == 2
    finally:
        hosts["b"].shell(f"umount {tiny_smolvla.parent}")
    (line,) = command.said().splitlines()
    assert (
        line
        == f"simeval: node b ({hosts['b'].ip}): policy '{tiny_smolvla}': no such folder (a hub id would be NAME/NAME)"
    )


def test_hosts_die_and_join_in_the_middle_and_no_row_changes(network, hosts, tmp_path):
    """Two hosts work, both die, one after the other; one that differs joins, then one that fits ends the run."""
    serial = evaluate(toy_config(tmp_path / "serial", init_states="0-19"))
    words = ["--suite", "toy", "--tasks", "0,2", "--init-states", "0-19", "--workers", "3"]
    perturb = [word for condition in CONDITIONS for word in ("--perturb", condition)]
    command = Command(network, hosts["a"], tmp_path, *words, *perturb)
    command.wait_until_said(*(f"node {name} ({hosts[name].ip}) works" for name in "bc"))
    assert "2 CPUs for 3 workers" in command.said()
    for name in "cb":
        command.wait_for_rows(6)
        hosts[name].close()
    command.wait_until_said(*(f"node {name} ({hosts[name].ip}) is gone" for name in "cb"))
    kept = command.finished()
    assert kept < len(serial.results)
    other = network.host("d", cpus=1)
    differ(other, tmp_path)
    other.wait_until_up()
    command.wait_until_said(f"node d ({other.ip}) is left out: mujoco 3.3.1")
    assert command.finished() == kept
    fitting = network.host("e", cpus=1)
    assert command.wait() == 0, command.said()
    assert f"node e ({fitting.ip}) works" in command.said()
    assert "node d (10.77.0.4) works" not in command.said()
    assert rows(command.folder) == rows(serial.folder)
