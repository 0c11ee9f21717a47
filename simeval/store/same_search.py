"""What makes a run go on with the search that it holds, and refuse another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simeval.config.layout import WORST, verb_of
from simeval.core.errors import ConfigError


def require_same_verb(folder: Path, stored: Mapping[str, Any], verb: str) -> None:
    """Check that a run is not taken for a search, whose plan is never run to its end, or the reverse.

    Raises:
        ConfigError: it is.
    """
    made = verb_of(stored)
    if made != verb:
        raise ConfigError(f"{folder}: made by `simeval {made}`, which goes on with it; `{verb}` needs another --out")


def require_same_worst(folder: Path, stored: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Check that a search for a bad condition keeps its budget and confirmation, which say what its rows are for.

    Raises:
        ConfigError: it has others.
    """
    before, now = (manifest.get(WORST) or {} for manifest in (stored, requested))
    for name in ("budget", "confirm"):
        if before.get(name) != now.get(name):
            raise ConfigError(
                f"--{name} {now.get(name)}: the search in {folder} has {before.get(name)}, which settles what its "
                "episodes are for; choose another --out"
            )
