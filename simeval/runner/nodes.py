"""What all nodes of a cluster must have in common, so that a run does not mix two kinds of rows.

Non-obvious behaviour:
- Python and Ray are not compared here: Ray itself refuses nodes that differ in them.
- Scenes are found by their contents, so nodes may keep them in different places.
- A checkpoint is found by its name. Each node that can reach the hub downloads a hub checkpoint itself.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from envs.assets import BUNDLED
from envs.base import EnvError
from envs.interface import LIBERO_INTERFACE, Interface
from envs.libero.files import resolve_assets
from simeval.core import kernels, provenance
from simeval.core.errors import ConfigError, error_line
from simeval.policies.base import Policy, PolicySpec, WorkerFacts
from simeval.policies.names import has_checkpoint
from simeval.policies.registry import PolicyChoice, load_policy
from simeval.runner.session import process_environment

_CODE = ("envs", "perturbations", "simeval")
_INSPECTION_S = 300.0
"""Seconds for all nodes to be inspected: one may have to download a checkpoint from the hub."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a run needs on every node.

    Attributes:
        assets: the driver's folder of scenes, if the run has a LIBERO suite.
        scenes: digest of the folder's contents.
        checkpoint: name of the checkpoint that each worker loads; `None` if workers load none.
        renders: whether images are rendered.
        interface: of the suites.
    """

    assets: Path | None
    scenes: str | None
    checkpoint: str | None
    renders: bool
    interface: Interface = LIBERO_INTERFACE


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node has.

    Attributes:
        values: versions, digests and the OpenGL renderer, by readable name.
        assets: the folder of scenes on this node.
        missing: what the node lacks; `None` if nothing.
    """

    values: tuple[tuple[str, str | None], ...]
    assets: Path | None = None
    missing: str | None = None


def requirements_of(policy: PolicyChoice | Policy, assets: Path | None) -> Requirements:
    """What workers with this policy and these scenes need.

    Raises:
        ConfigError: the checkpoint cannot be read.
    """
    checkpoint, renders, interface = None, True, LIBERO_INTERFACE
    if not isinstance(policy, PolicyChoice):
        renders = bool(policy.spec.cameras)
    elif has_checkpoint(policy.name):
        from simeval.policies.checkpoint.read import read

        interface = policy.interface
        checkpoint, renders = policy.name, bool(read(policy.name, interface=interface).cameras)
    elif policy.kind == "scripted":
        renders = bool(load_policy(policy).spec.cameras)
    scenes = provenance.folder_digest(assets) if assets else None
    return Requirements(assets, scenes, checkpoint, renders, interface)


def inspect_node(needs: Requirements) -> NodeFacts:
    """Check this node against the requirements."""
    try:
        values = _values(needs)
        return NodeFacts(tuple(values.items()), _find(needs) if needs.assets else None)
    except (ConfigError, EnvError) as error:
        return NodeFacts((), missing=str(error))


def _values(needs: Requirements) -> dict[str, str | None]:
    code = f"{provenance.version('simeval')} (code {code_digest()})"
    versions = provenance.versions(learned_policy=needs.checkpoint is not None)
    values = {"simeval": code, **kernels.of_simulation(), **versions}
    if needs.renders:
        values["OpenGL"] = provenance.gl_renderer()
    if needs.checkpoint is not None:
        from simeval.policies.checkpoint.read import read, sha256

        values[f"checkpoint {needs.checkpoint}"] = sha256(read(needs.checkpoint, interface=needs.interface).folder)[:16]
    return values


