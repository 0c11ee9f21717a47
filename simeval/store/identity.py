"""Compares what two runs or audits are: the part of a manifest on which their rows depend."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simeval.config.evaluation import PLAN_FIELDS
from simeval.core import kernels
from simeval.core.errors import ConfigError
from simeval.core.texts import escaped


def with_version(identity: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """An identity with the version of simeval that its manifest names, which is no part of it there."""
    return ({"simeval": manifest["simeval"]} if "simeval" in manifest else {}) | dict(identity)


def require_same_run(folder: Path, stored: dict[str, Any], requested: dict[str, Any]) -> None:
    """Compare the identity of a stored run with the requested one.

    Raises:
        ConfigError: they differ; names the differences.
    """
    if stored["plan"] == requested["plan"]:
        stored, requested = _without_plan_fields(stored), _without_plan_fields(requested)
    changes = identity_changes(stored, requested)
    if changes:
        # The plan follows from the settings; its digest is of no use to a reader unless it alone differs.
        named = [change for change in changes if not change.startswith("plan:")] or changes
        raise ConfigError(f"--out {folder}: holds a different run ({'; '.join(named)}); choose another --out")


def _without_plan_fields(identity: dict[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in identity["settings"].items() if key not in PLAN_FIELDS}
    return {**identity, "settings": settings}


def differences(stored: dict[str, Any], requested: dict[str, Any], prefix: str = "") -> list[str]:
    """Differences of two identities, one entry per value: `seed: 0 -> 1`."""
    changes = []
    for key in dict.fromkeys([*stored, *requested]):
        old, new = stored.get(key), requested.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            changes += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            changes.append(f"{prefix}{key}: {_short(old)} -> {_short(new)}")
    return changes


def identity_changes(stored: dict[str, Any], requested: dict[str, Any]) -> list[str]:
    """As `differences`, with a single entry for all numerics."""
    changes, numerics = differences(stored, requested), kernels.difference(stored, requested)
    if numerics is None:
        return changes
    return [f"numerics: {numerics}", *(text for text in changes if not kernels.belongs(text.partition(":")[0]))]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return escaped(text if len(text) <= 60 else f"{text[:57]}...")
