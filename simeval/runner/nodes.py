"""What all nodes of a cluster must have in common, or a run would mix two kinds of rows.

Non-obvious behaviour:
- Python and Ray are not compared here: Ray itself refuses nodes that differ in them.
- Scenes are looked for by what they contain, so nodes may keep them in different places.
- A checkpoint is looked for by its name. One from the hub is fetched by each node that can reach the hub.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from envs.assets import BUNDLED
from envs.base import EnvError
from envs.libero.files import resolve_assets
from simeval.core import kernels, provenance
from simeval.core.errors import ConfigError, error_line
from simeval.policies.base import Policy
from simeval.policies.registry import PolicyChoice, load_policy
from simeval.runner.session import process_environment

_CODE = ("envs", "perturbations", "simeval")
_PATIENCE = 300.0
"""Seconds for the nodes to say what they have: one may have to fetch a checkpoint from the hub."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a run needs on every node.

    Attributes:
        assets: the caller's folder of scenes, if any LIBERO suite is asked for.
        scenes: digest of what is in it.
        checkpoint: name of the checkpoint that each worker loads, if it does.
        draws: whether pictures are drawn.
    """

    assets: Path | None
    scenes: str | None
    checkpoint: str | None
    draws: bool


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node has.

    Attributes:
        values: versions, digests and the OpenGL renderer, by what a person calls them.
        assets: where the scenes are.
        missing: what the node lacks; `None` if nothing.
    """

    values: tuple[tuple[str, str | None], ...]
    assets: Path | None = None
    missing: str | None = None


def needs_of(policy: PolicyChoice | Policy, assets: Path | None) -> Requirements:
    """What workers with this policy and these scenes need.

    Raises:
        ConfigError: the checkpoint cannot be read.
    """
    if isinstance(policy, PolicyChoice) and not policy.scripted:
        from simeval.policies.checkpoint.read import read

        checkpoint, cameras = policy.name, tuple(read(policy.name).cameras)
    else:
        checkpoint, cameras = None, (load_policy(policy) if isinstance(policy, PolicyChoice) else policy).spec.cameras
    return Requirements(assets, provenance.folder_digest(assets) if assets else None, checkpoint, bool(cameras))


def look(needs: Requirements) -> NodeFacts:
    """What this node has of it."""
    try:
        values = _values(needs)
        return NodeFacts(tuple(values.items()), _find(needs) if needs.assets else None)
    except (ConfigError, EnvError) as error:
        return NodeFacts((), missing=str(error))


def _values(needs: Requirements) -> dict[str, str | None]:
    code = f"{provenance.version('simeval')} (code {code_digest()})"
    versions = provenance.versions(learned_policy=needs.checkpoint is not None)
    values = {"simeval": code, **kernels.of_simulation(), **versions}
    if needs.draws:
        values["OpenGL"] = provenance.gl_renderer()
    if needs.checkpoint is not None:
        from simeval.policies.checkpoint.read import read, sha256

        values[f"checkpoint {needs.checkpoint}"] = sha256(read(needs.checkpoint).folder)[:16]
    return values


@cache
def code_digest() -> str:
    """SHA-256 (8 hex digits) of our own source: two commits may have one version."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(path for name in _CODE for path in (root / name).rglob("*") if path.suffix in (".py", ".toml")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def _find(needs: Requirements) -> Path:
    """The folder with the wanted scenes.

    Raises:
        EnvError: there is none.
    """
    assert needs.assets is not None
    looked: dict[Path, str] = {}
    for place in (str(needs.assets), str(BUNDLED), "cached", *(["hub"] if _from_hub(needs.assets) else [])):
        try:
            folder = resolve_assets(place)
        except EnvError:
            continue
        looked[folder] = provenance.folder_digest(folder)
        if looked[folder] == needs.scenes:
            return folder
    others = "".join(f", {folder} has {digest}" for folder, digest in looked.items() if folder != BUNDLED)
    raise EnvError(
        f"no scenes with the contents of {needs.assets} (digest {needs.scenes}{others}); "
        "copy them there, or set SIMEVAL_LIBERO_ASSETS before ray start"
    )


def _from_hub(folder: Path) -> bool:
    return any(part.startswith("datasets--") for part in folder.parts)


def mismatch(here: NodeFacts, there: NodeFacts) -> str | None:
    """In what another node differs from this one, in words; `None` if in nothing that counts."""
    if there.missing is not None:
        return there.missing
    found = dict(there.values)
    other = [f"{name} {found.get(name)}, here {value}" for name, value in here.values if found.get(name) != value]
    return f"{'; '.join(other)}; every node needs the same image, or the same lock and commit" if other else None


class Nodes:
    """The nodes of the cluster that Ray is connected to, and whether each may run episodes."""

    def __init__(self, needs: Requirements) -> None:
        """Look at this node.

        Raises:
            ConfigError: it lacks something itself.
        """
        self._needs, self._here = needs, look(needs)
        if self._here.missing is not None:
            raise ConfigError(self._here.missing)
        self._assets: dict[str, Path | None] = {}

    def check_all(self) -> None:
        """Compare all nodes with this one.

        Raises:
            ConfigError: one differs, lacks something or does not answer.
        """
        import ray

        asked = {self.ask(node): node for node in self._alive()}
        _, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE)
        if silent:
            raise ConfigError(f"node {self.name(asked[silent[0]])}: does not answer within {_PATIENCE:g} s")
        for answer, node in asked.items():
            try:
                reason = self.judge(node, ray.get(answer))
            except ray.exceptions.RayError as error:
                if not self.is_alive(node):
                    continue
                reason = inspection_error(error)
            if reason:
                raise ConfigError(f"node {self.name(node)}: {reason}")

    def ask(self, node: str) -> Any:
        """Have a node looked at; gives a reference to its `NodeFacts`."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": there, "runtime_env": {"env_vars": process_environment()}}
        return ray.remote(look).options(**options).remote(self._needs)

    def judge(self, node: str, facts: NodeFacts) -> str | None:
        """Admit a node, or say why not."""
        reason = mismatch(self._here, facts)
        if reason is None:
            self._assets[node] = facts.assets
        return reason

    def admitted(self, node: str) -> bool:
        """Whether a node has been looked at and fits."""
        return node in self._assets

    def assets(self, node: str) -> Path | None:
        """Where an admitted node keeps the scenes."""
        return self._assets[node]

    def name(self, node: str) -> str:
        """Host name and address of a node, for people."""
        import ray

        for found in ray.nodes():
            if found["NodeID"] == node:
                return f"{found['NodeManagerHostname']} ({found['NodeManagerAddress']})"
        return node[:8]

    def is_alive(self, node: str) -> bool:
        """Whether Ray still counts a node in."""
        return node in self._alive()

    def _alive(self) -> list[str]:
        import ray

        return [found["NodeID"] for found in ray.nodes() if found["Alive"]]


def inspection_error(error: Exception) -> str:
    """Why a node could not be looked at, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"simeval does not run there: {lines[-1][:300] if lines else error_line(error)}"
