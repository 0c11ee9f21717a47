"""Resolves the folders that a stored run names: a run may be resumed from another folder than it was started in.

A manifest stores `--policy` and `--assets` as they were given, so that the same command finds the same run folder, and
with them the working directory at the start. Older manifests lack it; their paths are resolved from the current one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simeval.config.evaluation import SCRIPTED_POLICIES
from simeval.core.errors import ConfigError
from simeval.policies import bundled

PLACES = ("policy", "assets")
"""Settings that may name a folder, and may be given again for an existing run: the folder's contents identify it."""

_WORDS = {
    "policy": {*SCRIPTED_POLICIES, *bundled.POLICIES},
    "assets": {"bundled", "official", "cached", "hub"},
}


def here() -> str | None:
    """The working directory; `None` if it was deleted."""
    try:
        return str(Path.cwd())
    except OSError:
        return None


def located(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run, with absolute paths of the folders that it names."""
    config = dict(manifest["config"])
    return config | {name: absolute(name, config.get(name), manifest.get("started_in")) for name in PLACES}


def absolute(name: str, value: Any, started_in: Any) -> Any:
    """A setting with the absolute path of the folder that it names; unchanged if it names none.

    Args:
        name: one of `PLACES`.
        value: its value.
        started_in: folder that the value is relative to; `None` for the working directory.
    """
    if not isinstance(value, str) or not value or value in _WORDS[name]:
        return value
    try:
        folder = Path(started_in if isinstance(started_in, str) else "", Path(value).expanduser())
        return str(folder.resolve()) if folder.is_dir() else value
    except (OSError, ValueError, RuntimeError):
        return value


def require_policy_folder(folder: Path, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that a checkpoint folder of a run still exists; otherwise the hub would be asked for its path.

    Args:
        folder: the run.
        manifest: its manifest.
        config: its configuration, from `located`.

    Raises:
        ConfigError: its policy was a folder, and that no longer exists.
    """
    policy = config.get("policy")
    if not isinstance(policy, str) or policy in _WORDS["policy"] or Path(policy).is_dir():
        return
    # A policy from the hub is named by its whole id, one from a folder by the last part of its path.
    if "/" not in policy or policy != manifest["identity"]["policy"]["name"]:
        origin = manifest.get("started_in")
        where = f"in {origin}" if isinstance(origin, str) else "elsewhere"
        raise ConfigError(
            f"{folder}: was started {where} with --policy {policy}, and that folder is not there; say where it is: "
            "--policy PATH"
        )


def with_current_policy_name(
    stored: Mapping[str, Any], started_in: Any, requested: Mapping[str, Any]
) -> dict[str, Any]:
    """The identity of a stored run, with the requested name of its policy if both name the same folder or weights.

    Args:
        stored: its `identity`, or the known part of it.
        started_in: folder that it was started in.
        requested: the identity of the current request, or the same part of it.
    """
    before, now = stored["settings"].get("policy"), requested["settings"].get("policy")
    current = absolute("policy", now, None)
    same = absolute("policy", before, started_in) == current
    if not same and current not in _WORDS["policy"] and "policy" in stored and "policy" in requested:
        weights = stored["policy"].get("sha256")
        same = weights is not None and weights == requested["policy"].get("sha256")
    return {**stored, "settings": {**stored["settings"], "policy": now}} if same else dict(stored)


def may_have_moved(stored: Any, requested: Any) -> bool:
    """Whether two policies may be one folder that was moved; only their weights can tell."""
    return all(isinstance(name, str) and name not in _WORDS["policy"] for name in (stored, requested)) and (
        Path(requested).is_dir() and Path(stored).name == Path(requested).name
    )
