"""A run that exists already: its folder, its configuration, and whether it is complete."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simeval.config import paths
from simeval.config.evaluation import PLAN_FIELDS, EvalConfig
from simeval.config.layout import RUN
from simeval.config.plan import Plan
from simeval.core import plugins, provenance
from simeval.core.errors import ConfigError
from simeval.policies.base import Policy
from simeval.policies.registry import PolicyChoice
from simeval.store.identity import require_same_run
from simeval.store.manifest import plugin_digests, policy_identity
from simeval.store.run import (
    EPISODES,
    MANIFEST,
    is_finished,
    outcomes,
    read_manifest,
    require_own,
    require_writable,
)
from simeval.store.same_search import require_same_verb, require_same_worst
from simeval.store.study import is_study

if TYPE_CHECKING:
    from simeval.config.searches import Placing, Search

_log = logging.getLogger("simeval")


def run_folder(config: EvalConfig, plan: Plan) -> Path:
    """The run folder: `out`, or a name that is the same for the same request."""
    if config.out:
        return Path(config.out)
    policy = Path(config.policy_name).name.replace(".py:", "-").removesuffix(".py").replace(":", "-")
    others = {key: value for key, value in config.result_fields().items() if key not in PLAN_FIELDS}
    identity = provenance.digest({"plan": plan.digest, **others})
    return Path("results") / f"{'+'.join(config.suite)}-{policy}-{identity[:8]}"


def config_of(folder: Path, given: Mapping[str, Any] | None = None, *, verb: str = RUN) -> dict[str, Any]:
    """The configuration of a stored run, as YAML-ready values with `out` pointing at it, for `--resume`.

    Settings that run code are not taken from it: neither plugins, nor the address of a cluster, which runs any code.

    Args:
        folder: the run.
        given: settings given again by the user, by name: plugins, a cluster, where folders are now.
        verb: the one that made it.

    Raises:
        ConfigError: there is no run, or one of the other verb; a plugin of it is not given, or its checkpoint is gone.
    """
    flags = {name: value for name, value in (given or {}).items() if value}
    manifest, named, cluster = read_manifest(folder), list(flags.get("plugin", ())), flags.get("ray_address")
    require_own(folder, manifest)
    require_same_verb(folder, manifest, verb)
    plugins.named_again(folder, manifest, named)
    stored = paths.located(manifest) | {name: flags[name] for name in paths.PLACES if name in flags}
    if "policy" not in flags:
        paths.require_policy(folder, manifest, stored)
    before = stored.get("ray_address")
    if before is not None and cluster is None:
        _log.warning("simeval: this run was on a cluster (%s) and goes on here; --ray-address joins one", before)
    return {**stored, "plugin": named, "ray_address": cluster, "out": str(folder)}


def require_fingerprint(folder: Path, policy: Policy) -> None:
    """Check that a policy object can be told from the one that a run was made with.

    Raises:
        ConfigError: there is a run, and the object's fingerprint is empty.
    """
    if (folder / MANIFEST).exists() and {key for key, _ in policy.spec.fingerprint} <= {"object"}:
        raise ConfigError(
            f"{folder}: has a run, and nothing tells whether this policy object made it; give it a spec.fingerprint, "
            "for instance a hash of its weights or the training step, or another out"
        )


def is_complete(
    folder: Path,
    config: EvalConfig,
    plan: Plan,
    choice: PolicyChoice | Policy,
    search: "Search | None" = None,
) -> bool:
    """Whether exactly this request has been run to its end; loads no policy and no scene to find out.

    A policy object, or a checkpoint in a folder, may have been trained since: its fingerprint tells. The files of a
    checkpoint on the hub are compared when it is loaded.

    Raises:
        ConfigError: the folder cannot be written, or holds a run that differs in what is known without loading.
    """
    require_writable(folder)
    if is_study(folder):
        raise ConfigError(f"{folder}: holds a study, whose folders are runs; `simeval run` needs another --out")
    if not (folder / MANIFEST).exists():
        return False
    manifest = read_manifest(folder)
    requested_search = _in_manifest(search)
    require_same_verb(folder, manifest, next(iter(requested_search), RUN))
    stored: dict[str, Any] = {key: manifest["identity"][key] for key in ("plan", "settings")}
    settings = config.result_fields() | {"assets": stored["settings"]["assets"]}
    stored |= {"plugins": manifest["identity"].get("plugins", {})}
    requested: dict[str, Any] = {"plan": plan.digest, "settings": settings, "plugins": plugin_digests(config)}
    policy = manifest["identity"].get("policy", {})
    if isinstance(choice, PolicyChoice):
        stored |= {"policy_file": (policy.get("file_sha256") or "")[:8]}
        requested |= {"policy_file": choice.file.sha256[:8] if choice.file else ""}
        if "sha256" in policy and (weights := _weights_digest(choice)):
            stored |= {"policy_weights": policy["sha256"][:8]}
            requested |= {"policy_weights": weights[:8]}
    else:
        stored |= {"policy": policy}
        requested |= {"policy": policy_identity(choice.spec)}
    stored = paths.with_current_policy_name(stored, manifest.get("started_in"), requested)
    before = stored["settings"].get("policy")
    if before != config.policy_name and paths.may_have_moved(before, config.policy_name):
        return False
    require_same_run(folder, stored, requested)
    if paths.located(manifest)["assets"] != paths.absolute("assets", config.assets, None):
        return False
    if search is not None:
        require_same_worst(folder, manifest, requested_search)
        same = all(manifest[verb] == record for verb, record in requested_search.items())
        return same and not placement_of(folder, search, plan).has_next
    return _nothing_left(folder, manifest, plan)


def _weights_digest(choice: PolicyChoice) -> str:
    """The digest of a checkpoint's files, as its run's manifest has it; empty if they are not on this machine."""
    if choice.kind == "bundled" or (choice.kind == "checkpoint" and Path(choice.name).is_dir()):
        from simeval.policies.checkpoint.read import read, sha256  # not earlier: other policies do not need it

        return sha256(read(choice.name, interface=choice.interface).folder)
    return ""


def _in_manifest(search: "Search | None") -> Mapping[str, Any]:
    if search is None:
        return {}
    from simeval.config.searches import in_manifest  # not earlier: SciPy takes half a second

    return in_manifest(search)


def placement_of(folder: Path, search: "Search", plan: Plan) -> "Placing":
    """Follow a search as far as it has run; episodes that broke are to run again.

    Raises:
        ConfigError: a line in the middle of the rows is not a row, or there are too few initial states.
    """
    from simeval.config.searches import placing  # not earlier: SciPy takes half a second

    ran = outcomes(folder) if (folder / EPISODES).exists() else {}
    found = [(spec, ran[spec.id]) for spec in plan.episodes if spec.id in ran] if ran else []
    placement = placing(search, plan, [spec for spec, outcome in found if outcome == "error"])
    for spec, outcome in found:
        if outcome != "error":
            placement.record(spec, outcome)
    return placement


def require_clean_success(placement: "Placing", folder: Path) -> None:
    """Check that a search had something to search for.

    Raises:
        ConfigError: no clean episode succeeded.
    """
    if placement.is_hopeless:
        raise ConfigError(
            f"{folder}: none of {placement.clean[1]} clean episodes succeeded, so that nothing can lower the rate; "
            "try tasks that the policy can do (--tasks), or another policy"
        )


def _nothing_left(folder: Path, manifest: Mapping[str, Any], plan: Plan) -> bool:
    """Whether no episode of a run needs to run (again)."""
    if manifest["config"].get("until") is None:
        return is_finished(folder, plan.episodes)
    from simeval.config.decisions import follow  # not earlier: SciPy takes half a second

    done = {id_: outcome for id_, outcome in outcomes(folder).items() if outcome != "error"}
    decisions = follow(manifest, ((spec, done[spec.id]) for spec in plan.episodes if spec.id in done))
    return not any(decisions.is_open(spec) for spec in plan.episodes if spec.id not in done)
