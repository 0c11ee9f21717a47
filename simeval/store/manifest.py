"""Makes the manifest of a run."""

import datetime
from pathlib import Path
from typing import Any

from envs.base import EnvError
from envs.suites import package_of
from simeval.config import paths
from simeval.config.evaluation import EvalConfig
from simeval.config.layout import layout_of
from simeval.config.plan import Plan
from simeval.core import plugins, provenance
from simeval.core.errors import ConfigError
from simeval.policies.base import PolicySpec, WorkerFacts
from simeval.store.assets import assets_label
from simeval.store.run import SCHEMA_VERSION, SUITE


def make_manifest(config: EvalConfig, plan: Plan, facts: WorkerFacts, assets: Path | None) -> dict[str, Any]:
    """The manifest of a run. A resumed run must agree on `identity`; the rest is information for people."""
    policy = facts.policy
    identity: dict[str, Any] = {
        "plan": plan.digest,
        "settings": config.result_fields() | {"assets": provenance.folder_digest(assets) if assets else None},
        "policy": policy_identity(policy),
        "versions": provenance.versions(learned_policy=computes_here(policy)) | _suite_packages(config),
        "opengl": gl_renderer() if policy.cameras else None,
        "numerics": dict(facts.kernels),
    }
    if config.plugin:
        identity["plugins"] = plugin_digests(config)
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "simeval": provenance.version("simeval"),
        "git": provenance.git_commit(),
        "episodes": len(plan.episodes),
        "conditions": list(plan.conditions),
        "layout": layout_of(plan),
        "notes": [*plan.notes, *([noise] if (noise := noise_note(policy)) else [])],
        "assets": assets_label(config, assets),
        "config": config.to_dict(),
        "started_in": paths.here(),
        "identity": identity,
        "host": provenance.host(),
    }


def _suite_packages(config: EvalConfig) -> dict[str, str]:
    """The installed package of each suite that is not simeval's own."""
    packages = {name: package_of(name) for name in config.suite}
    return {f"{SUITE}{name}": package for name, package in packages.items() if package}


def computes_here(policy: PolicySpec) -> bool:
    """Whether the policy has a network that this machine's libraries compute."""
    return bool(policy.fingerprint) and "url" not in dict(policy.fingerprint)


def noise_note(policy: PolicySpec) -> str | None:
    """A note about a policy that does not repeat its answers; `None` for one that does."""
    if not policy.noise_floor:
        return None
    return (
        f"policy {policy.name}: not repeatable, noise floor {policy.noise_floor:.3g} action units; a pair's episodes "
        "differ by more than the perturbation, and a resumed episode may end otherwise"
    )


def policy_identity(policy: PolicySpec) -> dict[str, Any]:
    """What identifies a policy in a manifest."""
    return {"name": policy.name, "n_action_steps": policy.n_action_steps, **dict(policy.fingerprint)}


def plugin_digests(config: EvalConfig) -> dict[str, str]:
    """Digests of a configuration's plugins, by file name."""
    return plugins.digests(plugins.read(config.plugin))


def gl_renderer() -> str:
    """The OpenGL renderer of this machine.

    Raises:
        ConfigError: there is none.
    """
    try:
        return provenance.gl_renderer()
    except EnvError as error:
        raise ConfigError(str(error)) from None
