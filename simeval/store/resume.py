"""A run that is there already: its folder, its configuration, and whether it is complete."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simeval.config import paths
from simeval.config.evaluation import PLAN_FIELDS, EvalConfig
from simeval.config.plan import Plan
from simeval.core import plugins, provenance
from simeval.store.manifest import plugin_digests
from simeval.store.run import (
    MANIFEST,
    is_finished,
    read_manifest,
    refuse_other,
    require_writable,
)

_log = logging.getLogger("simeval")


def run_folder(config: EvalConfig, plan: Plan) -> Path:
    """Where a run lies: `out`, or a name that the same request always gets."""
    if config.out:
        return Path(config.out)
    policy = Path(config.policy_name).name
    others = {key: value for key, value in config.result_fields().items() if key not in PLAN_FIELDS}
    identity = provenance.digest({"plan": plan.digest, **others})
    return Path("results") / f"{'+'.join(config.suite)}-{policy}-{identity[:8]}"


def config_of(folder: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration of a stored run, as YAML-ready values with `out` pointing at it, for `--resume`.

    What would run code is not taken from it: neither plugins, nor the address of a cluster, which runs what it likes.

    Args:
        folder: the run.
        given: what the person says again, by names of settings: plugins, a cluster, where folders are now.

    Raises:
        ConfigError: there is no run, a plugin of its is not named, or its checkpoint is not there.
    """
    said = {name: value for name, value in (given or {}).items() if value}
    manifest, named, cluster = read_manifest(folder), list(said.get("plugin", ())), said.get("ray_address")
    plugins.named_again(folder, manifest, named)
    stored = paths.located(manifest) | {name: said[name] for name in paths.PLACES if name in said}
    if "policy" not in said:
        paths.refuse_lost(folder, manifest, stored)
    before = stored.get("ray_address")
    if before is not None and cluster is None:
        _log.warning("simeval: this run was on a cluster (%s) and goes on here; --ray-address joins one", before)
    return {**stored, "plugin": named, "ray_address": cluster, "out": str(folder)}


def is_complete(folder: Path, config: EvalConfig, plan: Plan) -> bool:
    """Whether this very request has been run to its end, so that nothing needs to be loaded to say so.

    Raises:
        ConfigError: the folder cannot be written or holds a different run, as far as can be told so early.
    """
    require_writable(folder)
    if not (folder / MANIFEST).exists():
        return False
    manifest = read_manifest(folder)
    stored = {key: manifest["identity"][key] for key in ("plan", "settings")}
    settings = config.result_fields() | {"assets": stored["settings"]["assets"]}
    stored |= {"plugins": manifest["identity"].get("plugins", {})}
    wanted = {"plan": plan.digest, "settings": settings, "plugins": plugin_digests(config)}
    stored = paths.agreed(stored, manifest.get("started_in"), wanted)
    before = stored["settings"].get("policy")
    if before != config.policy_name and paths.may_have_moved(before, config.policy_name):
        return False
    refuse_other(folder, stored, wanted)
    if paths.located(manifest)["assets"] != paths.whole("assets", config.assets, None):
        return False
    return is_finished(folder, plan.episodes)