@cache
def code_digest() -> str:
    """SHA-256 (8 hex digits) of simeval's source: two commits may have the same version."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(path for name in _CODE for path in (root / name).rglob("*") if path.suffix in (".py", ".toml")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def _find(needs: Requirements) -> Path:
    """The folder on this node with the required scenes.

    Raises:
        EnvError: there is none.
    """
    assert needs.assets is not None
    digests: dict[Path, str] = {}
    for place in (str(needs.assets), str(BUNDLED), "cached", *(["hub"] if _from_hub(needs.assets) else [])):
        try:
            folder = resolve_assets(place)
        except EnvError:
            continue
        digests[folder] = provenance.folder_digest(folder)
        if digests[folder] == needs.scenes:
            return folder
    others = "".join(f", {folder} has {digest}" for folder, digest in digests.items() if folder != BUNDLED)
    raise EnvError(
        f"no scenes with the contents of {needs.assets} (digest {needs.scenes}{others}); "
        "copy them there, or set SIMEVAL_LIBERO_ASSETS before ray start"
    )


def _from_hub(folder: Path) -> bool:
    return any(part.startswith("datasets--") for part in folder.parts)


def difference(local: NodeFacts, remote: NodeFacts) -> str | None:
    """Describe relevant differences of another node from this one; `None` if there are none."""
    if remote.missing is not None:
        return remote.missing
    values = dict(remote.values)
    other = [f"{name} {values.get(name)}, here {value}" for name, value in local.values if values.get(name) != value]
    return f"{'; '.join(other)}; every node needs the same image, or the same lock and commit" if other else None


def worker_difference(worker: WorkerFacts, first: WorkerFacts) -> str | None:
    """How a worker computes otherwise than the first one; `None` if it does not."""
    numerics = kernels.difference({"numerics": first.kernels}, {"numerics": worker.kernels})
    return f"other numerics than elsewhere: {numerics}" if numerics else _policy_difference(worker.policy, first.policy)


def _policy_difference(worker: PolicySpec, first: PolicySpec) -> str | None:
    """How the policy of a worker differs from that of the first one; `None` if it does not."""
    if worker == first:
        return None
    values, expected = dict(worker.fingerprint), dict(first.fingerprint)
    changed = [
        f"{key} {values.get(key)} there, {value} elsewhere"
        for key, value in expected.items()
        if values.get(key) != value
    ]
    return f"the policy runs otherwise than elsewhere: {'; '.join(changed)}; --device says where it runs"


class Nodes:
    """The nodes of the cluster that Ray is connected to, and whether each may run episodes."""

    def __init__(self, needs: Requirements) -> None:
        """Inspect this node.

        Raises:
            ConfigError: this node itself lacks something.
        """
        self._needs, self._local = needs, inspect_node(needs)
        if self._local.missing is not None:
            raise ConfigError(self._local.missing)
        self._assets: dict[str, Path | None] = {}

    def check_all(self) -> None:
        """Compare all nodes with this one.

        Raises:
            ConfigError: one differs, lacks something or does not answer.
        """
        import ray

        replies = {self.inspect(node): node for node in self._alive()}
        _, silent = ray.wait(list(replies), num_returns=len(replies), timeout=_INSPECTION_S)
        if silent:
            raise ConfigError(f"node {self.name(replies[silent[0]])}: does not answer within {_INSPECTION_S:g} s")
        for reply, node in replies.items():
            try:
                reason = self.admit(node, ray.get(reply))
            except ray.exceptions.RayError as error:
                if not self.is_alive(node):
                    continue
                reason = inspection_error(error)
            if reason:
                raise ConfigError(f"node {self.name(node)}: {reason}")

    def inspect(self, node: str) -> Any:
        """Start the inspection of a node; returns a Ray reference to its `NodeFacts`."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        on_node = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": on_node, "runtime_env": {"env_vars": process_environment()}}
        return ray.remote(inspect_node).options(**options).remote(self._needs)

    def admit(self, node: str, facts: NodeFacts) -> str | None:
        """Admit a node that fits; returns the reason if it does not."""
        reason = difference(self._local, facts)
        if reason is None:
            self._assets[node] = facts.assets
        return reason

    def admitted(self, node: str) -> bool:
        """Whether a node has been inspected and fits."""
        return node in self._assets

    def assets(self, node: str) -> Path | None:
        """The folder of scenes on an admitted node."""
        return self._assets[node]

    def name(self, node: str) -> str:
        """Host name and address of a node, for messages."""
        import ray

        for entry in ray.nodes():
            if entry["NodeID"] == node:
                return f"{entry['NodeManagerHostname']} ({entry['NodeManagerAddress']})"
        return node[:8]

    def is_alive(self, node: str) -> bool:
        """Whether Ray lists a node as alive."""
        return node in self._alive()

    def _alive(self) -> list[str]:
        import ray

        return [entry["NodeID"] for entry in ray.nodes() if entry["Alive"]]


def inspection_error(error: Exception) -> str:
    """Why a node could not be inspected, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"simeval does not run there: {lines[-1][:300] if lines else error_line(error)}"
