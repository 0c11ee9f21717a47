"""Where the folders are that a stored run names: a run may be gone on with from another folder than it was started in.

A manifest keeps `--policy` and `--assets` as they were said, by which the same command gets the same run folder, and
beside them the folder in which it was said. Manifests of before that have none; theirs are looked for from here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simeval.config.evaluation import SCRIPTED_POLICIES
from simeval.core.errors import ConfigError
from simeval.policies import bundled

PLACES = ("policy", "assets")
"""Settings that may name a folder, and may be said again for a run that exists: what is in it settles the run."""

_WORDS = {
    "policy": {*SCRIPTED_POLICIES, *bundled.POLICIES},
    "assets": {"bundled", "official", "cached", "hub"},
}


def here() -> str | None:
    """The working directory; `None` if it is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return None


def located(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run, with the whole paths of the folders that it names."""
    config = dict(manifest["config"])
    return config | {name: whole(name, config.get(name), manifest.get("started_in")) for name in PLACES}


def whole(name: str, said: Any, started_in: Any) -> Any:
    """A setting with the whole path of the folder that it names; as it is if it names none.

    Args:
        name: one of `PLACES`.
        said: its value.
        started_in: where it was said; `None` for here.
    """
    if not isinstance(said, str) or not said or said in _WORDS[name]:
        return said
    try:
        folder = Path(started_in if isinstance(started_in, str) else "", Path(said).expanduser())
        return str(folder.resolve()) if folder.is_dir() else said
    except (OSError, ValueError, RuntimeError):
        return said


def require_policy_folder(folder: Path, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Say what became of a run's checkpoint, where the hub would be asked for what never was there.

    Args:
        folder: the run.
        manifest: what it says of itself.
        config: its configuration, as `located` gives it.

    Raises:
        ConfigError: its policy was a folder, and that is not there.
    """
    said = config.get("policy")
    if not isinstance(said, str) or said in _WORDS["policy"] or Path(said).is_dir():
        return
    # A policy from the hub is called by its whole id, one from a folder by the last part of its path.
    if "/" not in said or said != manifest["identity"]["policy"]["name"]:
        origin = manifest.get("started_in")
        where = f"in {origin}" if isinstance(origin, str) else "elsewhere"
        raise ConfigError(
            f"{folder}: was started {where} with --policy {said}, and that folder is not there; say where it is: "
            "--policy PATH"
        )


def agreed(stored: Mapping[str, Any], started_in: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored run is, with its policy called as it is called now, where the two are the same folder or weights.

    Args:
        stored: its `identity`, or the part of it that is known.
        started_in: where it was started.
        wanted: the same of what is asked for here.
    """
    before, now = stored["settings"].get("policy"), wanted["settings"].get("policy")
    same = whole("policy", before, started_in) == whole("policy", now, None)
    if not same and whole("policy", now, None) not in _WORDS["policy"] and "policy" in stored and "policy" in wanted:
        weights = stored["policy"].get("sha256")
        same = weights is not None and weights == wanted["policy"].get("sha256")
    return {**stored, "settings": {**stored["settings"], "policy": now}} if same else dict(stored)


def may_have_moved(stored: Any, wanted: Any) -> bool:
    """Whether two names of policies are of folders, which only their weights can tell apart."""
    return all(isinstance(name, str) and name not in _WORDS["policy"] for name in (stored, wanted)) and (
        Path(wanted).is_dir() and Path(stored).name == Path(wanted).name
    )
