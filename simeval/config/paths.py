"""Resolves the folders that a stored run names: a run may be resumed from another folder than it was started in.

A manifest stores `--policy` and `--assets` as they were given, so that the same command finds the same run folder, and
with them the working directory at the start. Older manifests lack it; their paths are resolved from the current one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError
from simeval.policies.names import kind_of, split_file

PLACES = ("policy", "assets")
"""Settings that may name a folder, and may be given again for an existing run: the folder's contents identify it."""

_ASSETS = frozenset({"bundled", "official", "cached", "hub"})
"""Values of `--assets` that are not folders."""


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


def names_path(name: str, value: str) -> bool:
    """Whether a setting names an existing folder, or the existing file of a policy."""
    path = Path(split_file(value)[0] if name == "policy" and kind_of(value) == "file" else value).expanduser()
    return path.is_file() if name == "policy" and kind_of(value) == "file" else path.is_dir()


def _may_be_path(name: str, value: str) -> bool:
    if name == "policy":  # the name of a folder that is gone looks like that of an installed policy
        return kind_of(value) in ("checkpoint", "file", "installed")
    return value not in _ASSETS


def absolute(name: str, value: Any, started_in: Any) -> Any:
    """A setting with the absolute path of the folder or file that it names; unchanged if it names none.

    Args:
        name: one of `PLACES`.
        value: its value.
        started_in: folder that the value is relative to; `None` for the working directory.
    """
    if not isinstance(value, str) or not value or not _may_be_path(name, value):
        return value
    file, maker = split_file(value) if name == "policy" and kind_of(value) == "file" else (value, "")
    try:
        path = Path(started_in if isinstance(started_in, str) else "", Path(file).expanduser())
        if maker:
            return f"{path.resolve()}:{maker}" if path.is_file() else value
        return str(path.resolve()) if path.is_dir() else value
    except (OSError, ValueError, RuntimeError):
        return value


def require_policy(folder: Path, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that the policy of a run can be loaded again without being named again.

    A checkpoint folder must still exist; otherwise the hub would be asked for its path. A Python file is code, and a
    server gets an API key; a run folder may come from a stranger, so the user has to name both.

    Args:
        folder: the run.
        manifest: its manifest.
        config: its configuration, from `located`.

    Raises:
        ConfigError: its policy was a folder, and that no longer exists; or it was a file.
    """
    policy = config.get("policy")
    if isinstance(policy, str) and kind_of(policy) == "file":
        raise ConfigError(
            f"{folder}: was made with the policy {policy}; it is code, so name it yourself: --policy {policy}"
        )
    if isinstance(policy, str) and kind_of(policy) == "server":
        raise ConfigError(
            f"{folder}: was made with the policy server {policy}; it gets your images and API key, so name it "
            f"yourself: --policy {policy}"
        )
    if not isinstance(policy, str) or kind_of(policy) not in ("checkpoint", "installed") or Path(policy).is_dir():
        return
    if "entry_point" in manifest["identity"]["policy"]:
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
    if not same and isinstance(current, str) and "policy" in stored and "policy" in requested:
        digest = {"checkpoint": "sha256", "file": "file_sha256"}.get(kind_of(current), "sha256")
        weights = stored["policy"].get(digest) if kind_of(current) not in ("scripted", "bundled") else None
        same = weights is not None and weights == requested["policy"].get(digest)
    return {**stored, "settings": {**stored["settings"], "policy": now}} if same else dict(stored)


def may_have_moved(stored: Any, requested: Any) -> bool:
    """Whether two policies may be one folder that was moved; only their weights can tell."""
    return all(isinstance(name, str) and _may_be_path("policy", name) for name in (stored, requested)) and (
        names_path("policy", requested) and Path(stored).name == Path(requested).name
    )
